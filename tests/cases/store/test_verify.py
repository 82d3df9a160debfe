"""Damage in the store is found, named with the packages that it hits, and healed by adding the wheel again."""
import sqlite3

import pytest

LARGE = 400_000  # bytes; an object


@pytest.fixture
def filled(venv, make_wheel, store):
    """Two packages that share an object, and a small one."""
    data = bytes((i * 11 + (i >> 7)) & 255 for i in range(LARGE))
    wheels = [make_wheel("one", "1.0", {"one/__init__.py": "x = 1\n" * 50, "one/lib.so": data}),
              make_wheel("two", "2.0", {"two/lib.so": data}),
              make_wheel("small", "3.0", {"small.py": "y = 2\n" * 50})]
    venv.fusepkg("add", "--no-mount", *wheels)
    return Filled(store, venv, wheels)


class Filled:
    def __init__(self, store, venv, wheels):
        self.store, self.venv, self.wheels = store, venv, wheels
        (self.object,) = [p for p in (store / "objects").rglob("*") if p.is_file()]
        self.images = [p for p in (store / "images").rglob("*") if p.is_file()]

    def image(self, word):
        """The image whose metadata has WORD (it is not compressed)."""
        (found,) = [p for p in self.images if word in p.read_bytes()]
        return found

    def verify(self, status):
        answer = self.venv.account.fusepkg("store", "verify", "--json", status=status).json()
        assert answer["ok"] == (status == 0)
        return {(e["path"], e["kind"]): e["packages"] for e in answer["errors"]}


def flip(path, offset):
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o444)


def truncate(path, size):
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.truncate(size)
    path.chmod(0o444)


@pytest.mark.parametrize("offset", [0, 65_536, LARGE - 1])
def test_a_flipped_byte_of_an_object_hits_both_packages(filled, offset):
    flip(filled.object, offset)
    name = str(filled.object.relative_to(filled.store))
    assert filled.verify(1) == {(name, "corrupt"): ["one==1.0", "two==2.0"]}
    text = filled.venv.account.fusepkg("store", "verify", status=1).out
    assert name in text and "one==1.0" in text and "two==2.0" in text and "small" not in text


@pytest.mark.parametrize("size", [0, 65_536, LARGE - 1])
def test_a_truncated_object_hits_both_packages(filled, size):
    truncate(filled.object, size)
    name = str(filled.object.relative_to(filled.store))
    assert filled.verify(1) == {(name, "truncated"): ["one==1.0", "two==2.0"]}


def test_a_missing_object_hits_both_packages_and_adding_brings_it_back(filled):
    filled.object.unlink()
    name = str(filled.object.relative_to(filled.store))
    assert filled.verify(1) == {(name, "missing"): ["one==1.0", "two==2.0"]}
    filled.venv.fusepkg("add", "--no-mount", "--reinstall", filled.wheels[0])
    assert filled.verify(0) == {}


@pytest.mark.parametrize("part", ["header", "block", "index", "end"])
def test_a_flipped_byte_of_an_image_is_named_with_its_package(filled, part):
    image = filled.image(b"small-3.0.dist-info\0")
    size = image.stat().st_size
    flip(image, {"header": 40, "block": 300, "index": size - 200, "end": size - 1}[part])
    assert filled.verify(1) == {(str(image.relative_to(filled.store)), "corrupt"): ["small==3.0"]}


@pytest.mark.parametrize("part", ["block", "object"])
def test_flipped_contents_are_healed_by_installing_again(filled, part):
    if part == "block":
        flip(filled.image(b"small-3.0.dist-info\0"), 300)
    else:
        flip(filled.object, 5)
    filled.verify(1)
    assert "--reinstall" in filled.venv.account.fusepkg("store", "verify", status=1).err
    filled.venv.fusepkg("add", "--no-mount", "--reinstall", *filled.wheels)
    assert filled.verify(0) == {}


@pytest.mark.parametrize("left", [0, 100, 256, -1])
def test_a_truncated_image_is_named_and_adding_brings_it_back(filled, left):
    image = filled.image(b"small-3.0.dist-info\0")
    truncate(image, left if left >= 0 else image.stat().st_size + left)
    assert filled.verify(1) == {(str(image.relative_to(filled.store)), "truncated"): ["small==3.0"]}
    filled.venv.fusepkg("add", "--no-mount", "--reinstall", filled.wheels[2])
    assert filled.verify(0) == {}


def test_a_missing_image_is_named_and_adding_brings_it_back(filled):
    image = filled.image(b"small-3.0.dist-info\0")
    image.unlink()
    assert filled.verify(1) == {(str(image.relative_to(filled.store)), "missing"): ["small==3.0"]}
    filled.venv.fusepkg("add", "--no-mount", "--reinstall", filled.wheels[2])
    assert filled.verify(0) == {}


def test_a_foreign_file_is_named(filled):
    (filled.store / "objects/notes").write_text("x")
    assert filled.verify(1) == {("objects/notes", "foreign"): []}


def test_several_damages_are_all_named(filled):
    flip(filled.object, 5)
    image = filled.image(b"small-3.0.dist-info\0")
    image.unlink()
    assert filled.verify(1) == {
        (str(filled.object.relative_to(filled.store)), "corrupt"): ["one==1.0", "two==2.0"],
        (str(image.relative_to(filled.store)), "missing"): ["small==3.0"],
    }


def test_verify_changes_nothing(filled):
    def state():
        paths = [p for p in filled.store.rglob("*") if "index" not in p.name]
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in paths}

    flip(filled.object, 5)
    before = state()
    filled.verify(1)
    assert state() == before


def test_what_a_power_cut_may_have_cost_is_verified_before_it_is_used_again(filled):
    with sqlite3.connect(filled.store / "index.db") as index:
        index.execute("UPDATE images SET boot = 'an earlier one'")
    index.close()
    flip(filled.object, 5)
    filled.venv.fusepkg("add", "--no-mount", "--reinstall", *filled.wheels)
    assert filled.verify(0) == {}
    with sqlite3.connect(filled.store / "index.db") as index:
        assert index.execute("SELECT count(*) FROM images WHERE boot = 'an earlier one'").fetchone() == (0,)
    index.close()
