"""The comparison of trees tells what differs, and is silent about what may."""
import pytest

from support import tree


@pytest.fixture(scope="session")
def installed(session_folder):
    return session_folder


@pytest.fixture
def pair(plain_venv, make_wheel):
    wheel = make_wheel("demo", files={"demo/a.py": "a = 1\n", "demo/b.py": ""}, entry_points={"console_scripts": {"demo": "demo.a:a"}})
    return plain_venv([wheel]), plain_venv([wheel])


def compare(pair):
    return tree.differences(*(tree.snapshot_venv(v.path) for v in pair))


def test_two_installations_by_pip_are_equal(pair):
    assert compare(pair) == []


@pytest.mark.parametrize("spoil", ["write", "mode", "remove", "add"])
def test_every_difference_shows(pair, spoil):
    path = pair[0].site / "demo/a.py"
    if spoil == "write":
        path.write_text("a = 2\n")
    elif spoil == "mode":
        path.chmod(0o755)
    elif spoil == "remove":
        path.unlink()
    else:
        (path.parent / "c.py").write_text("")
    found = compare(pair)
    assert len(found) == 1 and "site-packages/demo/" in found[0]
