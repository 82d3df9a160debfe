"""A power cut at any moment: the mount's writes to its state are recorded, and states that the disk could have been left in are mounted.
What was synced is there; what was not is as before, or there in part, and nothing is ever damaged."""
import os
import random
import shutil
import time

import pytest

from support.account import remove_tree
from support.disk_model import CALLS, Record

STATES = 24
LONG_STATES = 600


@pytest.fixture
def recorder(root, folder):
    """A fusepkg-mount that strace watches; its log."""
    log = folder / "calls"
    program = folder / "recorded-mount"
    program.write_text(f"#!/bin/sh\nexec strace -f -y -xx -ttt -s 4000000 -e trace={CALLS} -o {log} "
                       f"{root.installed}/libexec/fusepkg/fusepkg-mount \"$@\"\n")
    program.chmod(0o755)
    return program, log


class Work:
    """Changes of a mounted tree, and what must be true of it from which time on."""

    def __init__(self, site):
        self.site, self.facts, self.touched, self.either = site, [], [], []

    def begin(self, *names):
        self.touched += [(time.time(), name) for name in names]

    def write(self, name, data, mode="wb", offset=None, sync=True):
        self.begin(name)
        with open(self.site / name, mode) as f:
            if offset is not None:
                f.seek(offset)
            f.write(data)
            if sync:
                f.flush()
                os.fsync(f.fileno())
        if sync:
            self.fact(name)

    def fact(self, name):
        path = self.site / name
        self.facts.append((time.time(), name, path.read_bytes() if path.exists() else None))

    def sync_dir(self, *names):
        fd = os.open(self.site, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        for name in names:
            self.fact(name)

    def replace(self, name, new):
        """As editors do, after the new one was synced: nobody ever sees half of it."""
        self.either.append((time.time(), name, [(self.site / name).read_bytes(), (self.site / new).read_bytes()]))
        self.begin(name, new)
        os.rename(self.site / new, self.site / name)

    def remove(self, name):
        self.either.append((time.time(), name, [(self.site / name).read_bytes(), None]))
        self.begin(name)
        os.unlink(self.site / name)

    def expected(self, moment):
        """{name: bytes} of what was synced before MOMENT and not touched since."""
        wanted = {}
        for at, name, data in self.facts:
            if at < moment:
                wanted[name] = (at, data)
        return {name: data for name, (at, data) in wanted.items()
                if not any(n == name and at < began <= moment for began, n in self.touched)}


def change(site):
    w = Work(site)
    w.write("new.txt", b"first\n" * 1000)
    w.write("unsynced.txt", b"never synced\n" * 500, sync=False)
    w.write("demo/big.bin", b"CHANGED!", "r+b", offset=300_000)          # copied up
    w.write("new.txt", b"more\n" * 100, "ab")
    w.begin("moved.txt", "new.txt")
    os.rename(site / "new.txt", site / "moved.txt")
    w.sync_dir("moved.txt", "new.txt")
    w.begin("demo/a.py")
    os.unlink(site / "demo/a.py")
    w.sync_dir("demo/a.py")
    os.mkdir(site / "made")
    for i in range(30):
        w.write(f"made/{i}", b"%d\n" % i * i, sync=i % 3 == 0)
    w.write("demo/b.py", b"rewritten\n")                                  # O_TRUNC of a file of the store
    w.begin("demo/sub/c.py", "sub2/c.py")
    os.rename(site / "demo/sub", site / "sub2")
    w.sync_dir("demo/sub/c.py", "sub2/c.py")
    for i in range(10):
        os.unlink(site / f"made/{3 * i + 1}")
    w.write("last", b"the end\n")
    for i in range(3, 30, 3):
        w.write(f"made/{i}.new", b"replaced\n" * i)
    for i in range(3, 30, 3):                                             # nothing is synced from here on
        w.replace(f"made/{i}", f"made/{i}.new") if i % 2 else w.remove(f"made/{i}")
        w.write(f"unsynced.{i}", b"more\n" * 100, sync=False)
        time.sleep(0.05)                                                  # what nobody names any more goes
    return w


def state_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()}


def put_state(venv, state, account):
    remove_tree(venv.state)
    for name, data in state.items():
        path = venv.state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (venv.state / "edits.data").mkdir(exist_ok=True)
    account.give(venv.state)


def check(venv, work, moment, original):
    """Everything can be read; what was synced is there; of the store's file each byte is the old or the new one."""
    for folder, dirs, files in os.walk(venv.site, onerror=lambda e: pytest.fail(str(e))):
        for name in dirs + files:
            os.lstat(os.path.join(folder, name))
        for name in files:
            with open(os.path.join(folder, name), "rb") as f:
                f.read()
    for name, data in work.expected(moment).items():
        path = venv.site / name
        found = path.read_bytes() if path.exists() else None
        assert found == data, f"{name} was synced, and is {found and found[:80]}"
    for at, name, choices in work.either:
        path = venv.site / name
        found = path.read_bytes() if path.exists() else None
        assert at > moment or found in choices, f"{name} was synced, and then replaced or removed: it is {found and found[:80]}"
    big = (venv.site / "demo/big.bin").read_bytes()
    assert len(big) == len(original) and big[:300_000] == original[:300_000] and big[300_008:] == original[300_008:]
    bad = [d for d in venv.fusepkg("verify", "--json", status=None).json()["differences"] if d["kind"] in ("bad", "damaged")]
    assert not bad, bad


def cut(root_demo, recorder, count, seed):
    venv, rng = root_demo, random.Random(seed)
    original = (venv.site / "demo/big.bin").read_bytes()
    program, log = recorder
    venv.fusepkg("umount")
    start = state_of(venv.state)
    venv.fusepkg("mount", env={"FUSEPKG_MOUNT_PROGRAM": program})
    work = change(venv.site)
    venv.fusepkg("umount")
    final = venv.state.with_name("state-at-the-end")
    shutil.copytree(venv.state, final)
    record = Record(venv.state, start)
    record.read(log)
    assert len(record.calls) > 200, "little was recorded"
    whole = record.state(len(record.calls), random.Random(0))
    assert set(whole) - {"log", "lock"} <= set(state_of(final)) | {"edits.db-wal"}, "the model and the disk differ in names"
    for n in range(count):
        calls = rng.randint(1, len(record.calls))
        state = record.state(calls, rng)
        moment = record.calls[calls - 1][0]
        put_state(venv, state, venv.account)
        try:
            venv.fusepkg("mount")
            check(venv, work, moment, original)
        except BaseException:
            print(f"seed {seed}, state {n}, after {calls} of {len(record.calls)} calls: {record.calls[calls - 1][1:3]}")
            raise
        venv.fusepkg("umount")


def test_a_power_cut_keeps_what_was_synced(root_demo, recorder):
    cut(root_demo, recorder, STATES, 1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 7))
def test_many_power_cuts(root_demo, recorder, seed):
    cut(root_demo, recorder, LONG_STATES // 5, seed)
