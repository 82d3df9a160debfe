"""The oracle is pip: what it writes into a plain venv is what a mounted one shows, inside and outside of site-packages."""
from support import tree


def test_a_mounted_venv_equals_what_pip_installs(account, new_venv, plain_venv, real_wheels, other_partition):
    wheels = real_wheels()
    ours, theirs = new_venv(account, on=other_partition), plain_venv(wheels)
    ours.fusepkg("add", *wheels)
    shown, written = tree.snapshot_venv_as(account, ours), tree.snapshot_venv(theirs)
    assert len(written) > 3000
    assert tree.differences(shown, written, ("fusepkg's", "pip's")) == []


def test_the_packages_work(account, new_venv, real_wheels):
    venv = new_venv(account)
    venv.fusepkg("add", *real_wheels())
    out = venv.run_python("import numpy, requests, rich.console, pygments.lexers, attrs, importlib.metadata as m;"
                          "print(numpy.linalg.det(numpy.eye(3)), len(list(m.distributions())))").out
    assert out.split() == ["1.0", str(len(real_wheels()))]
    assert account.run([venv.bin / "ruff", "--version"]).out.startswith("ruff ")
    assert account.run([venv.bin / "pygmentize", "-N", "a.py"]).out == "python\n"
