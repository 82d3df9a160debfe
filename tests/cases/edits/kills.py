"""Ending a mount's processes without a warning."""
import contextlib
import fcntl
import os
import signal
import time
from pathlib import Path

from support import guard


def is_running(pid):
    """Also when its first thread has ended, and others have not yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" or len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pids, venv):
    """Returns when they have ended, and the kernel knows what has become of the mount."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(is_running(pid) for pid in pids):
        time.sleep(0.002)
    with contextlib.suppress(OSError):
        os.statvfs(venv.site)  # never answered from a cache


def kill_mount(venv):
    """All processes that serve this mount, those as well that one of them started meanwhile: until its lock is free."""
    wanted, killed = str(venv.site), []
    with open(venv.state / "lock", "rb") as lock:
        while True:
            pids = [pid for pid, command in guard.processes(venv.account.mark)
                    if "fusepkg-mount" in command.partition(" ")[0] and wanted in command]
            kill(pids, venv)
            killed += pids
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return killed
            except BlockingIOError:
                time.sleep(0.002)
