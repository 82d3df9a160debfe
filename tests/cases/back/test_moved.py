"""Venvs that were moved, copied or cleared, and stores that were moved or deleted."""
import subprocess

import pytest

from support.venvs import Venv


def tool(make_wheel):
    return make_wheel("demo", entry_points={"console_scripts": {"demo-tool": "demo:main"}}, files={
        "demo.py": "version = '1.0'\ndef main():\n    print('tool')\n", "{data}/data/share/demo/page": "page"})


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """demo, with an edit, unmounted."""
    venv = new_venv(account)
    venv.fusepkg("add", tool(make_wheel))
    account.run(["sh", "-c", 'echo "x = 1" >> "$1"/demo.py', "sh", venv.site])
    venv.fusepkg("umount")
    return venv


def at(venv, name):
    return Venv(venv.path.with_name(name), venv.account)


def move(venv, name="moved"):
    venv.account.run(["mv", venv.path, venv.path.with_name(name)])
    return at(venv, name)


def copy(venv, name="copy"):
    venv.account.run(["cp", "-a", venv.path, venv.path.with_name(name)])
    return at(venv, name)


def identity(venv):
    return next(x for x in (venv.state / "environment").read_text().splitlines() if x.startswith("id "))


def works(venv):
    assert venv.account.run([venv.bin / "demo-tool"]).out == "tool\n"
    assert venv.run_python("import demo; print(demo.x)").out == "1\n"
    assert venv.account.run(["cat", venv.path / "share/demo/page"]).out == "page"


def test_a_moved_venv_works_on(venv, make_wheel):
    moved = move(venv)
    said = moved.fusepkg("mount").err
    assert str(venv.path) in said and "bin/activate" in said
    works(moved)
    assert str(venv.path) not in (moved.bin / "demo-tool").read_text()
    moved.fusepkg("umount")
    assert "moved" not in moved.fusepkg("mount").err.replace(str(moved.path), "")
    moved.fusepkg("add", make_wheel("other"))
    assert [e["venv"] for e in moved.account.fusepkg("status", "--json").json() if e["state"] != "missing"] == [str(moved.path)]
    moved.close()


def test_its_python_mounts_where_it_is_now(venv):
    moved = move(venv)
    assert moved.run_python("import demo; print(demo.x)").out == "1\n"
    assert moved.is_mounted
    # The store knows: gc leaves its packages.
    assert [(e["venv"], e["state"]) for e in moved.account.fusepkg("status", "--json").json()] == [(str(moved.path), "mounted")]
    moved.close()


def test_a_copy_is_refused_until_it_is_adopted(venv, make_wheel):
    other = copy(venv)
    for command in (["mount"], ["add", make_wheel("new")], ["remove", "-y", "demo"]):
        said = other.fusepkg(*command, status=1).err
        assert "copy of" in said and str(venv.path) in said and "--adopt-copy" in said
    result = other.run_python("print('on')")
    assert result.out == "on\n" and result.err.count("\n") == 1 and "--adopt-copy" in result.err
    works(venv)
    other.fusepkg("mount", "--adopt-copy")
    works(other)
    assert identity(other) != identity(venv)
    assert venv.is_mounted and other.is_mounted
    names = {e["venv"]: e["state"] for e in other.account.fusepkg("status", "--json").json()}
    assert names[str(venv.path)] == names[str(other.path)] == "mounted"
    other.account.run(["sh", "-c", 'echo "x = 2" >> "$1"/demo.py', "sh", other.site])
    other.fusepkg("umount")
    other.fusepkg("mount")
    assert other.run_python("import demo; print(demo.x)").out == "2\n"
    works(venv)
    other.close()


def test_of_a_moved_and_a_copied_one_the_moved_one_is_it(venv):
    other = copy(venv)
    moved = move(venv)
    moved.fusepkg("mount")
    works(moved)
    assert "copy of" not in moved.fusepkg("umount").err
    other.account.run(["rm", "-rf", other.path])


def test_a_copy_of_what_was_mounted_comes_back_as_well(venv, make_wheel):
    """Its bare folder has all files, the marker of a mount among them."""
    venv.fusepkg("mount")
    other = copy(venv)
    venv.fusepkg("umount")
    assert (other.site / ".fusepkg").exists() and not other.is_mounted
    assert other.run_python("import demo; print(demo.x)").out == "1\n"
    assert ".fusepkg" not in other.fusepkg("status", "--json").json()[0]["appeared"]
    assert " - demo" not in other.fusepkg("mount", "--adopt-copy").err
    works(other)
    other.fusepkg("add", make_wheel("more"))
    assert {p["name"] for p in other.fusepkg("list", "--json").json()} == {"demo", "more"}
    other.fusepkg("umount")
    result = other.run_python("import more, demo; print(demo.x)")
    assert (result.out, result.err) == ("1\n", "") and other.is_mounted
    other.close()


def test_a_place_is_listed_once(account, venv, make_wheel, new_venv):
    """Leases of what was deleted, moved, or made anew stay until `store gc`."""
    for _ in range(2):
        account.run(["rm", "-rf", venv.state])
        venv.fusepkg("add", "--no-mount", make_wheel("demo"))

    def look():
        listed = account.fusepkg("status", "--json").json()
        assert len(listed) == len({e["venv"] for e in listed})
        return {e["venv"]: e["state"] for e in listed}

    assert look() == {str(venv.path): "unmounted"}
    moved = move(venv)
    moved.run_python("import demo")
    assert look() == {str(moved.path): "mounted", str(venv.path): "missing"}
    moved.close()
    account.run(["rm", "-rf", moved.path])
    assert look() == {str(venv.path): "missing", str(moved.path): "missing"}


@pytest.mark.parametrize("moved", [False, True])
def test_a_venv_that_can_only_be_read_is_shown_at_another_place(root, new_venv, make_wheel, moved):
    """As a container has one that is bound into it."""
    venv = new_venv(root)
    venv.fusepkg("add", tool(make_wheel))
    venv.fusepkg("umount")
    source = move(venv).path if moved else venv.path
    place = venv.path.with_name("place")
    place.mkdir()
    subprocess.run(["mount", "--bind", source, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", place], check=True)
        there = at(venv, "place")
        result = there.run_python("import demo; print(demo.version)")
        assert (result.out, result.err) == ("1.0\n", "") and there.is_mounted
        there.fusepkg("umount")
        assert there.fusepkg("mount").err.count("\n") == 1
        assert "Read-only" in there.fusepkg("remove", "demo", status=1).err
        there.fusepkg("umount")
    finally:
        subprocess.run(["umount", place], check=True)


def test_adopting_what_is_no_copy_changes_nothing(venv):
    before = identity(venv)
    venv.fusepkg("mount", "--adopt-copy")
    assert identity(venv) == before
    works(venv)


def test_uv_clears_an_unmounted_venv_and_fails_on_a_mounted_one(account, venv, make_wheel):
    argv = ["venv", "--quiet", "--clear", "--python", "/usr/bin/python3", venv.path]
    venv.fusepkg("mount")
    assert "failed to remove" in account.uv(*argv, status=2).err
    account.run([account.installed / "bin/fusepkg", "umount", "--venv", venv.path])
    account.uv(*argv)
    assert not venv.state.exists()
    venv.fusepkg("add", make_wheel("new"))
    venv.run_python("import new")


def test_a_moved_store_is_found_once_it_is_named(account, venv):
    place = account.store.with_name("elsewhere")
    account.run(["mv", account.store, place])
    result = venv.run_python("print('on')", env={"FUSEPKG_STORE": None})
    assert result.out == "on\n" and result.err.count("\n") == 1 and str(account.store) in result.err
    said = venv.fusepkg("mount", status=1, env={"FUSEPKG_STORE": None}).err
    assert said.count("error:") == 1 and str(account.store) in said and "FUSEPKG_STORE" in said
    venv.fusepkg("mount", env={"FUSEPKG_STORE": place})
    works(venv)
    venv.fusepkg("umount", env={"FUSEPKG_STORE": None})
    assert venv.run_python("import demo; print(demo.x)", env={"FUSEPKG_STORE": None}).out == "1\n"


def test_a_deleted_store_is_a_sentence(account, venv):
    account.run(["chmod", "-R", "u+w", account.store])
    account.run(["rm", "-rf", account.store])
    said = venv.fusepkg("mount", status=1).err
    assert said.count("error:") == 1 and str(account.store) in said
    result = venv.run_python("print('on')")
    assert result.out == "on\n" and result.err.count("\n") == 1
