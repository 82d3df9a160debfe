"""A store that was tampered with, or whose disk fails: an error and a line in the log, never wrong bytes."""
import os

import pytest

BIG = bytes(os.urandom(400_000))
SMALL = os.urandom(30_000)  # does not compress, so that the block is large enough to be hit

# Prints "error 5" (EIO), or "right"/"wrong" for the bytes that it got.
READ = """
import hashlib, sys
try:
    data = open(sys.argv[1], 'rb').read()
    print('right' if hashlib.sha256(data).hexdigest() == sys.argv[2] else 'wrong')
except OSError as e:
    print('error', e.errno)
"""


def read(venv, path, data):
    import hashlib
    return venv.account.run(["/usr/bin/python3", "-c", READ, venv.site / path, hashlib.sha256(data).hexdigest()]).out.strip()


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", make_wheel("demo", "1.5", {"demo/big.bin": BIG, "demo/small.bin": SMALL, "demo/__init__.py": ""}))
    return venv


def the_only(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert len(files) == 1, files
    return files[0]


def flip(path, offset):
    path.chmod(0o644)
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ 0x40]))
    path.chmod(0o444)


def damage_object(account, how):
    path = the_only(account.store / "objects")
    if how == "flipped":
        flip(path, 200_000)
    elif how == "truncated":
        path.chmod(0o644)
        os.truncate(path, 100_000)
    else:
        path.unlink()


def verify(account):
    result = account.fusepkg("store", "verify", "--json", status=1)
    assert result.json()["ok"] is False
    return result.json()["errors"]


@pytest.mark.parametrize("how, kind", [("flipped", "corrupt"), ("truncated", "truncated"), ("missing", "missing")])
def test_a_damaged_object_is_an_io_error_and_is_named(account, venv, how, kind):
    damage_object(account, how)
    venv.fusepkg("mount")
    assert read(venv, "demo/big.bin", BIG) == "error 5"
    assert read(venv, "demo/small.bin", SMALL) == "right"
    assert "objects/" in venv.log
    errors = verify(account)
    assert [e["kind"] for e in errors] == [kind]
    assert errors[0]["packages"] == ["demo==1.5"]


def test_a_damaged_block_of_an_image_is_an_io_error_and_is_named(account, venv):
    image = the_only(account.store / "images")
    flip(image, 256 + 10_000)
    venv.fusepkg("mount")
    assert read(venv, "demo/small.bin", SMALL) == "error 5"
    assert read(venv, "demo/big.bin", BIG) == "right"
    assert "images/" in venv.log or "demo" in venv.log
    errors = verify(account)
    assert [e["packages"] for e in errors] == [["demo==1.5"]]
    assert [e["kind"] for e in errors] == ["corrupt"]


@pytest.mark.parametrize("how", ["flipped", "truncated", "missing"])
def test_an_image_whose_index_is_gone_is_a_clear_error(account, venv, how):
    image = the_only(account.store / "images")
    if how == "flipped":
        flip(image, image.stat().st_size - 20)
    elif how == "truncated":
        image.chmod(0o644)
        os.truncate(image, image.stat().st_size // 2)
    else:
        image.unlink()
    said = venv.fusepkg("mount", status=1).err
    assert "error: " in said and "images/" in said
    assert not venv.is_mounted
    assert verify(account)


def test_damage_while_it_is_mounted_is_found_at_the_next_read(account, venv):
    venv.fusepkg("mount")
    assert read(venv, "demo/small.bin", SMALL) == "right"
    damage_object(account, "flipped")
    assert read(venv, "demo/big.bin", BIG) == "error 5"
    assert read(venv, "demo/small.bin", SMALL) == "right"


def test_what_is_mended_is_read_right_without_a_new_mount(account, new_venv, make_wheel):
    """The image is made again with its blocks in other places, as several threads write them."""
    venv = new_venv(account)
    files = {f"many/{i}.bin": os.urandom(30_000) for i in range(60)} | {"many/big.bin": BIG}
    wheel = make_wheel("many", files=files)
    venv.fusepkg("add", wheel)
    flip(the_only(account.store / "images"), 256 + 10_000)
    damage_object(account, "flipped")
    assert {read(venv, path, data) for path, data in files.items()} == {"right", "error 5"}
    for _ in range(4):
        venv.fusepkg("add", "--reinstall", "--no-mount", wheel)
        assert {read(venv, path, data) for path, data in files.items()} == {"right"}
        account.fusepkg("store", "verify")
        flip(the_only(account.store / "images"), 256 + 10_000)
