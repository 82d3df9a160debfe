"""kill -9 of `fusepkg add` at random moments, eight at a time: whatever the moment, the store is whole afterwards, and
later adds work."""
import os
import random
import signal
import subprocess
import time

import pytest

from support.account import remove_tree
from support.venvs import make_venv

PARALLEL = 8
WHEELS = 24
CHOSEN = 4        # wheels of one add
ROUNDS = 20
LONG_ROUNDS = 200


def write_wheels(make_wheel, numbers):
    """Small and large files, and an object that all share."""
    def payload(seed, size):
        return random.Random(seed).randbytes(size)

    wheels = []
    for i in numbers:
        files = {f"kill{i}/m{k}.py": f"x = {k}\n" * 200 for k in range(40)}
        files[f"kill{i}/large.so"] = payload(i + 1, 900_000)
        files[f"kill{i}/shared.so"] = payload(0, 700_000)
        wheels.append(make_wheel(f"kill{i}", "1.0", files))
    return wheels


class Killing:
    def __init__(self, root, wheels, venvs, seed):
        self.root, self.wheels, self.venvs = root, wheels, venvs
        self.random = random.Random(seed)
        self.killed = self.litter = 0
        self.seconds = self.measure()

    def start(self, venv):
        argv = [self.root.installed / "bin/fusepkg", "add", "--no-mount", "-q", "--venv", venv.path,
                *self.random.sample(self.wheels, CHOSEN)]
        return self.root.start(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def measure(self):
        """How long eight adds take that nobody kills, with all the work to do."""
        begun = time.monotonic()
        for process in [self.start(venv) for venv in self.venvs]:
            assert process.wait() == 0
        return time.monotonic() - begun

    def start_over(self):
        """No store and empty venvs: so adds have work to do when they are killed, making the store among it."""
        for folder in [self.root.store, *(venv.state for venv in self.venvs)]:
            remove_tree(folder)

    def round(self):
        processes = [self.start(venv) for venv in self.venvs]
        moments = sorted((self.random.uniform(0, self.seconds), n) for n in range(len(processes)))
        begun = time.monotonic()
        for moment, n in moments:
            time.sleep(max(0, begun + moment - time.monotonic()))
            if processes[n].poll() is None:
                os.kill(processes[n].pid, signal.SIGKILL)
        for process in processes:
            status = process.wait()
            assert status in (0, -signal.SIGKILL)
            self.killed += status != 0
        staging = self.root.store / "staging"
        self.litter += len(os.listdir(staging)) if staging.exists() else 0

    def check(self):
        """What was published is whole at once; a later add of everything works, and clears the litter."""
        if (self.root.store / "store").exists():
            assert self.root.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
        for venv in self.random.sample(self.venvs, 2):
            venv.fusepkg("add", "--no-mount", *self.wheels)
            assert len(venv.fusepkg("list", "--json").json()) == len(self.wheels)
        assert self.root.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
        assert os.listdir(self.root.store / "staging") == []


def run(rounds, root, make_wheel, places):
    seed = int(os.environ.get("FUSEPKG_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FUSEPKG_TEST_SEED={seed}")
    venvs = [make_venv(root, places.get(None) / f"venv{i}") for i in range(PARALLEL)]
    killing = Killing(root, write_wheels(make_wheel, range(WHEELS)), venvs, seed)
    for number in range(rounds):
        if number % 4 != 3: # the last of four finds everything known, and is killed while it commits
            killing.start_over()
        killing.round()
        killing.check()
    print(f"{killing.killed} of {rounds * PARALLEL} killed, {killing.litter} staging folders left by them")
    assert killing.killed > rounds
    assert killing.litter > 0


def test_kills_leave_a_whole_store(root, make_wheel, places):
    run(ROUNDS, root, make_wheel, places)


@pytest.mark.long
def test_many_kills_leave_a_whole_store(root, make_wheel, places):
    run(LONG_ROUNDS, root, make_wheel, places)
