"""Where members are installed: `.data`, scripts, entry points, and what may not be replaced (store/wheel.h)."""
from archive_bytes import Member
from wheel_parts import DATA, INFO, METADATA, MODULE, accept, refuse, wheel


def member(name, data="x = 1\n"):
    return wheel(Member(name, data))


def entry_points(text):
    return wheel(Member(f"{INFO}/entry_points.txt", text))


# .data

@refuse("unknown kind")
def data_of_an_unknown_kind():
    return member(f"{DATA}/stdlib/evil.py")


@refuse("outside of the folders")
def data_without_a_kind():
    return member(f"{DATA}/evil.py")


@refuse("outside of the folders")
def data_that_is_a_file():
    return member(DATA)


@accept(has={"other.py": "x = 1\n"})
def data_of_purelib():
    return member(f"{DATA}/purelib/other.py")


@accept(has={"foreign.py": "x = 1\n"})
def data_folder_of_another_name():
    """pip takes every folder that ends in .data for one."""
    return member("foreign.data/platlib/foreign.py")


@accept(has={"demo.py": MODULE})
def data_of_all_kinds():
    return wheel(Member(f"{DATA}/data/share/demo/x.txt", "x"), Member(f"{DATA}/headers/demo.h", "int x;\n"),
                 Member(f"{DATA}/scripts/demo-tool", "#!python\nprint('demo')\n", mode=0o100755))


@refuse("venv's configuration")
def data_over_pyvenv_cfg():
    return member(f"{DATA}/data/pyvenv.cfg", "home = /tmp\n")


@refuse("venv's configuration")
def data_over_pyvenv_cfg_in_capitals():
    return member(f"{DATA}/data/PYVENV.CFG", "home = /tmp\n")


@refuse("reserved for the interpreter")
def data_over_the_interpreter():
    return member(f"{DATA}/data/bin/python3", "#!/bin/sh\n")


@refuse("reserved for the interpreter")
def data_over_activate():
    return member(f"{DATA}/data/bin/activate", "#!/bin/sh\n")


@refuse("interpreter's modules")
def data_into_the_modules():
    return member(f"{DATA}/data/lib/python3.12/site-packages/evil.py")


@refuse("interpreter's modules")
def data_into_the_modules_by_lib64():
    return member(f"{DATA}/data/lib64/python3.12/os.py")


@refuse("reserved for fusepkg")
def data_into_the_state():
    return member(f"{DATA}/data/.fusepkg/environment")


@refuse("folder of the venv")
def data_over_bin():
    return member(f"{DATA}/data/bin")


@refuse("reserved for fusepkg")
def site_over_the_marker():
    return member(".fusepkg")


@refuse("reserved for fusepkg")
def site_below_the_data_folder():
    return member(".fusepkg-data/data/evil.py")


@refuse("reserved for fusepkg")
def purelib_over_the_marker():
    return member(f"{DATA}/purelib/.fusepkg")


@refuse("'..' in its name")
def data_that_escapes():
    return member(f"{DATA}/data/../../evil.py")


# Scripts

@refuse("folder below scripts")
def script_in_a_folder():
    return member(f"{DATA}/scripts/sub/tool", "#!python\n")


@refuse("reserved for the interpreter")
def script_named_python():
    return member(f"{DATA}/scripts/python", "#!/bin/sh\n")


@refuse("reserved for the interpreter")
def script_named_python_with_a_version():
    return member(f"{DATA}/scripts/Python3.12", "#!/bin/sh\n")


@refuse("reserved for the interpreter")
def script_named_pypy():
    return member(f"{DATA}/scripts/pypy3", "#!/bin/sh\n")


@refuse("reserved for the interpreter")
def script_named_activate():
    return member(f"{DATA}/scripts/Activate.ps1", "evil\n")


@accept(has={"demo.py": MODULE})
def script_of_an_entry_point():
    """Left by setuptools; installers make their own."""
    return wheel(Member(f"{DATA}/scripts/demo", "#!python\nimport evil\n"),
                 Member(f"{INFO}/entry_points.txt", "[console_scripts]\ndemo = demo:main\n"))


# Entry points

@refuse("none for a script")
def entry_point_that_escapes():
    return entry_points("[console_scripts]\n../../evil = demo:main\n")


@refuse("none for a script")
def entry_point_absolute():
    return entry_points("[console_scripts]\n/tmp/evil = demo:main\n")


@refuse("none for a script")
def entry_point_that_is_the_parent():
    return entry_points("[gui_scripts]\n.. = demo:main\n")


@refuse("none for a script")
def entry_point_with_a_space():
    return entry_points("[console_scripts]\nfoo bar = demo:main\n")


@refuse("reserved for the interpreter")
def entry_point_named_python():
    return entry_points("[console_scripts]\npython3.12 = demo:main\n")


@refuse("reserved for the interpreter")
def entry_point_named_activate():
    return entry_points("[console_scripts]\nactivate = demo:main\n")


@refuse("module:attribute")
def entry_point_with_code_in_it():
    return entry_points("[console_scripts]\ntool = demo:main;import os\n")


@refuse("module:attribute")
def entry_point_with_code_in_the_module():
    return entry_points("[console_scripts]\ntool = demo import x;x:main\n")


@refuse("module:attribute")
def entry_point_without_a_function():
    return entry_points("[console_scripts]\ntool = demo\n")


@refuse("module:attribute")
def entry_point_without_a_value():
    return entry_points("[console_scripts]\ntool\n")


@refuse("another one has as well")
def entry_point_twice():
    return entry_points("[console_scripts]\ntool = demo:main\ntool = demo:other\n")


@accept(has={"demo.py": MODULE})
def entry_points_of_other_groups():
    return entry_points("; odd\n[other]\n../../x = anything goes; here\n\n[console_scripts]\n# a comment\n"
                        "  tool = demo : main [extra]\r\nactivate-global-demo=demo:main\n")


# Targets that meet

@refuse("installed to one path and differ")
def two_members_for_one_path():
    return wheel(Member(f"{DATA}/purelib/demo.py", "value = 'other'\n"))


@refuse("installed to one path and differ")
def two_members_for_one_path_in_data():
    return wheel(Member(f"{DATA}/purelib/x.py", "a = 1\n"), Member(f"{DATA}/platlib/x.py", "b = 2\n"))


@accept(has={"demo.py": MODULE})
def two_equal_members_for_one_path():
    return wheel(Member(f"{DATA}/purelib/demo.py", MODULE))


@refuse("where others need a folder")
def file_where_another_member_needs_a_folder():
    return wheel(Member(f"{DATA}/purelib/pkg", "x"), Member("pkg/a.py", "x = 1\n"))


@refuse("second dist-info")
def dist_info_hidden_in_data():
    return member(f"{DATA}/purelib/evil-2.0.dist-info/METADATA", METADATA)


@refuse("second dist-info")
def dist_info_hidden_in_data_in_capitals():
    return member(f"{DATA}/platlib/EVIL-2.0.DIST-INFO/METADATA", METADATA)


@refuse("in the place of the dist-info")
def file_in_the_place_of_the_dist_info():
    return member(f"{DATA}/purelib/{INFO}")


@refuse("second RECORD")
def record_hidden_in_data():
    return member(f"{DATA}/purelib/{INFO}/RECORD", "")


# Left out

@accept(has={"demo.py": MODULE}, lacks=("__pycache__", "pkg/__pycache__"))
def bytecode():
    return wheel(Member("__pycache__/demo.cpython-312.pyc", b"evil"),
                 Member("pkg/__pycache__/x.cpython-312.pyc", b"evil"), Member("pkg/x.py", "x = 1\n"))


@accept(has={"demo.py": MODULE})
def installation_records_in_the_wheel():
    return wheel(Member(f"{INFO}/INSTALLER", "evil"), Member(f"{INFO}/REQUESTED"),
                 Member(f"{INFO}/direct_url.json", '{"url": "https://evil.example/x.whl"}'))
