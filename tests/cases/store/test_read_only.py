"""A store that cannot be written to: reading it works, adding what it lacks says why not."""
import shutil
import subprocess

import pytest


@pytest.fixture
def read_only_store(root, venv, make_wheel, places):
    """The store with one package, mounted read-only for the rest of the test."""
    known = make_wheel("known", "1.0")
    venv.fusepkg("add", "--no-mount", known)
    subprocess.run(["mount", "--bind", root.store, root.store], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", root.store], check=True)
    yield known
    subprocess.run(["umount", root.store], check=True)


def test_it_can_be_measured_and_verified(read_only_store, fusepkg):
    assert fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
    assert [p["name"] for p in fusepkg("store", "du", "--json").json()["packages"]] == ["known"]


def test_adding_what_it_lacks_is_a_clear_error(read_only_store, new_venv, root, make_wheel, store):
    venv = new_venv(root, name="second")
    result = venv.fusepkg("add", "--no-mount", make_wheel("fresh"), status=1)
    assert "read-only" in result.err and str(store) in result.err
    assert venv.fusepkg("list", "--json").json() == []


def test_what_it_has_can_be_installed_mounted_and_removed(read_only_store, new_venv, root, make_wheel, store):
    venv = new_venv(root, name="second")
    venv.fusepkg("add", read_only_store)
    assert venv.run_python("import known; print(known.version)").out == "1.0\n"
    venv.fusepkg("umount")
    venv.fusepkg("mount")
    assert [p["name"] for p in venv.fusepkg("list", "--json").json()] == ["known"]
    result = venv.fusepkg("add", read_only_store, make_wheel("fresh"), status=1)
    assert "fresh-1.0" in result.err and "read-only" in result.err
    venv.fusepkg("remove", "-y", "known")
    venv.fusepkg("add", read_only_store)
    venv.fusepkg("eject")
    assert venv.run_python("import known; print(known.version)").out == "1.0\n"


def test_damage_in_it_is_not_installed(read_only_store, new_venv, root, store):
    subprocess.run(["mount", "-o", "remount,bind,rw", store], check=True)
    for image in (store / "images").rglob("*"):
        if image.is_file():
            image.chmod(0o600)
            data = bytearray(image.read_bytes())
            data[len(data) // 2] ^= 1
            image.write_bytes(data)
    subprocess.run(["mount", "-o", "remount,bind,ro", store], check=True)
    venv = new_venv(root, name="second")
    result = venv.fusepkg("add", "--reinstall", "--no-mount", read_only_store, status=1)
    assert "error:" in result.err and str(store) in result.err


def test_a_full_store_is_a_clear_error_and_stays_clean(root, venv, make_wheel, places, folder):
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], check=True)
    try:
        big = make_wheel("big", files={"big.so": bytes(range(256)) * 16384})
        env = {"FUSEPKG_STORE": small / "store"}
        result = venv.fusepkg("add", "--no-mount", big, env=env, status=1)
        assert "No space left" in result.err or "full" in result.err
        venv.fusepkg("add", "--no-mount", make_wheel("tiny"), env=env)
        assert root.fusepkg("store", "verify", "--json", env=env).json()["ok"]
        assert list((small / "store/staging").iterdir()) == []
        shutil.rmtree(small / "store")
    finally:
        subprocess.run(["umount", small], check=True)
