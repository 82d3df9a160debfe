"""A venv that is deleted or moved under its mount."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import guard
from support.mount_kill import pids

PATIENCE = 30  # seconds until a mount that should go counts as one that stays; not a measurement


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    return venv


def wait_unmounted(site):
    end = time.monotonic() + PATIENCE
    while guard.mounts(site, "fuse.fusepkg"):
        assert time.monotonic() < end, f"{site} stays mounted"
        time.sleep(0.02)


def test_rm_of_a_mounted_venv_fails_once_and_then_works(account, venv):
    first = account.run(["rm", "-rf", venv.path], status=None)
    assert first.status == 0 or "Device or resource busy" in first.err
    wait_unmounted(venv.site)
    account.run(["rm", "-rf", venv.path])
    assert not venv.path.exists()
    assert not guard.wait_gone(account.mark)


HOLD = """
import ctypes, sys
held = 0
while ctypes.CDLL(None).inotify_init() >= 0:
    held += 1
print(held, flush=True)
sys.stdin.read()
"""


def test_it_goes_even_if_nobody_serves_it_at_that_moment(account, venv):
    """The next process that is to serve finds no environment any more."""
    worker = pids(venv)[1]
    os.kill(worker, signal.SIGSTOP)
    (venv.state / "environment").unlink()
    os.kill(worker, signal.SIGKILL)
    wait_unmounted(venv.site)
    account.run(["rm", "-rf", venv.path])
    assert not guard.wait_gone(account.mark)


def test_many_mounts_need_no_inotify(user, new_venv, make_wheel):
    """Other programs of the user hold all that he may have."""
    other = user.start(["/usr/bin/python3", "-ISc", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert int(other.stdout.readline()) > 0
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    worker = venv.fusepkg("status", "--json").json()[0]["worker_pid"]
    end = time.monotonic() + PATIENCE
    while True:  # what it has to do after the mount may take a while
        before = woken(worker)
        time.sleep(5)
        if woken(worker) - before < 4:
            break
        assert time.monotonic() < end, "the mount looks again and again"
    shutil.rmtree(venv.path, ignore_errors=True)
    wait_unmounted(venv.site)
    other.communicate()
    shutil.rmtree(venv.path)


def woken(pid):
    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary")).split()[1])


def test_what_clears_a_mounted_venv_fails_and_works_after_umount(account, venv, make_wheel):
    """Whatever it has removed before: pyvenv.cfg, say."""
    argv = ["/usr/bin/python3", "-m", "venv", "--without-pip", "--clear", venv.path]
    assert "Device or resource busy" in account.run(argv, status=1).err
    (venv.path / "pyvenv.cfg").unlink(missing_ok=True)
    account.run([account.installed / "bin/fusepkg", "umount", "--venv", venv.path])
    account.run(argv)
    venv.fusepkg("add", make_wheel("demo"))
    assert venv.run_python("import demo").err == ""


def test_a_mount_whose_environment_is_replaced_stays(venv):
    """Commits rename a new file over the old one, which must not look like a deletion."""
    for _ in range(20):
        text = (venv.state / "environment").read_bytes()
        (venv.state / "again").write_bytes(text)
        os.rename(venv.state / "again", venv.state / "environment")
    time.sleep(1)
    assert venv.is_mounted
    venv.run_python("import demo")


def test_who_uses_it_keeps_it(account, venv):
    """Taken away lazily: an open folder goes on being served, and the process ends with its last user."""
    fd = os.open(venv.site, os.O_RDONLY) if account.is_root else None
    shutil.copy(venv.state / "environment", account.tmp / "environment")
    (venv.state / "environment").unlink()
    wait_unmounted(venv.site)
    if fd is not None:
        assert "demo.py" in os.listdir(fd)
        assert guard.processes(account.mark)
        os.close(fd)
    assert not guard.wait_gone(account.mark)


def test_a_venv_that_was_moved_with_its_mount_is_unmounted_where_it_is(account, venv):
    moved = venv.path.with_name("moved")
    account.run(["mv", venv.path, moved])
    site = moved / venv.site.relative_to(venv.path)
    assert guard.mounts(site, "fuse.fusepkg")
    account.run(["rm", "-rf", moved], status=None)
    wait_unmounted(site)
    account.run(["rm", "-rf", moved])
    assert not guard.wait_gone(account.mark)


def test_without_inotify_it_is_noticed_as_well(user, new_venv, make_wheel):
    """All instances of this user are taken."""
    account = user
    holder = account.start(["/usr/bin/python3", "-c", """
import ctypes, time
libc = ctypes.CDLL(None)
while libc.inotify_init1(0) >= 0:
    pass
print("taken", flush=True)
time.sleep(600)
"""], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "taken\n"
        venv = new_venv(account)
        venv.fusepkg("add", make_wheel("demo"))
        account.run(["rm", "-rf", venv.path], status=None)
        wait_unmounted(venv.site)
        account.run(["rm", "-rf", venv.path])
    finally:
        holder.kill()
        holder.communicate()
