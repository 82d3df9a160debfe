"""Killing the processes of a mount: its keeper and its worker (fs/keeper.h)."""
import os
import signal
import time
from pathlib import Path

PATIENCE = 60


def pids(venv):
    """(keeper, worker) as `status` names them."""
    now = venv.fusepkg("status", "--json").json()[0]
    return now["keeper_pid"], now["worker_pid"]


def worker_of(venv):
    """Just after a kill it may not have been noted yet who has come."""
    end = time.monotonic() + PATIENCE
    while not (worker := pids(venv)[1]):
        assert time.monotonic() < end, "no worker is noted"
        time.sleep(0.01)
    return worker


def is_running(pid):
    """Also while it is ending, and has not closed its files yet; and when its first thread has ended, and others have not yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill_both(venv):
    """In one moment, and waits until the kernel knows: the mount is dead."""
    gone = pids(venv)
    # Stopped first: each would start the other again, between two calls of ours.
    for number in signal.SIGSTOP, signal.SIGKILL:
        for pid in gone:
            os.kill(pid, number)
    while any(is_running(pid) for pid in gone):
        time.sleep(0.01)


def is_dead(venv):
    """As its own user sees it."""
    return "not connected" in venv.account.run(["stat", "-f", venv.site], status=None).err
