"""store gc: what nobody needs goes, all else stays, whatever else runs, and wherever it is killed."""
import errno
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from collecting import LARGE, check_imports, check_store, gc, held, reasons, removed, state_of, wheel_of

from support.account import remove_tree
from support.venvs import make_venv


def forget_history(venv):
    for file in (venv.state / "history").iterdir():
        file.unlink()


def test_what_nobody_needs_goes_and_the_rest_stays(account, new_venv, make_wheel):
    venv, other = new_venv(account), new_venv(account)
    one, two, three = (wheel_of(make_wheel, n) for n in ("one", "two", "three"))
    venv.fusepkg("add", "--no-mount", one, two)
    other.fusepkg("add", "--no-mount", two, three)
    assert removed(gc(account)) == []
    other.fusepkg("remove", "two", "three")
    result = gc(account)
    assert removed(result) == [] and result["bytes"] == 0
    forget_history(other)
    before = sum(f.stat().st_blocks * 512 for f in account.store.rglob("*") if f.is_file() and "index" not in f.name)
    dry = gc(account, "--dry-run")
    assert held(account) == ["one", "three", "two"]
    result = gc(account)
    assert removed(dry) == removed(result) == ["three"] and dry["bytes"] == result["bytes"]
    after = sum(f.stat().st_blocks * 512 for f in account.store.rglob("*") if f.is_file() and "index" not in f.name)
    assert before - after == result["bytes"] and LARGE < result["bytes"] < 2 * LARGE # not what all share
    assert held(account) == ["one", "two"]
    check_store(account)
    venv.fusepkg("mount")
    check_imports(venv, "one", "two")
    other.fusepkg("add", three)
    check_imports(other, "three")


def test_history_stays_and_explain_says_so(root, venv, make_wheel):
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "two"))
    venv.fusepkg("remove", "one")
    assert removed(gc(root)) == []
    assert reasons(root, "one") == {"history": [1, 2]}
    assert reasons(root, "two") == {"history": [2], "current": [3]}
    text = root.fusepkg("store", "gc", "--dry-run", "--explain").out
    assert f"{venv} had it, generations 1-2\n" in text and f"{venv} has it\n" in text
    for _ in range(10):
        venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "other"))
        venv.fusepkg("remove", "other")
    assert removed(gc(root)) == ["one"]
    assert held(root) == ["other", "two"]


def test_a_live_mount_keeps_what_left_it(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", wheel_of(make_wheel, "one"), wheel_of(make_wheel, "two"))
    reader = account.start([venv.python, "-c", "import one, sys; f = open(one.__path__[0] + '/own.bin', 'rb', buffering=0)\n"
                            "print(flush=True); input(); assert len(f.read()) == %d" % LARGE],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    reader.stdout.readline()
    venv.fusepkg("remove", "one")
    forget_history(venv)
    assert removed(gc(account)) == []
    assert reasons(account, "one") == {"mount": []}
    reader.communicate("\n")
    assert reader.returncode == 0
    venv.fusepkg("umount")
    assert removed(gc(account)) == ["one"]
    venv.fusepkg("mount")
    assert removed(gc(account)) == []
    check_imports(venv, "two")


def test_a_deleted_venv_is_forgotten(root, user, new_venv, make_wheel):
    for account in (root, user):
        venv, stays = new_venv(account), new_venv(account)
        venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
        stays.fusepkg("add", "--no-mount", wheel_of(make_wheel, "two"))
        remove_tree(venv.path)
        result = gc(account)
        if account is user: # who cannot tell it from one that was moved
            assert removed(result) == [] and state_of(result, venv) == "missing"
            assert removed(gc(account, "--grace", "1")) == []
            result = gc(account, "--grace", "0")
        assert removed(result) == ["one"] and state_of(result, venv) == "deleted"
        assert [e["venv"] for e in gc(account)["environments"]] == [str(stays)]


def test_a_venv_that_was_cleared_is_forgotten(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    remove_tree(venv.state)
    assert removed(gc(account)) == ["one"]


def test_a_moved_venv_keeps_its_packages(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    moved = venv.path.with_name("moved")
    venv.path.rename(moved)
    result = gc(account)
    assert removed(result) == [] and state_of(result, venv) == ("moved" if account.is_root else "missing")
    make_venv(account, venv.path) # another one in its place
    result = gc(account)
    assert removed(result) == [] and state_of(result, venv) == ("moved" if account.is_root else "missing")
    account.fusepkg("add", "--no-mount", "--venv", moved, wheel_of(make_wheel, "two"))
    result = gc(account)
    assert removed(result) == [] and state_of(result, venv) == "deleted" and state_of(result, moved) == "unmounted"
    assert [e["venv"] for e in gc(account)["environments"]] == [str(moved)]


def test_a_venv_that_was_moved_while_mounted_keeps_its_packages(account, new_venv, make_wheel):
    """Until it is changed nobody has told the store where it is; its mount does."""
    venv = new_venv(account)
    venv.fusepkg("add", wheel_of(make_wheel, "one"), wheel_of(make_wheel, "two"))
    venv.fusepkg("remove", "two")
    forget_history(venv)
    moved = venv.path.rename(venv.path.with_name("moved"))
    try:
        for _ in range(2):
            result = gc(account, "--grace", "0")
            assert removed(result) == [] and state_of(result, venv) == "mounted"
            assert str(moved) in {e["venv"]: e["reason"] for e in result["environments"]}[str(venv)]
        assert reasons(account, "one") == {"current": [2]} and reasons(account, "two") == {"mount": []}
        account.fusepkg("umount", "--venv", moved)
        result = gc(account)
        assert removed(result) == [] and state_of(result, venv) == ("moved" if account.is_root else "missing")
        account.fusepkg("mount", "--venv", moved)
        result = gc(account, "--grace", "0")
        assert state_of(result, venv) == "deleted" and state_of(result, moved) == "mounted"
    finally:
        account.fusepkg("umount", "--venv", moved)


class Disk:
    """A file system that can be unplugged."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.images = folder, kind, []
        self.at = folder / "disk"
        self.at.mkdir()

    def plug(self, number):
        image = self.folder / f"disk{number}.img"
        if not image.exists():
            subprocess.run(["truncate", "-s", "512M", image], check=True)
            subprocess.run([f"mkfs.{self.kind}", "-q", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, self.at], check=True)

    def unplug(self):
        subprocess.run(["umount", self.at], check=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_an_unplugged_disk_is_no_deletion(kind, root, folder, make_wheel):
    disk = Disk(folder, kind)
    disk.plug(0)
    try:
        first = make_venv(root, disk.at / "deep/venv")
        first.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
        first.fusepkg("remove", "one")
        first.fusepkg("add", "--no-mount", wheel_of(make_wheel, "two"))
        disk.unplug()
        try:
            result = gc(root, "--grace", "0")
            assert removed(result) == [] and state_of(result, first) == "absent"
            assert set(reasons(root, "two")) == set(reasons(root, "one")) == {"absent"}
            assert "not mounted" in root.fusepkg("store", "gc").err
        finally:
            disk.plug(1) # another one, with nothing at that path, then with a venv there
        assert state_of(gc(root, "--grace", "0"), first) == "absent"
        second = make_venv(root, disk.at / "deep/venv")
        second.fusepkg("add", "--no-mount", wheel_of(make_wheel, "three"))
        result = gc(root, "--grace", "0")
        assert removed(result) == []
        assert sorted(e["state"] for e in result["environments"]) == ["absent", "unmounted"]
        disk.unplug()
        disk.plug(0)
        result = gc(root, "--grace", "0")
        assert removed(result) == [] and sorted(e["state"] for e in result["environments"]) == ["absent", "unmounted"]
        first.fusepkg("mount")
        check_imports(first, "two")
        first.fusepkg("umount")
        remove_tree(first.path)
        assert removed(gc(root)) == ["one", "two"]
        assert root.fusepkg("store", "gc", "--forget", disk.at / "nothing", status=1).err.startswith("error: ")
        assert removed(gc(root, "--forget", first)) == ["three"]
    finally:
        disk.unplug()


def plug_at_another_device(disk, folder, kind):
    """What is plugged in gets the first loop device that is free: others take it.  More than one, if another test gives one back."""
    before, taken = disk.at.stat().st_dev, []
    try:
        while True:
            disk.unplug()
            other = folder / f"other{len(taken)}.img"
            subprocess.run(["truncate", "-s", "1M", other], check=True)
            taken.append(subprocess.run(["losetup", "--find", "--show", other], check=True, capture_output=True, text=True).stdout)
            disk.plug(0)
            if kind == "btrfs" or disk.at.stat().st_dev != before:  # its devices have numbers of their own
                return
    finally:
        for loop in taken:
            subprocess.run(["losetup", "--detach", loop.strip()], check=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_a_disk_is_known_again_whatever_its_device(kind, root, folder, make_wheel):
    disk = Disk(folder, kind)
    disk.plug(0)
    try:
        venv = make_venv(root, disk.at / "venv")
        venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
        plug_at_another_device(disk, folder, kind)
        remove_tree(venv.path)
        assert removed(gc(root)) == ["one"]
    finally:
        disk.unplug()


def test_a_venv_that_is_there_is_not_forgotten(root, venv, make_wheel):
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    assert "uses the store" in root.fusepkg("store", "gc", "--forget", venv, status=1).err
    assert held(root) == ["one"]


def test_a_damaged_environment_keeps_its_packages(root, venv, make_wheel):
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    forget_history(venv)
    text = (venv.state / "environment").read_text()
    (venv.state / "environment").write_text(text[:text.index("slot")])
    result = gc(root)
    assert removed(result) == [] and state_of(result, venv) == "unknown"


def test_a_lost_index_is_no_reason_to_remove(root, new_venv, make_wheel):
    venv, gone = new_venv(root), new_venv(root)
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    gone.fusepkg("add", "--no-mount", wheel_of(make_wheel, "two"))
    remove_tree(gone.path)
    for file in root.store.glob("index.db*"):
        file.unlink()
    assert removed(gc(root, "--dry-run")) == []
    result = root.fusepkg("store", "gc")
    assert "index was lost" in result.err and held(root) == ["one", "two"]
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one")) # changes nothing, and makes itself known
    assert removed(gc(root)) == []
    assert removed(gc(root, "--trust", "--dry-run")) == ["two"]
    assert removed(gc(root, "--trust")) == ["two"]
    assert "index was lost" not in root.fusepkg("store", "gc").err
    venv.fusepkg("mount")
    check_imports(venv, "one")


def test_a_mount_without_a_lease_keeps_its_packages(root, new_venv, make_wheel, folder):
    """As in a container in which the store is read-only; whichever of the mount's processes is killed."""
    host, venv = new_venv(root), new_venv(root)
    host.fusepkg("add", "--no-mount", *(wheel_of(make_wheel, n) for n in ("one", "two", "three")))
    below = folder / "read-only"
    below.mkdir()
    subprocess.run(["mount", "--bind", root.store, below], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", below], check=True)
    env = {"FUSEPKG_STORE": below}
    try:
        venv.fusepkg("add", wheel_of(make_wheel, "one"), wheel_of(make_wheel, "two"), env=env)
        remove_tree(host.state)
        assert removed(gc(root)) == ["three"]
        assert reasons(root, "one") == reasons(root, "two") == {"held": []}
        text = root.fusepkg("store", "gc", "--dry-run", "--explain")
        assert "Kept 2 packages" in text.err and "a mount without a lease has it" in text.out
        for _ in range(3):
            for process in ("worker_pid", "keeper_pid"):
                os.kill(venv.fusepkg("status", "--json", env=env).json()[0][process], signal.SIGKILL)
                assert removed(gc(root)) == []
                check_imports(venv, "one", "two")
        venv.fusepkg("remove", "one", env=env)
        forget_history(venv)
        assert removed(gc(root)) == [] and reasons(root, "one") == {"held": []}
        venv.fusepkg("umount", env=env)
        assert removed(gc(root)) == ["one", "two"]
    finally:
        venv.close()
        subprocess.run(["umount", below], check=True)


def test_a_store_that_cannot_be_written_to_refuses(root, venv, make_wheel):
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    remove_tree(venv.state)
    subprocess.run(["mount", "--bind", root.store, root.store], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", root.store], check=True)
    try:
        result = root.fusepkg("store", "gc", status=1)
        assert "read-only" in result.err.lower() and str(root.store) in result.err and result.err.count("\n") == 1
        assert removed(gc(root, "--dry-run")) == ["one"]
    finally:
        subprocess.run(["umount", root.store], check=True)
    assert held(root) == ["one"]


def test_a_full_disk_is_made_room_on(root, venv, new_venv, make_wheel, folder):
    small = folder / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        env = {"FUSEPKG_STORE": small / "store"}
        stays = new_venv(root)
        stays.fusepkg("add", "--no-mount", wheel_of(make_wheel, "stays"), env=env)
        venv.fusepkg("add", "--no-mount", *(wheel_of(make_wheel, f"one{i}") for i in range(5)), env=env)
        remove_tree(venv.state)
        with open(small / "filler", "wb") as filler, pytest.raises(OSError):
            while True:
                os.write(filler.fileno(), bytes(4096))
        result = gc(root, env=env)
        assert len(removed(result)) == 5
        assert [e["venv"] for e in gc(root, env=env)["environments"]] == [str(stays)]
        check_store(root, env=env)
        shutil.rmtree(small / "store")
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.fixture(scope="session")
def nth_call(session_folder):
    if os.uname().machine != "x86_64":
        pytest.skip("nth_call knows the registers of x86-64 alone")
    program = session_folder / "nth_call_gc"
    subprocess.run(["gcc", "-O1", "-o", program, Path(__file__).parents[1] / "crash/nth_call.c"], check=True)
    return program


class Killing:
    """A command that is killed before its n-th call that changes files, from one state of a store and venvs."""

    def __init__(self, root, nth_call, folders):
        self.root, self.nth_call, self.folders = root, nth_call, folders
        self.saved = root.folder / "saved"
        self.saved.mkdir()
        for number, folder in enumerate(folders):
            subprocess.run(["cp", "-a", folder, self.saved / str(number)], check=True)

    def restore(self):
        for number, folder in enumerate(self.folders):
            remove_tree(folder)
            subprocess.run(["cp", "-a", self.saved / str(number), folder], check=True)

    def run(self, number, *command):
        """How many calls it made, all in all or until it was killed."""
        out = self.root.folder / "calls"
        status = 128 + 9 if number else 0
        self.root.run([self.nth_call, out, "kill", number, self.root.installed / "bin/fusepkg", *command], status=status)
        return int(out.read_text().split()[0])


@pytest.mark.release
def test_a_kill_of_gc_loses_nothing(root, new_venv, make_wheel, nth_call):
    stays, gone = new_venv(root), new_venv(root)
    wheels = [wheel_of(make_wheel, f"gone{i}", shared=i) for i in range(3)]
    stays.fusepkg("add", "--no-mount", wheel_of(make_wheel, "stays"))
    gone.fusepkg("add", "--no-mount", *wheels)
    remove_tree(gone.state)
    (root.store / "staging/0123456789abcdef0123456789abcdef").mkdir()
    killing = Killing(root, nth_call, [root.store])
    calls = killing.run(0, "store", "gc")
    assert held(root) == ["stays"] and calls > 10
    for number in range(1, calls + 1):
        killing.restore()
        killing.run(number, "store", "gc")
        check_store(root)
        if number % 2:
            gone.fusepkg("add", "--no-mount", *wheels)
            check_store(root)
            gone.fusepkg("export", "--to", root.folder / "exported")
            remove_tree(root.folder / "exported")
            remove_tree(gone.state)
        gc(root)
        assert held(root) == ["stays"] and len(list((root.store / "objects").glob("*/*"))) == 2
        assert list((root.store / "staging").iterdir()) == []
    stays.fusepkg("mount")
    check_imports(stays, "stays")


@pytest.mark.release
def test_a_call_that_fails_loses_nothing(root, new_venv, make_wheel, nth_call):
    stays, gone = new_venv(root), new_venv(root)
    stays.fusepkg("add", "--no-mount", wheel_of(make_wheel, "stays"))
    gone.fusepkg("add", "--no-mount", wheel_of(make_wheel, "gone"))
    remove_tree(gone.state)
    killing = Killing(root, nth_call, [root.store])
    failed = 0
    for number in range(1, killing.run(0, "store", "gc") + 1):
        for error in (errno.ENOSPC, errno.EIO, errno.EACCES):
            killing.restore()
            result = root.run([nth_call, root.folder / "calls", error, number, root.installed / "bin/fusepkg", "store", "gc"],
                              status=None)
            assert result.status in (0, 1) and (result.status == 0 or "error: " in result.err), result
            failed += result.status
            check_store(root)
            gc(root)
            assert held(root) == ["stays"] and len(list((root.store / "objects").glob("*/*"))) == 2
    assert failed > 0


@pytest.mark.release
def test_a_killed_add_is_never_without_a_lease(root, new_venv, make_wheel, nth_call):
    venv = new_venv(root)
    one, two = wheel_of(make_wheel, "one"), wheel_of(make_wheel, "two", shared=2)
    venv.fusepkg("add", "--no-mount", one)
    killing = Killing(root, nth_call, [root.store, venv.path])
    command = ["add", "--no-mount", "--venv", venv.path, two]
    calls = killing.run(0, *command)
    installed = set()
    for number in range(1, calls + 1):
        killing.restore()
        killing.run(number, *command)
        gc(root, "--grace", "0")
        check_store(root)
        names = sorted(p["name"] for p in venv.fusepkg("list", "--json").json())
        installed.add(tuple(names))
        venv.fusepkg("export", "--to", root.folder / "exported") # reads every byte
        for name in names:
            assert [p.stat().st_size for p in (root.folder / "exported").rglob(f"{name}/own.bin")] == [LARGE]
        remove_tree(root.folder / "exported")
    assert installed == {("one",), ("one", "two")}


@pytest.mark.release
def test_a_killed_mount_of_a_moved_venv_is_told_by_the_next(root, new_venv, make_wheel, nth_call):
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", wheel_of(make_wheel, "one"))
    moved = venv.path.rename(venv.path.with_name("moved"))
    killing = Killing(root, nth_call, [root.store, moved])
    calls = killing.run(0, "mount", "--venv", moved)
    for number in range(1, calls + 1):
        root.fusepkg("umount", "--venv", moved)
        killing.restore()
        killing.run(number, "mount", "--venv", moved)
        root.fusepkg("mount", "--venv", moved)
        root.fusepkg("umount", "--venv", moved)
        result = gc(root)
        assert state_of(result, venv) == "deleted" and state_of(result, moved) == "unmounted", number


def test_help_names_every_option(root):
    text = root.fusepkg("store", "gc", "--help").out
    assert all(option in text for option in ("--dry-run", "--explain", "--json", "--grace", "--forget", "--trust"))
    assert json.loads(root.fusepkg("store", "gc", "--json", status=1).out or "null") is None # no store: an error
