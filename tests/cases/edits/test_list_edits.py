"""list, show, freeze, status, add and remove, when pip has been at work in the mount."""
import pytest

from support.seen import files, shell


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account, name="venv")
    venv.fusepkg("add", make_wheel("demo", "1.0", {"demo/__init__.py": "version = 1\n", "demo/old.py": ""}),
                 make_wheel("six", "1.0"), make_wheel("stays", "1.0"))
    return venv


def pip(venv, *args):
    venv.account.pip("--python", venv.python, *args)


def names(venv):
    return {d["name"]: d["version"] for d in venv.fusepkg("list", "--json").json()}


def slots(venv):
    return {line.split()[5] for line in (venv.state / "environment").read_text().splitlines() if line.startswith("slot ")}


def test_list_tells_what_is_there(venv, make_wheel):
    pip(venv, "install", "--quiet", "--no-deps", make_wheel("more", "3.0"), make_wheel("demo", "2.0"))
    pip(venv, "uninstall", "--quiet", "-y", "six")
    there = {"demo": "2.0", "more": "3.0", "stays": "1.0"}
    assert names(venv) == there
    by = {d["name"]: d["installer"] for d in venv.fusepkg("list", "-v", "--json").json()}
    assert by == {"demo": "pip", "more": "pip", "stays": "fusepkg"}
    frozen, shown = venv.fusepkg("freeze").out, venv.fusepkg("show", "demo", "more").out
    assert "Version: 2.0" in shown and "Installer: pip" in shown
    assert "six" not in frozen
    # pip is the judge of what is there
    assert frozen == venv.account.pip("--python", venv.python, "freeze").out
    venv.fusepkg("umount")
    assert names(venv) == there
    assert {d["name"]: d["installer"] for d in venv.fusepkg("list", "-v", "--json").json()} == by
    assert venv.fusepkg("freeze").out == frozen and venv.fusepkg("show", "demo", "more").out == shown


def test_what_pip_removed_leaves_the_environment(venv, make_wheel):
    pip(venv, "uninstall", "--quiet", "-y", "six")
    assert "Skipping six as it is not installed" in venv.fusepkg("remove", "six").err
    venv.fusepkg("add", make_wheel("more"))
    assert slots(venv) == {"demo", "stays", "more"}
    assert names(venv) == {"demo": "1.0", "stays": "1.0", "more": "1.0"}
    venv.run_python("import six", status=1)
    assert " + six==1.0" in venv.fusepkg("add", make_wheel("six", "1.0")).err
    venv.run_python("import six")


def test_what_pip_removed_can_be_added_again(venv, make_wheel):
    wheel = make_wheel("six", "1.0")
    pip(venv, "uninstall", "--quiet", "-y", "six")
    assert " + six==1.0" in venv.fusepkg("add", "-f", wheel.parent, "six").err
    venv.run_python("import six")
    assert venv.fusepkg("diff").out == ""


@pytest.mark.parametrize("mounted", [True, False])
def test_remove_what_pip_installed(venv, make_wheel, mounted):
    before = files(venv)
    pip(venv, "install", "--quiet", "--no-deps", make_wheel(
        "more", "3.0", {"more/x.py": "x = 1\n", "more/deep/y.py": ""}, entry_points={"console_scripts": {"more": "more.x:x"}}))
    assert (venv.bin / "more").exists()
    venv.run_python("import more.deep.y", env={"PYTHONDONTWRITEBYTECODE": None})
    if not mounted:
        venv.fusepkg("umount")
    result = venv.fusepkg("remove", "more")
    assert " - more==3.0" in result.err and "Uninstalled 1 package" in result.err
    assert names(venv) == {"demo": "1.0", "six": "1.0", "stays": "1.0"}
    assert not (venv.bin / "more").exists()
    if not mounted:
        venv.fusepkg("mount")
    assert files(venv) == before
    assert not (venv.state / "kept").exists()


@pytest.mark.parametrize("mounted", [True, False])
def test_add_replaces_what_pip_installed(venv, make_wheel, mounted):
    pip(venv, "install", "--quiet", "--no-deps", make_wheel("demo", "2.0", {"demo/__init__.py": "version = 2\n", "demo/new.py": ""}))
    assert venv.run_python("import demo, demo.new; print(demo.version)").out == "2\n"
    if not mounted:
        venv.fusepkg("umount")
    said = venv.fusepkg("add", make_wheel("demo", "3.0", {"demo/__init__.py": "version = 3\n"})).err.splitlines()
    assert " - demo==2.0" in said and " + demo==3.0" in said
    assert venv.run_python("import demo; print(demo.version)").out == "3\n"
    assert set(files(venv, "demo")) == {"__init__.py"}
    assert names(venv)["demo"] == "3.0" and venv.fusepkg("diff").out == ""
    assert not (venv.state / "kept").exists()


def kept(venv):
    return {str(p.relative_to(venv.state / "kept")): p.read_text() for p in (venv.state / "kept").rglob("*") if p.is_file()}


@pytest.mark.parametrize("tool", ["pip", "uv"])
@pytest.mark.parametrize("mounted", [True, False])
def test_what_was_changed_in_what_pip_installed_is_kept(venv, make_wheel, tool, mounted):
    wheels = [make_wheel(name, "2.0", {f"{name}/same.py": "x = 1\n", f"{name}/size.py": "x = 1\n", f"{name}/other.py": "x = 1\n"},
                         entry_points={"console_scripts": {name: f"{name}.same:x"}}) for name in ("demo", "more")]
    if tool == "pip":
        pip(venv, "install", "--quiet", "--no-deps", *wheels)
    else:
        venv.account.uv("pip", "install", "--quiet", "--no-deps", "--python", venv.python, *wheels)
    shell(venv, "for p in demo more; do echo 'x = 2' > $p/other.py; echo 'y = 1' >> $p/size.py; echo mine > $p/mine.txt; done")
    (venv.bin / "more").write_text("mine\n")
    if not mounted:
        venv.fusepkg("umount")
    venv.fusepkg("remove", "more")
    venv.fusepkg("add", make_wheel("demo", "3.0", {"demo/__init__.py": ""}))
    assert kept(venv) == {"2/more/other.py": "x = 2\n", "2/more/size.py": "x = 1\ny = 1\n", "2/bin/more": "mine\n",
                          "3/demo/other.py": "x = 2\n", "3/demo/size.py": "x = 1\ny = 1\n"}
    assert venv.fusepkg("status", "--json").json()[0]["kept"] == sorted(".fusepkg/kept/" + path for path in kept(venv))
    assert set(files(venv, "demo")) == {"__init__.py", "mine.txt"} and set(files(venv, "more")) == {"mine.txt"}
    venv.fusepkg("verify", status=1)


def test_the_scripts_of_what_pip_upgraded_stay(account, new_venv, make_wheel):
    venv = new_venv(account)
    scripts = {"entry_points": {"console_scripts": {"tool": "tool:main"}}}
    venv.fusepkg("add", make_wheel("tool", "1.0", {"tool.py": "def main(): print(1)\n"}, **scripts), make_wheel("six"))
    pip(venv, "install", "--quiet", "--no-deps", "-U", make_wheel("tool", "2.0", {"tool.py": "def main(): print(2)\n"}, **scripts))
    venv.fusepkg("remove", "six")
    assert account.run([venv.bin / "tool"]).out == "2\n"
    venv.fusepkg("remove", "tool")
    assert not (venv.bin / "tool").exists() and names(venv) == {}


def test_without_a_mount_edits_are_carried(venv, make_wheel):
    shell(venv, "echo mine > demo/old.py")
    venv.fusepkg("umount")
    venv.fusepkg("add", "--no-mount", make_wheel("demo", "2.0", {"demo/__init__.py": ""}))
    assert [p.read_text() for p in (venv.state / "kept").rglob("old.py")] == ["mine\n"]
    assert "kept: .fusepkg/kept/2/demo/old.py" in venv.fusepkg("diff").err
    assert venv.fusepkg("status", "--json").json()[0]["kept"] == [".fusepkg/kept/2/demo/old.py"]
    assert "kept: .fusepkg/kept/2/demo/old.py" in venv.fusepkg("status").out


def test_status_counts_edits(venv):
    assert venv.fusepkg("status", "--json").json()[0]["edited"] == 0
    shell(venv, "echo mine > demo/old.py; echo new > demo/new.py")
    assert venv.fusepkg("status", "--json").json()[0]["edited"] == 2
    assert "2 changed or new files, bytecode included: `fusepkg diff --generated`" in venv.fusepkg("status").out
