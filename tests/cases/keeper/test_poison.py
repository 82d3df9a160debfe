"""Requests that end whoever serves them, and workers that never last: the others go on, and everybody gets an answer."""
import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from killer import pid_of, read_lock
from support.mount_kill import pids

# With sanitizers each of many starts takes a second, and pauses are all that is seen.
pytestmark = pytest.mark.release

TRIES = 3 # fs/cells.h
OTHERS = """
import os, sys
n = 0
while not os.path.exists(sys.argv[2]):
    name = f'{sys.argv[1]}/own{sys.argv[3]}-{n}'
    os.mkdir(name)
    os.rmdir(name)
    n += 1
print(n)
"""


@pytest.fixture
def loop(folder):
    """While this file is there, no worker lasts."""
    return folder / "loop"


@pytest.fixture
def load(folder):
    """While this file is there, no worker gets ready."""
    return folder / "load"


@pytest.fixture
def venv(root, folder, new_venv, make_wheel, loop, load):
    library, program = folder / "poison.so", folder / "poisoned-mount"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("poison.c"), "-ldl", "-lpthread"], check=True)
    real = next(root.installed.glob("**/fusepkg-mount"))
    program.write_text(f"#!/bin/sh\nLD_PRELOAD={library} POISON_LOOP={loop} POISON_LOAD={load} exec {real} \"$@\"\n")
    program.chmod(0o755)
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo", files={"demo.py": "value = 1\n", "later.py": "value = 2\n"}), env={"FUSEPKG_MOUNT_PROGRAM": program})
    return venv


def status(venv):
    return venv.fusepkg("status", "--json").json()[0]


def wait_noted(condition):
    """The keeper has what became of a worker noted by a child, and waits for none: requests may be answered before."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it is not noted"
        time.sleep(0.01)


@pytest.mark.parametrize("kind", ["segv", "abort"])
def test_a_request_that_ends_each_worker_ends_alone(root, venv, folder, kind):
    stop = folder / "stop"
    others = [root.start(["/usr/bin/python3", "-ISc", OTHERS, venv.site, stop, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
              for i in range(3)]
    for times in 1, 2:
        said = root.run(["stat", venv.site / f"poison-{kind}"], status=None, timeout=120)
        assert "Input/output error" in said.err
        wait_noted(lambda: status(venv)["restarts"] >= times * TRIES)
        assert status(venv)["restarts"] == times * TRIES
    stop.write_text("")
    for other in others:
        out, err = other.communicate(timeout=60)
        assert other.returncode == 0 and int(out) > 0, err
    assert "is refused" in venv.log
    assert root.run(["ls", venv.site]).out.split().count("demo.py") == 1


def test_one_that_leaves_no_trace_ends_all_the_same(root, venv):
    said = root.run(["stat", venv.site / "poison-kill"], status=None, timeout=120)
    assert "Input/output error" in said.err
    while read_lock(venv)["state"] == "degraded" or not pid_of(venv, "worker"):
        pass
    assert venv.run_python("import later; print(later.value)").out == "2\n"
    assert "signal 9" in status(venv)["last_reason"]


def test_workers_that_never_last_are_started_with_pauses(root, venv, loop):
    loop.write_text("")
    os.kill(pids(venv)[1], signal.SIGKILL)
    # Pauses grow until one is so long that requests end with an error.
    while read_lock(venv)["state"] != "degraded":
        pass
    seen = status(venv)
    assert "signal 6" in seen["last_reason"] and 8 < seen["restarts"] < 20
    said = root.run(["cat", venv.site / "later.py"], status=None, timeout=60)
    assert "Input/output error" in said.err or said.out == "value = 2\n"
    assert "signal 6" in venv.log
    # The way back: the cause goes, and the keeper's next try succeeds.
    loop.unlink()
    while read_lock(venv)["state"] == "degraded" or not pid_of(venv, "worker"):
        pass
    assert venv.run_python("import later; print(later.value)").out == "2\n"


def child(pid, mode):
    """Waits for a child of that process that is a fusepkg-mount of this MODE."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            pids = [p for task in Path(f"/proc/{pid}/task").glob("*/children") for p in task.read_text().split()]
            found = [int(p) for p in pids if mode.encode() in Path(f"/proc/{p}/cmdline").read_bytes().split(b"\0")]
            if found:
                return found[0]
        time.sleep(0.01)
    raise AssertionError(f"process {pid} starts no {mode}")


def test_a_worker_that_is_not_ready_yet_replaces_its_keeper(venv, load):
    keeper, worker = pids(venv)
    load.write_text("")
    os.kill(worker, signal.SIGKILL)
    for _ in range(3):
        worker = child(keeper, "--worker")
        os.kill(keeper, signal.SIGKILL)
        keeper = child(worker, "--keeper")
        os.kill(worker, signal.SIGKILL)
    load.unlink()
    assert venv.run_python("import later; print(later.value)").out == "2\n"
    assert pids(venv)[0] == keeper


def test_a_worker_that_was_stopped_is_replaced(root, venv):
    keeper, worker = pids(venv)
    os.kill(worker, signal.SIGSTOP)
    waiting = [root.start(["cat", venv.site / name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for name in ("later.py", "demo.py")]
    assert [process.communicate(timeout=120) for process in waiting] == [("value = 2\n", ""), ("value = 1\n", "")]
    wait_noted(lambda: pids(venv)[1] not in (worker, None))
    assert pids(venv)[0] == keeper
    assert status(venv)["last_reason"] == "it was stopped"
