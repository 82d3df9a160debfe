"""What the tests of the edits share."""
import shutil

import pytest

FILES = {
    "demo/__init__.py": "", "demo/a.py": "a = 1\n", "demo/b.py": "b = 1\n", "demo/sub/c.py": "c = 1\n", "demo/sub/deep/d.py": "d = 1\n",
    "demo/small.txt": "small\n" * 10, "demo/big.bin": b"0123456789abcdef" * 50_000, "demo/other.bin": b"z" * 200_000,
    "{data}/data/share/demo/info.txt": "info\n", "{data}/data/etc/demo.conf": "conf\n",
}


@pytest.fixture
def demo(account, new_venv, make_wheel):
    """A mounted venv with FILES: root's, and an ordinary user's."""
    venv = new_venv(account)
    venv.fusepkg("add", "-q", make_wheel("demo", files=FILES))
    return venv


@pytest.fixture
def root_demo(root, new_venv, make_wheel):
    """The same, root's only: the test itself can work in it."""
    venv = new_venv(root)
    venv.fusepkg("add", "-q", make_wheel("demo", files=FILES))
    return venv


@pytest.fixture(params=["plain", "mount"])
def site(request, places):
    """The site-packages of root_demo; and a copy of it on ext4, which says whether the test itself is right."""
    venv = request.getfixturevalue("root_demo")
    if request.param == "mount":
        return venv.site
    plain = places.get("ext4") / "copy"
    shutil.copytree(venv.site, plain, symlinks=True)
    return plain


SLOW = {"test_flows.py", "test_machine.py", "test_kill_edits.py", "test_isolation.py", "test_programs.py", "test_power_cut.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """What runs other programs for minutes, or starts mounts again and again, does so without sanitizers: the marker release."""
    for item in items:
        if item.path.parent.name == "edits" and item.path.name in SLOW:
            item.add_marker(pytest.mark.release)
