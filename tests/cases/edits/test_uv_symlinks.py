"""uv pip install --link-mode symlink: all files of a distribution but a few are symlinks into uv's cache, METADATA among them."""
import os
import shutil

import pytest

from support.seen import files, shell

FILES = {"Brought/__init__.py": "x = 1\n", "Brought/deep/y.py": "", "brought-1.0.data/data/share/outer/b.json": "{}"}
LINE = "+ Brought 1.0 (uv)\n"
INFO = "brought-1.0.dist-info"


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """RECORD is a symlink as well, as older ones of uv made it."""
    venv = new_venv(account)
    venv.fusepkg("add", "-q", make_wheel("outer", files={"outer.py": "", "{data}/data/share/outer/a.json": "{}"}), make_wheel("six"))
    venv.before = everything(venv)
    account.uv("pip", "install", "--quiet", "--no-deps", "--link-mode", "symlink", "--python", venv.python,
               make_wheel("Brought", files=FILES, dist_info=INFO))
    shell(venv, f"test -L {INFO}/METADATA && test -L Brought/deep/y.py && test -L .fusepkg-data/data/share/outer/b.json")
    venv.wheel = shell(venv, f'd=$(dirname "$(readlink {INFO}/METADATA)"); mv {INFO}/RECORD $d/RECORD; ln -s $d/RECORD {INFO}; dirname "$d"').strip()
    return venv


def everything(venv):
    """{path: text or target}"""
    return {**files(venv), **{f".fusepkg-data/{path}": text for path, text in files(venv, ".fusepkg-data").items()}}


def is_one(venv, line, name):
    """Of the distribution every command says one line, and leaves it as it is."""
    brought = everything(venv)
    for mounted in True, False:
        if not mounted:
            venv.fusepkg("umount")
        assert venv.fusepkg("diff").out == line
        assert "all as installed; 1 brought by pip or uv" in venv.fusepkg("verify").err
        assert {d["name"]: d["installer"] for d in venv.fusepkg("list", "-v", "--json").json()} == {"outer": "fusepkg", "six": "fusepkg", name: "uv"}
        assert f"{name}==1.0" in venv.fusepkg("freeze").out or f"{name} @ file://" in venv.fusepkg("freeze").out
        assert venv.fusepkg("revert", "--all").err == "Nothing to revert\n"
    venv.fusepkg("mount")
    assert everything(venv) == brought


def test_they_are_one_distribution(venv):
    is_one(venv, LINE, "Brought")
    assert "Name: Brought\n" in venv.fusepkg("show", "brought").out
    venv.fusepkg("umount")
    assert "Name: Brought\n" in venv.fusepkg("show", "brought").out
    venv.fusepkg("mount")
    shell(venv, "echo mine > Brought/mine.py; ln -s /etc/hostname Brought/link")
    assert venv.fusepkg("diff", "--name-only").out == LINE + "Brought/link\nBrought/mine.py\n"
    venv.fusepkg("revert", "brought", "Brought/mine.py", "Brought/link")
    assert everything(venv) == venv.before and venv.fusepkg("diff", "--name-only").out == ""


@pytest.mark.parametrize("mounted", [True, False])
def test_remove(venv, mounted):
    if not mounted:
        venv.fusepkg("umount")
    assert " - Brought==1.0" in venv.fusepkg("remove", "brought").err
    if not mounted:
        venv.fusepkg("mount")
    assert everything(venv) == venv.before and venv.fusepkg("diff").out == ""
    assert (venv.account.run(["cat", f"{venv.wheel}/Brought/__init__.py"]).out) == "x = 1\n"


@pytest.mark.parametrize("record", ["there", "gone"])
def test_without_the_cache(venv, record):
    if record == "there":
        shell(venv, f"cat {INFO}/RECORD > t; rm {INFO}/RECORD; mv t {INFO}/RECORD")
    venv.account.run(["rm", "-r", venv.wheel])
    is_one(venv, LINE.lower(), "brought")
    venv.fusepkg("revert", "brought")
    assert everything(venv) == venv.before and venv.fusepkg("diff", "--name-only").out == ""


@pytest.mark.parametrize("make", ["mkfifo {0}", "mkdir {0}", "ln -s {0} {0}", "truncate -s 65M {0}", "ln -s /dev/zero {0}", "ln -s /proc/self/fd/0 {0}"])
def test_what_is_no_file(venv, make):
    metadata, record = f"{venv.wheel}/{INFO}/METADATA", f"{venv.wheel}/{INFO}/RECORD"
    for path in metadata, record:
        venv.account.run(["sh", "-ec", f"rm {path}; {make.format(path)}"])
    is_one(venv, LINE.lower(), "brought")


def test_root_reads_no_more_than_the_owner_may(user, root, new_venv, make_wheel, folder):
    """A file of root's: whoever may write to the venv chooses where its symlinks lead."""
    venv = new_venv(user)
    venv.fusepkg("add", "-q", make_wheel("six"))
    secret = folder / "secret"
    secret.write_text("Metadata-Version: 2.1\nName: secret\nVersion: 7\n")
    os.chmod(secret, 0o600)
    (folder / "own").mkdir()
    shutil.copy(secret, folder / "own/METADATA")
    user.give(folder / "own")
    shell(venv, f"mkdir a-1.dist-info b-2.dist-info; ln -s {secret} a-1.dist-info/METADATA; ln -s {folder}/own/METADATA b-2.dist-info/METADATA")
    venv.fusepkg("umount")
    shown = {d["name"]: d["version"] for d in root.fusepkg("list", "--json", "--allow-root", "--venv", venv.path).json()}
    assert shown == {"six": "1.0", "a": "1", "secret": "7"}
    assert "\n+ secret 7\n" in "\n" + root.fusepkg("diff", "--allow-root", "--venv", venv.path).out
