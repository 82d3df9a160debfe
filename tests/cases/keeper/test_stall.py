"""Storage that stalls: whoever reads gets an error, and nobody is left who cannot be killed."""
import os
import signal
import subprocess
import time

import pytest

from support.mount_kill import pids

# With sanitizers each of many starts takes a second, and pauses are all that is seen.
pytestmark = pytest.mark.release

FILES = 40
# Each of the two ends with an error, or what it wanted has happened.
WRITE_AND_SYNC = """
import errno, os, sys
for change in lambda: os.write(fd, b'new'), lambda: os.fsync(fd):
    try:
        fd = os.open(sys.argv[1], os.O_WRONLY)
        change()
    except OSError as error:
        assert error.errno == errno.EIO, error
"""


@pytest.fixture
def outer(root, new_venv, make_wheel):
    """A mount that holds a store, and can be stopped."""
    venv = new_venv(root, name="outer")
    venv.fusepkg("add", make_wheel("demo"))
    yield venv
    for pid in pids(venv):
        os.kill(pid, signal.SIGCONT)


def send_all(venv, number):
    # The keeper is stopped first: it would replace the worker.
    for pid in venv.stopped:
        os.kill(pid, number)


def test_a_store_whose_server_is_stopped(root, new_venv, make_wheel, outer):
    store = outer.site / "store"
    venv = new_venv(root, name="inner")
    files = {f"many/m{i}.bin": os.urandom(200_000) for i in range(FILES)}
    venv.fusepkg("add", make_wheel("many", files=files), env={"FUSEPKG_STORE": store})
    venv.stopped = pids(outer)
    inner = pids(venv)
    send_all(venv, signal.SIGSTOP)
    readers = [root.start(["cat", venv.site / f"many/m{i}.bin"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for i in range(8)]
    writers = [root.start(["/usr/bin/python3", "-ISc", WRITE_AND_SYNC, venv.site / f"many/m{i}.bin"], stderr=subprocess.PIPE) for i in (20, 21)]
    # Half a minute for each request, and as much for a slow machine.
    assert [writer.communicate(timeout=120)[1] for writer in writers] == [b"", b""]
    ends = [reader.communicate(timeout=120) for reader in readers]
    for i, (out, err) in enumerate(ends):
        # What the kernel had read ahead may be there.
        assert b"Input/output error" in err or out == files[f"many/m{i}.bin"], err
    assert any(err for _, err in ends)
    # Names are not on that storage, or end in an error as well; what was cached is there.
    assert root.run(["ls", venv.site / "many"], status=None, timeout=120).out.count(".bin") in (0, FILES)
    assert pids(venv)[0] == inner[0]
    send_all(venv, signal.SIGCONT)
    for i in range(FILES):
        for _ in range(600):
            result = subprocess.run(["cat", venv.site / f"many/m{i}.bin"], capture_output=True)
            if result.returncode == 0:
                break
            time.sleep(0.1)
        assert result.stdout in (files[f"many/m{i}.bin"], b"new" + files[f"many/m{i}.bin"][3:])
    venv.fusepkg("umount", env={"FUSEPKG_STORE": store})


def test_force_ends_what_is_stopped(root, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"))
    user = root.start(["sh", "-c", f"cd {venv.site} && exec sleep 600"], stdout=subprocess.DEVNULL)
    while open(f"/proc/{user.pid}/comm").read() != "sleep\n":
        assert user.poll() is None
    gone = pids(venv)
    for pid in gone:
        os.kill(pid, signal.SIGSTOP)
    try:
        said = venv.fusepkg("umount", "--force", timeout=120).err
        assert "sleep" in said and str(user.pid) in said
        assert not venv.is_mounted
    finally:
        user.kill()
        user.wait()
    venv.fusepkg("mount")
    venv.run_python("import demo")
