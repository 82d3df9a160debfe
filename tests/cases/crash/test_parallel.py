"""Commands that run, and die, beside each other, with mounts."""
import fcntl
import os
import random
import signal
import subprocess
import time

import pytest

from support.make_wheel import executable

PARALLEL = 8
ROUNDS = 6
LONG_ROUNDS = 200


def wheels_of(make_wheel, count=PARALLEL):
    return [make_wheel(f"pkg{i}", files={
        f"pkg{i}/__init__.py": f"n = {i}\n", f"pkg{i}/large.so": random.Random(i).randbytes(300_000),
        "{data}/scripts/script%d" % i: executable(f"#!/bin/sh\necho {i}\n"),
        "{data}/scripts/common": executable(f"#!/bin/sh\necho common {i}\n"),
        "{data}/data/share/pkg/%d" % i: str(i)}) for i in range(count)]


def start(venv, command, *args):
    account = venv.account
    return account.start([account.installed / "bin/fusepkg", command, "-q", "--venv", venv.path, *args],
                         stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def installed(venv):
    return {p["name"] for p in venv.fusepkg("list", "--json").json()}


def check_agrees(venv):
    """bin/, share/ and what Python imports are those of the list, through the mount."""
    numbers = sorted(int(name[3:]) for name in installed(venv))
    assert venv.is_mounted
    assert sorted(p.name for p in venv.bin.glob("script*")) == sorted(f"script{n}" for n in numbers)
    assert (venv.bin / "common").exists() == bool(numbers)
    if numbers:
        shared = venv.account.run(["ls", venv.path / "share/pkg"]).out.split() # a user's mount is his alone
        assert sorted(shared) == sorted(map(str, numbers))
        code = "".join(f"import pkg{n}; assert pkg{n}.n == {n}, open(pkg{n}.__path__[0] + '/large.so').read()\n" for n in numbers)
        venv.run_python(code)
    assert not (venv.state / "kept").exists() and not (venv.state / "outside.new").exists()
    assert [p for p in venv.state.rglob("*") if ".tmp-" in p.name] == []


def test_eight_adds_into_one_venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    assert [p.wait() for p in [start(venv, "add", wheel) for wheel in wheels_of(make_wheel)]] == [0] * PARALLEL
    assert len(installed(venv)) == PARALLEL
    check_agrees(venv)


def test_adds_against_removals_and_unmounts(account, new_venv, make_wheel):
    venv = new_venv(account)
    wheels = wheels_of(make_wheel)
    venv.fusepkg("add", *wheels[:4])
    for _ in range(5):
        processes = [start(venv, "add", wheel) for wheel in wheels[4:]]
        processes += [start(venv, "remove", f"pkg{i}") for i in range(4)]
        unmounts = [start(venv, "umount"), start(venv, "mount")]
        assert [p.wait() for p in processes] == [0] * PARALLEL
        assert all(p.wait() in (0, 1) for p in unmounts) # 1: somebody's check of the mount keeps it busy
        venv.fusepkg("mount")
        assert installed(venv) == {f"pkg{i}" for i in range(4, 8)}
        check_agrees(venv)
        venv.fusepkg("add", *wheels[:4])
        venv.fusepkg("remove", *(f"pkg{i}" for i in range(4, 8)))


def test_a_command_removes_no_temporary_file_of_who_is_mounting(root, new_venv, make_wheel):
    """A Python that starts mounts without the lock of commands.  What was left by one that was killed goes."""
    venv, wheel = new_venv(root), make_wheel("demo")
    venv.fusepkg("add", wheel)
    mounts = [venv.state / f"{name}.tmp-0123456789abcdef" for name in ("bare-seen", "bare-new", "venv")]
    others = [venv.state / f"{name}.tmp-0123456789abcdef" for name in ("python", "eject", "outside", "environment", "history/1")]
    with open(venv.state / "mount-lock", "r+") as lock:
        for expected in (mounts, []):
            for path in mounts + others:
                path.touch()
            fcntl.flock(lock, fcntl.LOCK_EX if expected else fcntl.LOCK_UN)
            venv.fusepkg("add", wheel)
            assert [path for path in mounts + others if path.exists()] == expected


class Killing:
    """Eight venvs with mounts; adds and removals in all of them at once are killed at random moments."""

    def __init__(self, root, new_venv, wheels):
        seed = int(os.environ.get("FUSEPKG_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
        print(f"FUSEPKG_TEST_SEED={seed}")
        self.root, self.wheels, self.random = root, wheels, random.Random(seed)
        self.venvs = [new_venv(root) for _ in range(PARALLEL)]
        begun = time.monotonic()
        assert [p.wait() for p in [start(v, "add", *wheels) for v in self.venvs]] == [0] * PARALLEL
        self.seconds = time.monotonic() - begun
        self.killed = 0

    def round(self):
        processes = []
        for venv in self.venvs:
            some = self.random.sample(self.wheels, 4)
            if self.random.random() < 0.3:
                processes.append(start(venv, "remove", *(w.name.split("-")[0] for w in some)))
            else:
                processes.append(start(venv, "add", "--reinstall", *some))
        begun = time.monotonic()
        for moment, process in sorted((self.random.uniform(0, self.seconds), i) for i in range(PARALLEL)):
            time.sleep(max(0, begun + moment - time.monotonic()))
            processes[process].send_signal(signal.SIGKILL)
        for process in processes:
            status = process.wait()
            assert status in (0, -signal.SIGKILL)
            self.killed += status != 0

    def check(self):
        assert self.root.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
        for venv in self.random.sample(self.venvs, 3):
            venv.fusepkg("add", self.random.choice(self.wheels))
            check_agrees(venv)

    def end(self):
        for venv in self.venvs:
            venv.fusepkg("add", *self.wheels)
            assert len(installed(venv)) == len(self.wheels)
            check_agrees(venv)
            venv.fusepkg("umount")
        assert os.listdir(self.root.store / "staging") == []
        assert self.killed > 0
        print(self.killed, "killed")


def run(rounds, root, new_venv, make_wheel):
    killing = Killing(root, new_venv, wheels_of(make_wheel))
    for number in range(rounds):
        if number % 5 == 4: # with ingest: nothing but what is installed in other venvs is known
            for venv in killing.venvs:
                venv.fusepkg("umount")
                subprocess.run(["rm", "-rf", venv.state, venv.path / "share", *venv.bin.glob("script*"), venv.bin / "common"], check=True)
            subprocess.run(["rm", "-rf", root.store], check=True)
        killing.round()
        if (root.store / "store").exists():
            killing.check()
    killing.end()


def test_kills_under_mounts(root, new_venv, make_wheel):
    run(ROUNDS, root, new_venv, make_wheel)


@pytest.mark.long
def test_many_kills_under_mounts(root, new_venv, make_wheel):
    run(LONG_ROUNDS, root, new_venv, make_wheel)
