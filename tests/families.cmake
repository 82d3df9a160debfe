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

# case_family(NAME): pytest over tests/cases/NAME, by markers: case_NAME is what carries none; release_NAME what needs a
# build without sanitizers, and exists in such builds only; long_NAME what takes many minutes, and exists after
# `cmake -DFUSEPKG_LONG=ON` only: then `ctest -L long` runs it.
option(FUSEPKG_LONG "let ctest run the tests that take many minutes, too" OFF)
set(FUSEPKG_TEST_TOOLS ${CMAKE_BINARY_DIR}/test-tools CACHE PATH "venv with what the tests need; made by the test `tools`")

function(case_family name)
        pytest_run(case_${name} ${name} "not long and not release")
        set_tests_properties(case_${name} PROPERTIES LABELS cases TIMEOUT 1200)
        if(NOT FUSEPKG_SANITIZE AND NOT FUSEPKG_TSAN)
                pytest_run(release_${name} ${name} "release and not long")
                set_tests_properties(release_${name} PROPERTIES LABELS release TIMEOUT 1200)
        endif()
        if(FUSEPKG_LONG)
                pytest_run(long_${name} ${name} "long")
                set_tests_properties(long_${name} PROPERTIES LABELS long TIMEOUT 7200 RUN_SERIAL ON)
        endif()
endfunction()

# pytest's exit status 5, "no tests collected", is what a family without tests of that marker gives.
function(pytest_run test family markers)
        add_test(NAME ${test} COMMAND ${FUSEPKG_TEST_TOOLS}/bin/python -m pytest
                -c ${PROJECT_SOURCE_DIR}/tests/pytest.ini -m ${markers} ${PROJECT_SOURCE_DIR}/tests/cases/${family})
        set(environment FUSEPKG_BUILD_DIR=${CMAKE_BINARY_DIR} FUSEPKG_TEST_TOOLS=${FUSEPKG_TEST_TOOLS}
                PYTHONDONTWRITEBYTECODE=1)
        set_tests_properties(${test} PROPERTIES ENVIRONMENT "${environment}"
                FIXTURES_REQUIRED test_tools SKIP_RETURN_CODE 5)
endfunction()
