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
# `cmake -DFUSEPKG_LONG=ON` only: then `ctest -L long` runs it.  One that would find no test is not made, so that none is skipped:
# a marker stands by its name in the family's files, and where each test file has a `pytestmark` there is nothing without one.
option(FUSEPKG_LONG "let ctest run the tests that take many minutes, too" OFF)
set(FUSEPKG_TEST_TOOLS ${CMAKE_BINARY_DIR}/test-tools CACHE PATH "venv with what the tests need; made by the test `tools`")

function(case_family name)
        family_markers(${name} markers)
        if(plain IN_LIST markers)
                pytest_run(case_${name} ${name} "not long and not release")
                set_tests_properties(case_${name} PROPERTIES LABELS cases TIMEOUT 1200)
        endif()
        if(release IN_LIST markers AND NOT FUSEPKG_SANITIZE AND NOT FUSEPKG_TSAN)
                pytest_run(release_${name} ${name} "release and not long")
                set_tests_properties(release_${name} PROPERTIES LABELS release TIMEOUT 1200)
        endif()
        if(long IN_LIST markers AND FUSEPKG_LONG)
                pytest_run(long_${name} ${name} "long")
                set_tests_properties(long_${name} PROPERTIES LABELS long TIMEOUT 7200 RUN_SERIAL ON)
        endif()
endfunction()

# Which of plain, release and long the tests of a family have.
function(family_markers name ret_markers)
        file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/cases/${name}/*.py)
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
        set(markers)
        foreach(file ${files})
                foreach(marker release long)
                        file(STRINGS ${file} lines REGEX "mark[.]${marker}")
                        if(lines)
                                list(APPEND markers ${marker})
                        endif()
                endforeach()
                file(STRINGS ${file} lines REGEX "^pytestmark = ")
                if(file MATCHES "/test_[^/]*$" AND NOT lines)
                        list(APPEND markers plain)
                endif()
        endforeach()
        set(${ret_markers} ${markers} PARENT_SCOPE)
endfunction()

function(pytest_run test family markers)
        add_test(NAME ${test} COMMAND ${FUSEPKG_TEST_TOOLS}/bin/python -m pytest
                -c ${PROJECT_SOURCE_DIR}/tests/pytest.ini -m ${markers} ${PROJECT_SOURCE_DIR}/tests/cases/${family})
        set(environment FUSEPKG_BUILD_DIR=${CMAKE_BINARY_DIR} FUSEPKG_TEST_TOOLS=${FUSEPKG_TEST_TOOLS}
                PYTHONDONTWRITEBYTECODE=1)
        set_tests_properties(${test} PROPERTIES ENVIRONMENT "${environment}" FIXTURES_REQUIRED test_tools)
endfunction()
