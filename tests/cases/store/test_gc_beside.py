"""gc beside everything else, and everything killed at any moment: no environment ever misses a byte."""
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest
from collecting import check_imports, check_store, gc, removed, wheel_of

from support.account import remove_tree

WORKERS = 3
SECONDS = 15
LONG_SECONDS = 600


class Beside:
    """Adds, imports, edits, removals, kills and verifications beside a gc that never pauses."""

    def __init__(self, root, new_venv, make_wheel, read_only, seconds):
        seed = int(os.environ.get("FUSEPKG_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
        print(f"FUSEPKG_TEST_SEED={seed}")
        self.root, self.random = root, random.Random(seed)
        self.wheels = {f"pkg{i}": wheel_of(make_wheel, f"pkg{i}", shared=i % 3) for i in range(12)}
        self.extra = [wheel_of(make_wheel, f"extra{i}", shared=i % 3) for i in range(6)]
        self.changed = [new_venv(root) for _ in range(WORKERS)]
        self.filled, self.constant, self.edited, self.broken, self.guest = (new_venv(root) for _ in range(5))
        self.constant.fusepkg("add", *self.wheels.values())
        self.edited.fusepkg("add", self.extra[0], *list(self.wheels.values())[:6])
        self.filled.fusepkg("add", "--no-mount", *self.extra)
        self.guest.fusepkg("add", *self.extra[1:3], env={"FUSEPKG_STORE": read_only})
        self.until = time.monotonic() + seconds
        self.failures, self.removed, self.counts = [], 0, {}

    def loop(self, step, *args):
        try:
            while time.monotonic() < self.until and not self.failures:
                step(*args)
                self.counts[step.__name__] = self.counts.get(step.__name__, 0) + 1
        except BaseException as failure:  # every one fails the test
            self.failures.append(failure)

    def change(self, venv, rng):
        names = rng.sample(sorted(self.wheels), 4)
        venv.fusepkg("add", *(self.wheels[n] for n in names))
        check_imports(venv, *names)
        venv.fusepkg("remove", *names[:2])
        check_imports(venv, *names[2:])
        venv.fusepkg("umount")
        venv.fusepkg("mount")
        check_imports(venv, *names[2:])
        venv.fusepkg("umount")
        remove_tree(venv.state)  # nobody needs them any more

    def ingest(self):
        """What few other environments have: it comes and goes."""
        self.filled.fusepkg("add", "--no-mount", *self.extra)
        self.filled.fusepkg("export", "--to", self.filled.path / "exported")
        remove_tree(self.filled.path / "exported")
        remove_tree(self.filled.state)
        time.sleep(0.3)  # for a gc to take it away

    @staticmethod
    def kill_of(venv, who):
        """Just after a kill `status` may still name one that is gone, or nobody."""
        pid = venv.fusepkg("status", "--json").json()[0][who]
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)

    def edit(self, rng):
        """What a program changes here is nobody else's; the mount's worker is killed now and then."""
        name = rng.choice(["extra0", *list(self.wheels)[:6]])
        with open(self.edited.site / name / "own.bin", "r+b") as file:
            file.seek(rng.randrange(200_000))
            file.write(rng.randbytes(5000))
        (self.edited.site / name / f"made{rng.randrange(50)}.py").write_text("made = True\n")
        if rng.random() < 0.2:
            self.kill_of(self.edited, "worker_pid")
        if rng.random() < 0.5:
            self.edited.fusepkg("revert", "--all")
            check_imports(self.edited, "extra0", *list(self.wheels)[:6])

    def visit(self, rng):
        """A store without leases, as in a container: what is mounted there stays."""
        check_imports(self.guest, "extra1", "extra2")
        self.kill_of(self.guest, rng.choice(["keeper_pid", "worker_pid"]))
        check_imports(self.guest, "extra1", "extra2")
        time.sleep(0.2)

    def kill(self, rng, *argv):
        """Runs it, for up to 0.2 s."""
        process = self.root.start(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.random() / 5)
        process.kill()
        process.wait()

    def break_off(self, rng):
        """An `add` that is killed; what it has installed is whole."""
        venv, names = self.broken, rng.sample(sorted(self.wheels), 3)
        self.kill(rng, self.root.installed / "bin/fusepkg", "add", "--venv", venv, *(self.wheels[n] for n in names),
                  rng.choice(self.extra))
        said = venv.fusepkg("mount", status=None)
        if said.status == 0:
            print(said.err, end="")
            check_imports(venv, *(p["name"] for p in venv.fusepkg("list", "--json").json()))
        if rng.random() < 0.3:
            venv.close()
            if venv.state.exists():
                remove_tree(venv.state)

    def collect(self, rng):
        if rng.random() < 0.3:
            self.kill(rng, self.root.installed / "bin/fusepkg", "store", "gc")
        self.removed += len(removed(gc(self.root)))

    def verify(self):
        check_store(self.root)
        time.sleep(0.2)

    def read(self):
        check_imports(self.constant, *self.wheels)
        time.sleep(0.2)

    def run(self):
        rng = lambda: random.Random(self.random.random())
        steps = [*((self.change, v, rng()) for v in self.changed), (self.ingest,), (self.edit, rng()), (self.visit, rng()), (self.break_off, rng()),
                 (self.collect, rng()), (self.verify,), (self.read,)]
        threads = [threading.Thread(target=self.loop, args=step) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.guest.close()  # it uses the read-only mount
        print(f"{self.removed} packages removed; {self.counts}")
        if self.failures:
            raise self.failures[0]
        assert self.removed > 0 and self.counts["change"] > 0
        check_store(self.root)
        check_imports(self.constant, *self.wheels)


@pytest.fixture
def read_only(root, folder):
    """The store, as containers see it."""
    root.store.mkdir(mode=0o700, exist_ok=True)
    below = folder / "read-only"
    below.mkdir()
    subprocess.run(["mount", "--bind", root.store, below], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", below], check=True)
    yield below
    subprocess.run(["umount", below], check=True)


def test_beside_other_commands(root, new_venv, make_wheel, read_only):
    Beside(root, new_venv, make_wheel, read_only, SECONDS).run()


@pytest.mark.long
def test_beside_other_commands_for_long(root, new_venv, make_wheel, read_only):
    Beside(root, new_venv, make_wheel, read_only, LONG_SECONDS).run()
