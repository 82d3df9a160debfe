"""`fusepkg upgrade-mounts`: live mounts go over to the program that was installed in the place of theirs."""
import os
import shutil
import subprocess
import time

import pytest

from support.mount_kill import pids

# With sanitizers each of many starts takes a second, and pauses are all that is seen.
pytestmark = pytest.mark.release

# It uses the mount without an end, and holds what an upgrade must not lose.
USE = """
import mmap, os, sys
site, stop = sys.argv[1:]
os.chdir(site + '/demo')
held = open('data.bin', 'rb')
mapped = mmap.mmap(held.fileno(), 0, prot=mmap.PROT_READ)
first = bytes(mapped)
gone = os.open(site + '/gone', os.O_CREAT | os.O_EXCL | os.O_RDWR)
os.write(gone, b'unlinked, and open')
os.unlink(site + '/gone')
print('ready', flush=True)
n = 0
while not os.path.exists(stop):
    assert os.pread(held.fileno(), 100, n * 4099 % 200000) == first[n * 4099 % 200000:][:100]
    assert os.pread(gone, 100, 0) == b'unlinked, and open'
    assert os.getcwd() == site + '/demo'
    os.mkdir(f'{site}/new{n}')
    os.rename(f'{site}/new{n}', f'{site}/old{n}')
    os.rmdir(f'{site}/old{n}')
    n += 1
assert bytes(mapped) == first
"""


@pytest.fixture
def own(folder, installed):
    """A program of this test alone, which can be replaced."""
    place = folder / "mount-program"
    place.mkdir()
    program = place / "fusepkg-mount"
    shutil.copy2(installed / "libexec/fusepkg/fusepkg-mount", program)
    return program


@pytest.fixture
def venv(root, own, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "", "demo/data.bin": os.urandom(300_000)}),
                 env={"FUSEPKG_MOUNT_PROGRAM": own})
    return venv


def replace(program, content):
    new = program.with_suffix(".new")
    new.write_bytes(content)
    new.chmod(0o755)
    new.rename(program)


def test_a_mount_that_goes_meanwhile_is_no_failure(root, venv, folder):
    """It is unmounted after it was found to live, and before it gets the signal."""
    log = folder / "log"
    upgrade = root.start(["strace", "-o", log, "-e", "inject=kill:delay_enter=3000000", root.installed / "bin/fusepkg",
                          "upgrade-mounts", "--venv", venv.path], stderr=subprocess.PIPE, text=True)
    while not log.exists() or "mountinfo" not in log.read_text():
        time.sleep(0.01)
    venv.fusepkg("umount")
    error = upgrade.communicate()[1]
    assert upgrade.returncode == 0 and "error" not in error


def test_goes_over_with_everything_in_use(root, venv, own, folder):
    stop = folder / "stop"
    user = root.start(["/usr/bin/python3", "-ISc", USE, venv.site, stop], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert user.stdout.readline() == "ready\n"
    keeper, _ = pids(venv)
    for _ in range(8):
        replace(own, own.read_bytes())
        worker = pids(venv)[1]
        assert "Upgraded 1 mount" in (said := venv.fusepkg("upgrade-mounts")).out + said.err
        now = pids(venv)
        assert now[0] == keeper and now[1] != worker
        for pid in now:
            assert os.path.samefile(f"/proc/{pid}/exe", own)
    stop.write_text("")
    assert user.communicate(timeout=60)[1] == "" and user.returncode == 0
    venv.fusepkg("umount")


@pytest.mark.parametrize("new", [b"#!/bin/sh\nexit 3\n", b"#!/bin/sh\nsleep 0.2\nkill -9 $$\n"])
def test_a_program_that_cannot_serve_is_left_again(venv, own, new):
    before, old = pids(venv), own.read_bytes()
    replace(own, new)
    assert "goes on with the program it has" in venv.fusepkg("upgrade-mounts", status=1).err
    now = pids(venv)
    assert now[0] == before[0] and now[1] != before[1]
    assert venv.run_python("import demo; print('fine')").out == "fine\n"
    replace(own, old)
    venv.fusepkg("upgrade-mounts")
    venv.fusepkg("umount")
