"""What somebody else has put into the bare site-packages: visible, untouched, hidden when replaced, and back after
umount."""
from support import tree
from support.venvs import OWN_FILES


def bare_venv(account, new_venv, make_wheel, version="1.0"):
    venv = new_venv(account)
    account.pip("--python", venv.python, "install", "--no-deps", "--no-compile", wheel(make_wheel, version))
    return venv


def wheel(make_wheel, version):
    return make_wheel("demo", version, {"demo.py": f"def main(): print('{version}')\n"},
                      entry_points={"console_scripts": {"demo": "demo:main", f"demo{version[0]}": "demo:main"}})


def run_bare(account, venv, script):
    """As Python runs it that does not mount: without `site`."""
    code = f"import runpy, sys; sys.path.insert(0, {str(venv.site)!r}); runpy.run_path({str(venv.bin / script)!r}, run_name='__main__')"
    return account.run([venv.python, "-S", "-c", code]).out


def snapshot(account, venv):
    """Without fusepkg's own files."""
    found = tree.snapshot_venv_as(account, venv)
    return {path: what for path, what in found.items() if path.rpartition("/")[2] not in OWN_FILES}


def test_a_replaced_one_is_hidden_and_comes_back(account, new_venv, make_wheel):
    venv = bare_venv(account, new_venv, make_wheel)
    before = snapshot(account, venv)
    said = venv.fusepkg("add", wheel(make_wheel, "2.0")).err
    assert " - demo==1.0\n + demo==2.0\n" in said
    assert account.run([venv.bin / "demo"]).out == "2.0\n"
    assert not (venv.bin / "demo1").exists() and (venv.bin / "demo2").exists()
    assert venv.fusepkg("list", "--json").json() == [{"name": "demo", "version": "2.0"}]
    venv.fusepkg("umount")
    assert run_bare(account, venv, "demo") == run_bare(account, venv, "demo1") == "1.0\n"
    venv.fusepkg("mount")
    assert account.run([venv.bin / "demo"]).out == "2.0\n"
    venv.fusepkg("remove", "demo")
    venv.fusepkg("umount")
    assert tree.differences(snapshot(account, venv), before) == []


def test_a_removed_one_is_hidden_and_comes_back(account, new_venv, make_wheel):
    venv = bare_venv(account, new_venv, make_wheel)
    before = snapshot(account, venv)
    assert " - demo==1.0\n" in venv.fusepkg("remove", "demo").err
    assert venv.is_mounted
    venv.run_python("import demo", status=1)
    assert not (venv.bin / "demo").exists()
    assert "not installed" in venv.fusepkg("remove", "demo").err
    venv.fusepkg("umount")
    assert tree.differences(snapshot(account, venv), before) == []


def test_the_same_scripts_come_back_too(root, new_venv, make_wheel):
    """pip's script and ours have the same bytes; still the bare one is put back."""
    venv = bare_venv(root, new_venv, make_wheel)
    venv.fusepkg("add", wheel(make_wheel, "1.0"))
    venv.fusepkg("remove", "demo")
    assert not (venv.bin / "demo").exists()
    venv.fusepkg("umount")
    assert run_bare(root, venv, "demo") == "1.0\n"


def test_one_without_record_is_refused(root, new_venv, make_wheel):
    venv = bare_venv(root, new_venv, make_wheel)
    (venv.site / "demo-1.0.dist-info/RECORD").unlink()
    for command in (["remove", "demo"], ["add", wheel(make_wheel, "2.0")]):
        assert "RECORD" in venv.fusepkg(command[0], *command[1:], status=1).err
    assert root.run([venv.bin / "demo"]).out == "1.0\n"


def test_the_others_are_seen_beside_ours(venv, root, make_wheel):
    root.pip("--python", venv.python, "install", "--no-deps", "--no-compile", make_wheel("other"))
    venv.fusepkg("add", make_wheel("demo"))
    venv.run_python("import other, demo")
    assert [p["name"] for p in venv.fusepkg("list", "--json").json()] == ["demo", "other"]
