"""Scripts in bin/: real files that run, and never at the cost of what the user has there."""
from support.make_wheel import executable


def wheel_with_script(make_wheel, version="1.0", name="demo"):
    return make_wheel(name, version, {f"{name}.py": f"def main(): print('{name} {version}')\n"},
                      entry_points={"console_scripts": {"tool": f"{name}:main"}})


def test_scripts_are_files_that_run(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", wheel_with_script(make_wheel), make_wheel("raw", files={
        "{data}/scripts/raw": "#!python\nimport sys; print(sys.prefix)\n",
        "{data}/scripts/shell": "#!/bin/sh\necho shell\n",
        "{data}/scripts/large": executable(b"#!/bin/sh\necho large; exit\n" + b"\0" * 300_000)}))
    assert account.run([venv.bin / "tool"]).out == "demo 1.0\n"
    assert account.run([venv.bin / "raw"]).out == f"{venv}\n"
    assert account.run([venv.bin / "shell"]).out == "shell\n"
    assert account.run([venv.bin / "large"]).out == "large\n"
    for name in ("tool", "raw", "shell", "large"):
        path = venv.bin / name
        assert not path.is_symlink() and path.stat().st_nlink == 1 and path.stat().st_uid == account.uid


def test_a_venv_whose_path_has_a_space(root, new_venv, make_wheel):
    venv = new_venv(root, name="a venv it's")
    raw = make_wheel("raw", files={"{data}/scripts/raw": "#!python\nprint('raw')\n"})
    venv.fusepkg("add", wheel_with_script(make_wheel), raw)
    assert root.run([venv.bin / "tool"]).out == "demo 1.0\n"
    assert root.run([venv.bin / "raw"]).out == "raw\n"


def test_left_overs_of_setuptools_are_not_installed(venv, make_wheel):
    venv.fusepkg("add", make_wheel("demo", files={"demo.py": "def main(): print('right')\n",
                                                  "{data}/scripts/tool": "#!python\nprint('wrong')\n",
                                                  "{data}/scripts/tool-script.py": "#!python\n"},
                                   entry_points={"console_scripts": {"tool": "demo:main"}}))
    assert "wrong" not in (venv.bin / "tool").read_text()
    assert not (venv.bin / "tool-script.py").exists()


def test_a_file_of_the_user_is_kept(venv, make_wheel):
    (venv.bin / "tool").write_text("mine\n")
    said = venv.fusepkg("add", wheel_with_script(make_wheel)).err
    assert f"warning: '{venv.bin}/tool' was in the way" in said
    assert (venv.state / "kept/1/bin/tool").read_text() == "mine\n"
    assert "demo" in (venv.bin / "tool").read_text()


def test_a_script_that_the_user_changed_is_kept(venv, make_wheel):
    venv.fusepkg("add", wheel_with_script(make_wheel))
    (venv.bin / "tool").write_text("#!/bin/sh\n# mine now\n")
    assert "warning" in venv.fusepkg("add", wheel_with_script(make_wheel, "2.0")).err
    assert (venv.state / "kept/2/bin/tool").read_text() == "#!/bin/sh\n# mine now\n"
    (venv.bin / "tool").write_text("again\n")
    venv.fusepkg("remove", "demo")
    assert (venv.state / "kept/3/bin/tool").read_text() == "again\n"
    assert not (venv.bin / "tool").exists()


def test_what_a_killed_run_left_undone_is_done_by_the_next_command(venv, make_wheel):
    """The list is of an older generation, scripts are missing, and half written ones lie about."""
    venv.fusepkg("add", wheel_with_script(make_wheel))
    old = (venv.state / "outside").read_text()
    venv.fusepkg("add", make_wheel("more", files={"more.py": "", "{data}/data/share/more": "x"},
                                   entry_points={"console_scripts": {"more": "more:x"}}))
    (venv.state / "outside").write_text(old)
    (venv.bin / "more").unlink()
    (venv.path / "share").unlink()
    (venv.state / "outside.new").mkdir()
    (venv.state / "outside.new/more").write_text("half")
    result = venv.fusepkg("add", make_wheel("third"))
    assert "warning" not in result.err
    assert "import" in (venv.bin / "more").read_text() and (venv.path / "share/more").read_text() == "x"
    assert not (venv.state / "outside.new").exists() and not (venv.state / "kept").exists()
