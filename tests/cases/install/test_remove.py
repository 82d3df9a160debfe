"""remove: everything of the package goes, and nothing else."""
from support import tree


def test_what_add_brought_goes_again(account, new_venv, make_wheel):
    venv = new_venv(account)
    before = tree.snapshot_venv_as(account, venv)
    wheel = make_wheel("demo", files={"demo/__init__.py": "", "{data}/data/share/demo/x": "",
                                      "{data}/data/include/y.h": "", "{data}/headers/z.h": "", "{data}/scripts/tool": "#!python\n"},
                       entry_points={"console_scripts": {"demo": "demo:x"}})
    venv.fusepkg("add", wheel)
    result = venv.fusepkg("remove", "-y", "Demo")
    assert result.err.splitlines()[0].startswith("Uninstalled 1 package in ")
    assert result.err.splitlines()[1] == " - demo==1.0"
    assert tree.differences(tree.snapshot_venv_as(account, venv), before) == []
    assert venv.is_mounted


def test_the_last_package_can_come_back(venv, make_wheel):
    wheel = make_wheel("demo")
    for _ in range(3):
        venv.fusepkg("add", wheel)
        venv.run_python("import demo")
        venv.fusepkg("remove", "demo")
        venv.run_python("import demo", status=1)


def test_names_that_are_not_there_are_skipped(venv, make_wheel):
    result = venv.fusepkg("uninstall", "nosuch")
    assert result.err.splitlines() == ["warning: Skipping nosuch as it is not installed",
                                       "warning: No packages to uninstall"]
    assert not venv.state.exists()
    venv.fusepkg("add", make_wheel("demo"))
    said = venv.fusepkg("rm", "nosuch", "demo", "demo").err
    assert "Skipping nosuch" in said and " - demo==1.0" in said


def test_by_a_requirements_file(venv, make_wheel, folder):
    venv.fusepkg("add", *[make_wheel(n) for n in ("aa", "bb", "cc")])
    (folder / "gone.txt").write_text("aa==1.0\nbb==1.0\n")
    venv.fusepkg("remove", "-r", folder / "gone.txt")
    assert venv.fusepkg("freeze").out.startswith("cc @ ")


def test_without_a_mount(venv, make_wheel):
    venv.fusepkg("add", "--no-mount", make_wheel("demo", entry_points={"console_scripts": {"demo": "demo:x"}}))
    venv.fusepkg("remove", "demo")
    assert not venv.is_mounted and not (venv.bin / "demo").exists()
