"""A mount goes, or comes, at the moment at which a command is about to open site-packages.

umount waits for commands that hold the venv's lock; the umount of the system, and a Python that mounts as it starts, do
not."""
import shlex
import subprocess
from pathlib import Path

import pytest

from support.account import remove_tree

pytestmark = pytest.mark.release  # sanitizers want to be the first library

OPENS = 20 # no command opens it as often


@pytest.fixture(scope="module")
def library(session_folder):
    library = session_folder / "between.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("between.c"), "-ldl"], check=True)
    return library


@pytest.fixture
def venv(root, new_venv, make_wheel):
    """One package by fusepkg, one by pip through the mount, one below it."""
    venv = new_venv(root)
    root.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", make_wheel("below"))
    venv.fusepkg("add", make_wheel("one"), make_wheel("two"))
    root.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", make_wheel("pipped"))
    return venv


def each_moment(venv, library, between, mounted, command, *args, status=0):
    """Runs COMMAND as often as it opens site-packages, with BETWEEN before another one of these each time."""
    happened = venv.account.folder / "happened"
    between = f"touch {shlex.quote(str(happened))}; {between}"
    for n in range(1, OPENS):
        if venv.is_mounted != mounted:
            venv.fusepkg("mount" if mounted else "umount")
        yield n, venv.fusepkg(command, *args, env={"LD_PRELOAD": library, "BETWEEN": between, "BETWEEN_N": str(n)},
                                    status=status)
        if not happened.exists():
            assert n > 1
            return
        happened.unlink()
    raise AssertionError("it opens it again and again")


def goes(venv):
    return f"umount {shlex.quote(str(venv.site))} 2>/dev/null || :" # it is in use, maybe


def comes(venv):
    return f"{shlex.quote(str(venv.python))} -c ''"


@pytest.mark.parametrize("event, mounted", [(goes, True), (comes, False)])
@pytest.mark.parametrize("command", ["list --json", "list -v", "freeze", "show one below pipped"])
def test_what_is_listed(venv, library, event, mounted, command):
    expected = venv.fusepkg(command).out
    assert "below" in expected and "pipped" in expected
    for n, said in each_moment(venv, library, event(venv), mounted, command):
        assert said.out == expected, n
        assert said.err == "", n


@pytest.mark.parametrize("event, mounted", [(goes, True), (comes, False)])
@pytest.mark.parametrize("name", ["one", "below", "pipped"])
def test_what_is_removed(venv, library, event, mounted, name, make_wheel):
    for n, said in each_moment(venv, library, event(venv), mounted, "remove", name):
        assert f" - {name}==1.0" in said.err + said.out, n
        assert name not in [p["name"] for p in venv.fusepkg("list", "--json").json()], n
        venv.fusepkg("add", make_wheel(name))


def test_what_is_exported(venv, library, folder):
    """All of it, or nothing: it cannot be without a mount."""
    for n, said in each_moment(venv, library, goes(venv), True, "export", "--to", folder / "exported", status=None):
        if said.status:
            assert "which only a mount shows" in said.err, n
            assert not (folder / "exported").exists(), n
            continue
        names = {path.name for path in (folder / "exported").glob("lib/*/site-packages/*.dist-info")}
        assert names == {f"{name}-1.0.dist-info" for name in ("one", "two", "below", "pipped")}, n
        remove_tree(folder / "exported")


def test_what_is_there_is_not_looked_for(venv, library):
    """As is_satisfied: no wheel of it is at hand."""
    for n, said in each_moment(venv, library, goes(venv), True, "add", "one==1.0", "--no-mount"):
        assert said.status == 0, n
