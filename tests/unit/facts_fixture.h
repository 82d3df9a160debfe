/* facts_fixture.h: what some interpreters answer, for unit tests. */
#ifndef FUSEPKG_TEST_FACTS_FIXTURE_H
#define FUSEPKG_TEST_FACTS_FIXTURE_H

/* CPython 3.12.1 on x86-64 with glibc 2.36. */
#define FACTS_CPYTHON_312                                                                                               \
        "implementation_name cpython\nimplementation_version 3.12.1\nplatform_python_implementation CPython\n"          \
        "python_version 3.12\npython_full_version 3.12.1\nos_name posix\nsys_platform linux\nplatform_system Linux\n"   \
        "platform_machine x86_64\nsysconfig_platform linux-x86_64\n"                                                    \
        "extension_suffix .cpython-312-x86_64-linux-gnu.so\nversion_nodot 312\nmajor 3\nminor 12\nfree_threaded 0\n"    \
        "debug 0\nhard_float 0\npointer_bits 64\nlibc glibc\nlibc_major 2\nlibc_minor 36\n"

#endif
