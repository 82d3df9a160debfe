"""Mounting, a killed mount, and unmounting."""
import ctypes
import errno
import os
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from support import guard
from support.mount_kill import is_dead, kill_both

MNT_EXPIRE = 4


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    return venv


def status(venv):
    return venv.fusepkg("status", "--json").json()[0]


def test_status_tells_mounted_from_unmounted(venv):
    now = status(venv)
    assert now["mounted"] is True and now["state"] == "mounted" and now["packages"] == 1 and now["files"] > 0
    venv.fusepkg("umount")
    now = status(venv)
    assert now["mounted"] is False and now["state"] == "unmounted" and now["packages"] == 1


def test_the_mount_is_nosuid_nodev_writable_and_named(venv):
    line = next(x for x in open("/proc/self/mountinfo") if str(venv.site) in x)
    options = line.split()[5].split(",")
    assert {"nosuid", "nodev", "rw"} <= set(options)
    assert " - fuse.fusepkg " in line


@pytest.mark.parametrize("command", [["list"], ["mount"], ["freeze"]])
def test_a_dead_mount_is_mounted_again_by_the_next_command(venv, command):
    kill_both(venv)
    assert is_dead(venv)
    assert venv.is_mounted
    venv.fusepkg(*command)
    assert venv.is_mounted and not is_dead(venv)
    venv.run_python("import demo")


def test_one_that_cannot_be_mounted_again_is_detached(venv, folder):
    program = folder / "mounts-nothing"
    program.write_text(f'#!/bin/sh\ncase "$*" in *--ready-fd*) exit 1 ;; esac\nexec {venv.account.installed}/libexec/fusepkg/fusepkg-mount "$@"\n')
    program.chmod(0o755)
    kill_both(venv)
    said = venv.fusepkg("list", "--json", env={"FUSEPKG_MOUNT_PROGRAM": program})
    assert "cannot be mounted again" in said.err and [p["name"] for p in said.json()] == ["demo"]
    assert not venv.is_mounted
    venv.run_python("import demo")


def test_umount_of_a_busy_mount_names_who_uses_it(account, venv):
    holder = account.start(["sh", "-c", f"cd {venv.site} && exec sleep 60"], stdout=subprocess.DEVNULL)
    try:
        while open(f"/proc/{holder.pid}/comm").read() != "sleep\n":
            assert holder.poll() is None
        said = venv.fusepkg("umount", status=1).err
        assert "sleep" in said and str(holder.pid) in said
        assert venv.is_mounted
    finally:
        holder.kill()
        holder.wait()
    venv.fusepkg("umount")
    assert not venv.is_mounted


def test_what_is_added_unmounted_shows_at_the_next_mount(venv, make_wheel):
    venv.fusepkg("umount")
    venv.fusepkg("add", "--no-mount", make_wheel("later"))
    assert not venv.is_mounted
    venv.fusepkg("mount")
    venv.run_python("import later, demo")


def test_another_user_sees_nothing_of_a_users_mount(user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    with pytest.raises(PermissionError):
        os.listdir(venv.site)


def test_what_root_mounts_is_seen_by_all(root, user, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"))
    assert user.run([venv.python, "-c", "import demo; print(demo.version)"]).out == "1.0\n"


def how_busy(venv):
    """Files are read for the first time since the mount; the share of the moments after that at which somebody kept it busy."""
    for path in venv.site.glob("many/*.py"):
        path.read_bytes()
    states = Counter()
    until = time.monotonic() + 0.4
    while time.monotonic() < until:
        states[expire(venv.site)] += 1
        venv.site.stat()  # or the next call would unmount it
    assert set(states) <= {errno.EBUSY, errno.EAGAIN}
    return states[errno.EBUSY] / sum(states.values())


def test_nothing_of_its_own_keeps_it_busy(root, new_venv, make_wheel):
    """What looks after files that were read has none of them open (it sees to 1,000 of them at once, a moment later)."""
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("many", files={f"many/m{i}.py": f"x = {i}\n" for i in range(900)}))
    shares = []
    # It has to find the mount: a processor that others take at that very moment is no fault, and does not go away each time.
    while not shares or shares[-1] >= 0.02:
        shares.append(how_busy(venv))
        assert len(shares) < 5 or min(shares) < 0.02, shares
        venv.fusepkg("umount")
        venv.fusepkg("mount")


def test_it_can_be_mounted_at_once_after_umount(root, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"))
    for _ in range(10):
        root.run(["umount", venv.site])
        venv.fusepkg("mount")
        venv.run_python("import demo")


def expire(path):
    """What umount2(MNT_EXPIRE) says: EBUSY when something is open there, else EAGAIN."""
    libc = ctypes.CDLL(None, use_errno=True)
    return 0 if libc.umount2(bytes(path), MNT_EXPIRE) == 0 else ctypes.get_errno()


@pytest.mark.release  # sanitizers want to be the first library
def test_a_mount_that_was_given_up_does_not_come_later(root, folder, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    library, program = folder / "late_mount.so", folder / "late-mount"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("late_mount.c"), "-ldl"], check=True)
    real = next(root.installed.glob("**/fusepkg-mount"))
    program.write_text(f"#!/bin/sh\nLD_PRELOAD={library} exec {real} \"$@\"\n")
    program.chmod(0o755)
    assert "not ready after" in venv.fusepkg("mount", status=1, env={"FUSEPKG_MOUNT_PROGRAM": program}).err
    assert not guard.wait_gone(root.mark)
    assert not guard.mounts(venv.site)
    venv.fusepkg("mount")
    venv.run_python("import demo")
