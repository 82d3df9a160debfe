"""Kills processes of a mount again and again while programs use it."""
import os
import signal
import threading
import time

LOCK_LINES = {"keeper": "pid", "worker": "worker"}


def read_lock(venv):
    """The lines of the lock as a dictionary: who serves at this moment, without a command in between."""
    lines = (venv.state / "lock").read_text().splitlines()
    return dict(line.partition(" ")[::2] for line in lines if line)


def pid_of(venv, who):
    return int(read_lock(venv).get(LOCK_LINES[who]) or 0)


class Killer:
    """with Killer(venv, "worker"): … — sends the signal to whoever serves, every PERIOD seconds, until the block ends."""

    def __init__(self, venv, who="worker", number=signal.SIGKILL, period=0.1):
        self.venv, self.who, self.number, self.period = venv, who, number, period
        self.done, self.kills = threading.Event(), 0
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        last = 0
        while not self.done.wait(self.period):
            pid = pid_of(self.venv, self.who)
            # The lock may still name one that is dead; a number is not given again so soon.
            if pid in (0, last):
                continue
            try:
                os.kill(pid, self.number)
            except ProcessLookupError:
                continue
            last = pid
            self.kills += 1

    def wait_for(self, kills):
        end = time.monotonic() + 300
        while self.kills < kills and time.monotonic() < end:
            time.sleep(0.05)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
