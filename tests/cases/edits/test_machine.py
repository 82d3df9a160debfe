"""A random state machine does the same things to a mount and to a plain folder, with remounts, kills of the mount's process
and package switches in between, and compares all that a program can see (support/twin.py).

FUSEPKG_TEST_SEED repeats a run.  Package switches: packages.py says what they must do to the plain folder."""
import contextlib
import os
import shutil
import stat
import sys
import time

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import actions
import kills
from packages import Packages, write_base
from support import syscalls
from support.mount_kill import worker_of
from support.twin import Handle, Twin
from support.venvs import Venv

NAMES = ("a", "b", "c.py", "d.txt", "e", "ключ", ".hidden", "n" * 255)
SIZES = (0, 1, 100, 4095, 4096, 4097, 30_000, 70_000, 140_000, 300_000)
MODES = (0o644, 0o600, 0o755, 0o777, 0o444, 0o000, 0o4755, 0o2775, 0o1777)
OTHER = 54321  # a uid that has nothing here
RIGHTS = (0, 0, 0, OTHER)

any_path = st.integers(0, 1 << 12)  # which one, modulo how many there are
names = st.sampled_from(NAMES + NAMES + ("n" * 256,))
sizes = st.sampled_from(SIZES)
offsets = st.one_of(st.sampled_from(SIZES), st.integers(0, 300_000))
modes = st.sampled_from(MODES)
seeds = st.integers(0, 999)
who = st.sampled_from(RIGHTS)
OPEN_FLAGS = (0, os.O_CREAT, os.O_CREAT | os.O_EXCL, os.O_CREAT | os.O_TRUNC, os.O_TRUNC, os.O_APPEND, os.O_CREAT | os.O_APPEND,
              os.O_NOFOLLOW)
HANDLE_FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_APPEND, os.O_RDWR | os.O_CREAT)
RENAME_FLAGS = (0, 0, 0, syscalls.RENAME_NOREPLACE, syscalls.RENAME_EXCHANGE)
PUNCH = syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE
FALLOCATE_MODES = (PUNCH, 0, syscalls.FALLOC_KEEP_SIZE, PUNCH, syscalls.FALLOC_ZERO_RANGE)  # tmpfs lacks the last one


class Place:
    """Where the machines of one test work: one venv after the other, each beside a plain folder.  PLAIN is on ext4."""

    def __init__(self, account, kind, parent, plain, template, packages):
        self.account, self.parent, self.plain = account, parent, plain
        self.fallocate_modes = [m for m in FALLOCATE_MODES if kind != "tmpfs" or m != syscalls.FALLOC_ZERO_RANGE]
        self.template, self.packages = template, packages
        self.count = 0

    def new(self):
        """(venv, the plain folder that equals what it shows)"""
        self.count += 1
        path, plain = self.parent / f"venv{self.count}", self.plain / f"plain{self.count}"
        shutil.copytree(self.template, path, symlinks=True)
        venv = Venv(path, self.account)
        write_base(venv.site)
        venv.fusepkg("add", "-q", *self.packages.first_wheels())
        self.account.run(["cp", "-a", "--no-preserve=links", venv.site, plain])
        (plain / ".fusepkg").unlink()
        # The copying of its contents has changed it.
        shutil.copystat(venv.site, plain)
        return venv, plain

    def drop(self, venv, plain):
        if venv.is_mounted:
            venv.fusepkg("umount")
        shutil.rmtree(venv.path)
        shutil.rmtree(plain)


class Machine(RuleBasedStateMachine):
    def __init__(self, place):
        super().__init__()
        self.place = place
        self.venv, self.plain = place.new()
        self.twin = Twin(self.venv.site, self.plain)
        self.handles, self.listings = [], []
        self.packages = place.packages.beside(self.venv, self.twin)
        self.step = 0
        self.every = 1
        self.twin.check("at the start")

    def teardown(self):
        self.close_all()
        try:
            if sys.exc_info()[0] is None:
                self.twin.check("at the end")
            else:
                print(self.venv.log)
        finally:
            self.twin.close()
            self.place.drop(self.venv, self.plain)

    # Helpers.

    def pick(self, number, wanted=None):
        # Whoever takes away a distribution's dist-info has uninstalled it, and the next command knows: not what is tested here.
        paths = [p for p in self.twin.paths(wanted) if ".dist-info" not in p]
        return paths[number % len(paths)] if paths else "a"

    def new_path(self, number, name):
        folder = self.pick(number, "dir")
        return f"{folder}/{name}" if folder else name

    def both(self, uid, action, *args):
        with syscalls.acting_as(uid):
            return self.twin.both(action, *args)

    def close_all(self):
        for handle in self.handles + [listing for listing, _, _ in self.listings]:
            handle.close()
        self.handles, self.listings = [], []

    def handle(self, number):
        return self.handles[number % len(self.handles)]

    @rule(every=st.sampled_from([1, 1, 4, 15]))
    def look_less_often(self, every):
        """What was looked at is in the kernel's caches: some runs must go on without."""
        self.every = every

    @invariant()
    def is_same(self):
        self.step += 1
        if self.step % self.every == 0:
            self.twin.check(f"after step {self.step}")
            for handle in self.handles:
                handle.check()

    # Names.

    @rule(folder=any_path, name=names, flags=st.sampled_from(OPEN_FLAGS), mode=modes, size=sizes, seed=seeds, uid=who)
    def make_file(self, folder, name, flags, mode, size, seed, uid):
        self.both(uid, actions.write, self.new_path(folder, name), flags | os.O_CREAT | os.O_NONBLOCK, mode, 0,
                  actions.pattern(seed, size))

    @rule(folder=any_path, name=names, mode=modes, uid=who)
    def make_folder(self, folder, name, mode, uid):
        self.both(uid, actions.mkdir, self.new_path(folder, name), mode)

    @rule(folder=any_path, name=names, text=st.sampled_from(("a", "../b", "demo", "demo/a.py", "nowhere", ".", "x" * 4000)))
    def make_symlink(self, folder, name, text):
        self.both(0, actions.symlink, text, self.new_path(folder, name))

    @rule(folder=any_path, name=names, kind=st.sampled_from((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG)), mode=modes)
    def make_node(self, folder, name, kind, mode):
        self.both(0, actions.mknod, self.new_path(folder, name), kind, mode)

    @rule(folder=any_path, name=st.sampled_from(("a", "e", "s")))
    def listen(self, folder, name):
        self.both(0, actions.listen, self.new_path(folder, name))

    @rule(old=any_path, folder=any_path, name=names, uid=who)
    def link(self, old, folder, name, uid):
        self.both(uid, actions.link, self.pick(old), self.new_path(folder, name))

    @rule(old=any_path, folder=any_path, name=names, flags=st.sampled_from(RENAME_FLAGS), uid=who)
    def rename(self, old, folder, name, flags, uid):
        self.both(uid, actions.rename, self.pick(old, "any"), self.new_path(folder, name), flags)

    @rule(old=any_path, new=any_path, flags=st.sampled_from(RENAME_FLAGS))
    def rename_over(self, old, new, flags):
        self.both(0, actions.rename, self.pick(old, "any"), self.pick(new, "any"), flags)

    @rule(old=any_path, folder=any_path, name=names)
    def rename_folder(self, old, folder, name):
        self.both(0, actions.rename, self.pick(old, "dir") or "demo", self.new_path(folder, name), 0)

    @rule(path=any_path, uid=who)
    def unlink(self, path, uid):
        self.both(uid, actions.unlink, self.pick(path, "any"))

    @rule(path=any_path)
    def rmdir(self, path):
        self.both(0, actions.rmdir, self.pick(path, "dir") or "demo")

    @rule(path=any_path)
    def remove_tree(self, path):
        path = self.pick(path, "dir")
        if path:
            self.both(0, actions.remove_tree, path)

    # Attributes.

    @rule(path=any_path, mode=modes, uid=who)
    def chmod(self, path, mode, uid):
        path = self.pick(path)
        if path:
            self.both(uid, actions.chmod, path, mode)

    @rule(path=any_path, uid=st.sampled_from((0, -1, OTHER)), gid=st.sampled_from((0, -1, OTHER)), by=who)
    def chown(self, path, uid, gid, by):
        path = self.pick(path)
        if path:
            self.both(by, actions.chown, path, uid, gid)

    @rule(path=any_path, atime=st.integers(0, 2**33), mtime=st.sampled_from((0, 1, 10**9 - 1, 1_600_000_000_123_456_789, 2**31 * 10**9)))
    def utime(self, path, atime, mtime):
        self.both(0, actions.utime, self.pick(path), atime, mtime)

    @rule(path=any_path, uid=who)
    def touch(self, path, uid):
        self.both(uid, actions.touch, self.pick(path))

    @rule(path=any_path, mode=st.sampled_from((os.R_OK, os.W_OK, os.X_OK)), uid=who)
    def access(self, path, mode, uid):
        self.both(uid, actions.access, self.pick(path), mode)

    # Bytes.

    @rule(path=any_path, flags=st.sampled_from(OPEN_FLAGS), offset=offsets, size=sizes, seed=seeds, uid=who)
    def write(self, path, flags, offset, size, seed, uid):
        self.both(uid, actions.write, self.pick(path, "file"), flags, 0o644, None if flags & os.O_APPEND else offset,
                  actions.pattern(seed, size))

    @rule(path=any_path, size=offsets, uid=who)
    def truncate(self, path, size, uid):
        self.both(uid, actions.truncate, self.pick(path, "file"), size)

    @rule(path=any_path, number=any_path, offset=offsets, length=sizes)
    def fallocate(self, path, number, offset, length):
        modes = self.place.fallocate_modes
        self.both(0, actions.fallocate, self.pick(path, "file"), modes[number % len(modes)], offset, length)

    @rule(source=any_path, to=any_path, from_offset=offsets, to_offset=offsets, length=sizes)
    def copy_range(self, source, to, from_offset, to_offset, length):
        self.both(0, actions.copy_range, self.pick(source, "file"), self.pick(to, "file"), from_offset, to_offset, length)

    @rule(path=any_path, offset=offsets, size=sizes, seed=seeds)
    def map_write(self, path, offset, size, seed):
        self.both(0, actions.map_write, self.pick(path, "file"), offset, actions.pattern(seed, size))

    @rule(path=any_path, uid=who)
    def read(self, path, uid):
        self.both(uid, actions.read, self.pick(path, "file"))

    # Open files and folders.

    @precondition(lambda self: len(self.handles) < 8)
    @rule(path=any_path, wanted=st.sampled_from(("file", "file", "dir")), flags=st.sampled_from(HANDLE_FLAGS))
    def open(self, path, wanted, flags):
        path = self.pick(path, wanted)
        handle = Handle(self.twin, path, os.O_RDONLY | os.O_DIRECTORY if wanted == "dir" else flags | os.O_NOFOLLOW | os.O_NONBLOCK)
        if handle.is_open:
            self.handles.append(handle)

    @precondition(lambda self: self.handles)
    @rule(number=any_path, offset=offsets, size=sizes, seed=seeds)
    def write_open(self, number, offset, size, seed):
        self.handle(number).both(actions.write_fd, offset, actions.pattern(seed, size))

    @precondition(lambda self: self.handles)
    @rule(number=any_path, offset=offsets, size=sizes)
    def read_open(self, number, offset, size):
        self.handle(number).both(actions.read_fd, offset, size)

    @precondition(lambda self: self.handles)
    @rule(number=any_path, size=offsets)
    def truncate_open(self, number, size):
        self.handle(number).both(os.ftruncate, size)

    @precondition(lambda self: self.handles)
    @rule(number=any_path, offset=offsets, size=sizes, seed=seeds)
    def map_write_open(self, number, offset, size, seed):
        self.handle(number).both(actions.map_write_fd, offset, actions.pattern(seed, size))

    @precondition(lambda self: self.handles)
    @rule(number=any_path, mode=modes)
    def chmod_open(self, number, mode):
        self.handle(number).both(os.fchmod, mode)

    @precondition(lambda self: self.handles)
    @rule(number=any_path, data_only=st.booleans())
    def sync_open(self, number, data_only):
        self.handle(number).both(os.fdatasync if data_only else os.fsync)

    @precondition(lambda self: self.handles)
    @rule(number=any_path, name=names, mode=modes, size=sizes, seed=seeds)
    def make_in_open(self, number, name, mode, size, seed):
        """In a folder that was moved or removed meanwhile, perhaps."""
        self.handle(number).both(actions.make_in, name, mode, actions.pattern(seed, size))

    @precondition(lambda self: self.handles)
    @rule(number=any_path)
    def close(self, number):
        handle = self.handle(number)
        handle.check()
        handle.close()
        self.handles.remove(handle)

    # Folders, read in pieces while they change.

    @precondition(lambda self: len(self.listings) < 3)
    @rule(path=any_path)
    def begin_listing(self, path):
        handle = Handle(self.twin, self.pick(path, "dir"), os.O_RDONLY | os.O_DIRECTORY)
        assert handle.is_open
        self.listings.append((handle, [], set(os.listdir(handle.fds[1]))))

    @precondition(lambda self: self.listings)
    @rule(number=any_path, size=st.sampled_from((300, 600, 32768)))
    def go_on_listing(self, number, size):
        handle, got, stays = self.listings[number % len(self.listings)]
        stays &= set(os.listdir(handle.fds[1]))
        with contextlib.suppress(FileNotFoundError):  # the folder was removed
            got += [name for name, _, _ in syscalls.getdents(handle.fds[0], size)]

    @precondition(lambda self: self.listings)
    @rule(number=any_path)
    def end_listing(self, number):
        """Every name that was there all the time is listed once.  One that was replaced may be listed twice on any file system."""
        handle, got, stays = self.listings.pop(number % len(self.listings))
        stays &= set(os.listdir(handle.fds[1]))
        with contextlib.suppress(FileNotFoundError):
            while part := syscalls.getdents(handle.fds[0], 1000):
                got += [name for name, _, _ in part]
        handle.close()
        assert stays <= set(got), f"{handle.path}: never listed: {stays - set(got)}"
        assert len(set(got)) == len(got), f"{handle.path}: listed twice: {[n for n in got if got.count(n) > 1]}"

    # The mount and its packages.

    @rule()
    def remount(self):
        self.close_all()
        self.venv.fusepkg("umount", "-q")
        self.venv.fusepkg("mount", "-q")
        self.twin.check("after another mount")

    @rule()
    def kill(self):
        """The worker, and what is open stays open; or all processes of the mount."""
        if self.step % 2:
            kills.kill([worker_of(self.venv)], self.venv)
        else:
            kills.kill_mount(self.venv)
            self.close_all()
            self.venv.fusepkg("mount", "-q")
            os.statvfs(self.venv.site)  # what a dead mount cannot answer from the kernel's caches
        self.twin.check("after a kill")

    @rule(number=any_path)
    def switch(self, number):
        """Adds, upgrades or removes a package."""
        before = self.packages.inodes()
        if self.packages.switch(number):
            for handle in [h for h in self.handles if os.fstat(h.fds[1]).st_ino in before]:
                handle.both(actions.read_fd, 0, 1 << 20)
                handle.close()
                self.handles.remove(handle)
            self.twin.check(f"after {self.packages.last}")


@pytest.fixture
def place(root, places, new_venv, make_wheel):
    """place(kind): a Place on a partition of that KIND."""
    def make(kind):
        template = new_venv(root, on=kind, name="template")
        plain = root.make_folder(places.get("ext4") / "plain")
        return Place(root, kind, template.path.parent, plain, template.path, Packages(make_wheel, root))

    return make


def run(place, examples, steps):
    # The same run every time: what is found by chance is found by the long one.
    seed = int(os.environ.get("FUSEPKG_TEST_SEED", time.time_ns() % 1_000_000 if examples > 100 else 5))
    print("FUSEPKG_TEST_SEED =", seed)
    # A failure says the steps that led to it; to look for fewer would take hours of mounting.
    phases = [hypothesis.Phase.generate] + [hypothesis.Phase.shrink] * ("FUSEPKG_TEST_SHRINK" in os.environ)
    settings = hypothesis.settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, database=None, print_blob=False, phases=phases,
        suppress_health_check=list(hypothesis.HealthCheck))
    run_state_machine_as_test(hypothesis.seed(seed)(lambda: Machine(place)), settings=settings)


def test_a_mount_and_a_plain_folder_are_the_same(place):
    run(place("ext4"), 25, 40)


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "tmpfs"])
def test_on_other_partitions(place, kind):
    run(place(kind), 5, 40)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_a_mount_and_a_plain_folder_are_the_same_for_long(place, kind):
    run(place(kind), 600, 60)
