"""What the bare site-packages holds stays there, and is visible in the mount."""
import pytest

from support import tree
from support.venvs import OWN_FILES


def bare_install(venv, *wheels):
    venv.account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", *wheels)


def snapshot(venv):
    """Without fusepkg's own files."""
    return tree.snapshot(venv.site, skip=lambda path: path in OWN_FILES)


def bare_version(venv):
    """As Python sees it that does not mount: without `site`."""
    code = f"import sys; sys.path.insert(0, {str(venv.site)!r}); import importlib.metadata as m, demo; print(m.version('demo'), demo.version)"
    return venv.account.run([venv.python, "-S", "-c", code]).out.split()


def version(venv):
    return venv.run_python("import importlib.metadata as m, demo; print(m.version('demo'), demo.version)").out.split()


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """A venv into which pip installed demo 1.0 and other 1.0."""
    venv = new_venv(account)
    bare_install(venv, make_wheel("demo"), make_wheel("other"))
    return venv


def test_bare_distributions_are_visible_and_importable(venv, make_wheel):
    venv.fusepkg("add", make_wheel("added"))
    venv.run_python("import demo, other, added")
    names = {p["name"] for p in venv.fusepkg("list", "--json").json()}
    assert names == {"added", "demo", "other"}


def test_an_upgraded_one_is_hidden_and_comes_back_with_umount(venv, make_wheel):
    before = snapshot(venv)
    venv.fusepkg("add", make_wheel("demo", "2.0"))
    assert version(venv) == ["2.0", "2.0"]
    venv.fusepkg("umount")
    assert bare_version(venv) == ["1.0", "1.0"]
    assert snapshot(venv) == before
    venv.fusepkg("mount")
    assert version(venv) == ["2.0", "2.0"]


def test_a_removed_one_is_hidden_and_comes_back_with_umount(venv, make_wheel):
    before = snapshot(venv)
    venv.fusepkg("add", make_wheel("added"))
    venv.fusepkg("remove", "-y", "demo")
    venv.run_python("import other, added")
    assert "ModuleNotFoundError" in venv.run_python("import demo", status=1).err
    assert {p["name"] for p in venv.fusepkg("list", "--json").json()} == {"added", "other"}
    venv.fusepkg("umount")
    assert bare_version(venv) == ["1.0", "1.0"]
    assert snapshot(venv) == before


def test_removing_the_upgrade_does_not_bring_the_bare_one_back(venv, make_wheel):
    """As with pip: what was removed is not there; the bare one shows when unmounted."""
    venv.fusepkg("add", make_wheel("demo", "2.0"))
    venv.fusepkg("remove", "-y", "demo")
    assert "ModuleNotFoundError" in venv.run_python("import demo", status=1).err
