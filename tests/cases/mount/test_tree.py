"""The oracle is pip: what it writes into a plain venv is what a mounted one shows, inside and outside of site-packages."""
import pytest

from support import tree


@pytest.mark.parametrize("who, partition", [("root", "ext4"), ("root", "btrfs"), ("user", "xfs"), ("user", "tmpfs")])
def test_a_mounted_venv_equals_what_pip_installs(request, new_venv, pip_venv, real_wheels, who, partition):
    account = request.getfixturevalue(who)
    venv = new_venv(account, on=partition)
    venv.fusepkg("add", *real_wheels())
    shown, written = tree.snapshot_venv_as(account, venv), tree.snapshot_venv(pip_venv)
    assert len(written) > 2000
    assert tree.differences(shown, written, ("fusepkg's", "pip's")) == []


def test_export_equals_it_too(user, new_venv, pip_venv, real_wheels):
    venv = new_venv(user)
    venv.fusepkg("add", *real_wheels())
    venv.fusepkg("export", "--to", user.work / "exported0")
    # What venv itself made (bin/activate and so on) is no part of an export.
    made = tree.snapshot_venv(new_venv(user))
    written = {path: what for path, what in tree.snapshot_venv(pip_venv).items() if made.get(path) != what}
    copied = {path: what for path, what in tree.snapshot_venv(user.work / "exported0", venv).items() if made.get(path) != what}
    assert tree.differences(copied, written, ("fusepkg's", "pip's")) == []


@pytest.mark.parametrize("tool", ["venv", "uv", "virtualenv"])
def test_the_packages_work(account, new_venv, real_wheels, tool):
    venv = new_venv(account, tool=tool)
    venv.fusepkg("add", *real_wheels())
    out = venv.run_python("import numpy, requests, rich.console, pygments.lexers, attrs, importlib.metadata as m;"
                          "print(numpy.linalg.det(numpy.eye(3)), len(list(m.distributions())))").out
    assert out.split() == ["1.0", str(len(real_wheels()))]
    assert account.run([venv.bin / "ruff", "--version"]).out.startswith("ruff ")
    assert account.run([venv.bin / "pygmentize", "-N", "a.py"]).out == "python\n"
