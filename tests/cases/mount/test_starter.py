"""The mount goes on without whoever started it."""
import os
import re
import signal
from pathlib import Path

from support.mount_kill import pids


def test_it_keeps_nothing_of_its_starter(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))  # reads stdout and stderr to their ends: a kept descriptor would hang here
    for process in pids(venv):
        proc = Path(f"/proc/{process}")
        assert os.readlink(proc / "cwd") == "/"
        for fd in (proc / "fd").iterdir():
            try:
                target = os.readlink(fd)
            except FileNotFoundError:
                continue  # the worker has closed it meanwhile: that is not kept
            assert not target.startswith(("pipe:", "/dev/pts", "/dev/tty")), f"{fd} is {target}"
        session = int((proc / "stat").read_text().rpartition(")")[2].split()[3])
        assert session not in (os.getsid(0), os.getsid(os.getpid()))


def test_alarms_end_what_the_first_worker_starts(account, new_venv, make_wheel):
    """It goes on in the keeper's program, which catches them; those who look things up in the mount have nothing else to end them."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    status = Path(f"/proc/{pids(venv)[1]}/status").read_text()
    caught, ignored = (int(re.search(rf"Sig{what}:\s*(\w+)", status)[1], 16) for what in ("Cgt", "Ign"))
    assert not (caught | ignored) >> signal.SIGALRM - 1 & 1


def test_a_shell_gets_its_result_at_once(account, new_venv, make_wheel):
    venv = new_venv(account)
    script = f'x=$(fusepkg add --venv "{venv}" "{make_wheel("demo")}"); echo "done $?"'
    assert account.run(["sh", "-c", script], timeout=60).out == "done 0\n"
    assert venv.is_mounted
