# unit_test(NAME [LIBRARY...]): tests/unit/test_NAME.c, run by ctest as unit_NAME.  Without libraries it links
# all of ours.  A test sees the sources by their names from the top ("store/buf.h").
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)

function(unit_test name)
        set(libraries ${ARGN})
        if(NOT libraries)
                set(libraries fusepkg_ingest fusepkg_fs)
        endif()
        add_executable(test_${name} ${PROJECT_SOURCE_DIR}/tests/unit/test_${name}.c)
        target_link_libraries(test_${name} PRIVATE fusepkg_flags ${libraries} PkgConfig::CMOCKA)
        add_test(NAME unit_${name} COMMAND test_${name})
        set_tests_properties(unit_${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()

# case_family(NAME): pytest over tests/cases/NAME, run by ctest as case_NAME.  What carries the marker `long` is a
# test of its own, long_NAME, and exists after `cmake -DFUSEPKG_LONG=ON` only; then `ctest -L long` runs it.
option(FUSEPKG_LONG "let ctest run the tests that take many minutes, too" OFF)

function(case_family name)
        pytest_run(case_${name} ${name} "not long")
        set_tests_properties(case_${name} PROPERTIES LABELS cases TIMEOUT 900)
        if(FUSEPKG_LONG)
                pytest_run(long_${name} ${name} "long")
                set_tests_properties(long_${name} PROPERTIES LABELS long TIMEOUT 7200 RUN_SERIAL ON)
        endif()
endfunction()

# pytest's exit status 5, "no tests collected", is what a family without long tests gives.
function(pytest_run test family markers)
        add_test(NAME ${test} COMMAND ${CMAKE_BINARY_DIR}/test-tools/bin/python -m pytest
                -c ${PROJECT_SOURCE_DIR}/tests/pytest.ini -m ${markers} ${PROJECT_SOURCE_DIR}/tests/cases/${family})
        set_tests_properties(${test} PROPERTIES
                ENVIRONMENT "FUSEPKG_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1"
                FIXTURES_REQUIRED test_tools SKIP_RETURN_CODE 5)
endfunction()
