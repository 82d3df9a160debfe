"""All or nothing: what cannot be added changes neither venv nor store, and says why in one line."""
import pytest

from support.make_wheel import record_hash


@pytest.fixture
def good(make_wheel):
    return make_wheel("good", entry_points={"console_scripts": {"good": "good:x"}})


def tree_of(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


@pytest.fixture
def refused(venv, good):
    """refused(args...): adds them beside a good wheel to a fresh venv and returns what was said."""
    def add(*args, status=1, **kwargs):
        before = tree_of(venv.path)
        result = venv.fusepkg("add", good, *args, status=status, **kwargs)
        assert tree_of(venv.path) == before
        errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, result
        assert result.out == ""
        return result.err

    return add


def test_a_bad_wheel_among_good_ones(refused, make_wheel):
    bad = make_wheel("bad")
    bad.write_bytes(bad.read_bytes()[:-30])
    assert "bad-1.0-py3-none-any.whl" in refused(bad)


def test_two_versions_of_one_name(refused, make_wheel):
    assert "two" in refused(make_wheel("x.y", "1.0"), make_wheel("X-Y", "2.0"))


def test_two_different_wheels_of_one_version(refused, make_wheel, folder):
    one = make_wheel("demo")
    other = make_wheel("demo", files={"demo.py": "other"}, folder=folder / "other")
    assert "two different wheels" in refused(one, other)


def test_one_wheel_twice_is_once(venv, make_wheel, folder):
    one, again = make_wheel("demo"), make_wheel("demo", folder=folder / "again")
    venv.fusepkg("add", one, one, again)
    assert len(venv.fusepkg("list", "--json").json()) == 1


def test_a_wheel_that_is_not_there(refused):
    assert "there is no wheel './nosuch-1.0-py3-none-any.whl'" in refused("./nosuch-1.0-py3-none-any.whl")


def test_a_folder(refused, good):
    said = refused(good.parent)
    assert "is a folder" in said and f"fusepkg add -f {good.parent} NAME" in said


def test_what_is_no_wheel(refused, folder):
    sdist = folder / "demo-1.0.tar.gz"
    sdist.write_bytes(b"")
    assert "not a wheel" in refused(sdist)


def test_a_name_without_a_wheel_at_hand(refused):
    said = refused("pandas")
    assert "pip download --only-binary :all: -d wheels pandas" in said and "fusepkg add -f wheels pandas" in said
    assert "'pandas>=2'" in refused("pandas>=2")


def test_a_name_that_the_folder_lacks(refused, good):
    assert "hint: `pip download" in refused("-f", good.parent, "nosuch")
    assert "there is no folder" in refused("-f", "/nonexistent", "nosuch")


def test_a_wheel_for_another_machine(refused, make_wheel):
    said = refused(make_wheel("demo", tag="cp27-cp27m-win32"))
    assert "cp27-cp27m-win32" in said and "py3-none-any" in said


def test_a_wheel_for_another_python(refused, make_wheel):
    said = refused(make_wheel("demo", metadata="Requires-Python: >=99\n"))
    assert ">=99" in said


def test_requires_python_can_be_ignored(venv, make_wheel):
    venv.fusepkg("add", "--ignore-requires-python", make_wheel("demo", metadata="Requires-Python: >=99\n"))


def test_a_wheel_that_unpacks_to_too_much(refused, make_wheel):
    assert "demo" in refused(make_wheel("demo", files={"demo.bin": b"\0" * 3_000_000}), "--max-unpacked", "2M")


def test_strict_refuses_a_record_that_lies(refused, make_wheel, venv):
    def lie(rows):
        return [(p, record_hash(b"other") if p == "demo.py" else h, s) for p, h, s in rows]

    wheel = make_wheel("demo", record=lie)
    assert "RECORD" in refused("--strict", wheel)
    assert "warning: " in venv.fusepkg("add", wheel).err


def test_strict_refuses_conflicts(venv, make_wheel):
    a, b = (make_wheel(n, files={"shared.py": n}) for n in ("aa", "bb"))
    venv.fusepkg("add", a)
    before = (venv.state / "environment").read_bytes()
    assert "shared.py" in venv.fusepkg("add", "--strict", b, status=1).err
    assert (venv.state / "environment").read_bytes() == before


def test_nothing_named_is_wrong_usage(venv):
    assert "hint: usage: fusepkg add" in venv.fusepkg("add", status=2).err
    assert venv.fusepkg("add", "--bogus", status=2).err.startswith("error: unknown option '--bogus'\n")
    assert venv.fusepkg("add", "--max-unpacked", "lots", "x", status=2).err.startswith("error: 'lots' is not a size")
    assert venv.fusepkg("remove", status=2).err.startswith("error: ")
