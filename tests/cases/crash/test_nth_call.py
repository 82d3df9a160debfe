"""Each command is killed before its n-th call that changes files, or that call fails: the environment is the old one or
the new one, nothing of the user's is lost, and the next command makes everything agree.

They carry the marker release for the time that they take with sanitizers."""
import errno
import os
import platform
import random
import subprocess
from pathlib import Path

import pytest

from support.account import remove_tree
from support.make_wheel import executable

KILLS = 20    # of one command, where not all are tried
FAULTS = 24
ERRORS = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS, errno.EMFILE]
MINE = "the user's own {}\n"


@pytest.fixture(scope="session")
def nth_call(session_folder):
    if platform.machine() != "x86_64":
        pytest.skip("nth_call knows the registers of x86-64 alone")
    program = session_folder / "nth_call"
    subprocess.run(["gcc", "-O1", "-o", program, Path(__file__).with_name("nth_call.c")], check=True)
    return program


def script(text):
    return executable(f"#!/bin/sh\necho {text}\n")


def wheels_of(make_wheel):
    """Scripts and data files that change, come and go; `common` is in three packages, and one file is an object."""
    def one(version, **more):
        return make_wheel("one", version, {
            "one/__init__.py": f"v = '{version}'\n", "one/large.so": random.Random(version).randbytes(200_000),
            "{data}/scripts/common": script(f"one {version}"), "{data}/scripts/shared": script("the same"),
            "{data}/data/share/one/x": version, "{data}/data/etc/one.conf": version, "{data}/headers/one.h": version,
            **{path.replace("+", "{data}"): data for path, data in more.items()}},
            entry_points={"console_scripts": {"one": "one:v"}})

    return {
        "base": make_wheel("base", files={"base.py": "", "{data}/scripts/common": script("base"), "{data}/data/share/base": "x"}),
        "one1": one("1.0", **{"+/scripts/first": script("first"), "+/data/man/first": ""}),
        "one2": one("2.0", **{"+/scripts/second": script("second"), "+/data/opt/second": ""}),
        "two": make_wheel("two", files={"two.py": "", "{data}/scripts/common": script("two"), "{data}/data/share/two": "x"},
                          entry_points={"console_scripts": {"pipped": "two:x"}}),
        "third": make_wheel("third", files={"third.py": "", "{data}/scripts/third": script("third")}),
    }


def prepare_user_files(venv):
    """A folder of his own, files and a dangling symlink in the way of packages, and what pip has installed."""
    (venv.path / "share").mkdir()
    (venv.path / "share/mine").write_text(MINE.format("share"))
    (venv.path / "etc").symlink_to("/nonexistent/of the user")
    for name in ("mine", "one", "second"):
        (venv.bin / name).write_text(MINE.format(name))
    info = venv.site / "two-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: two\nVersion: 0.1\n")
    (info / "RECORD").write_text("two-0.1.dist-info/METADATA,,\ntwo-0.1.dist-info/RECORD,,\n../../../bin/pipped,,\n")
    (venv.bin / "pipped").write_text(MINE.format("pipped"))


def snapshot(folder, without=()):
    """{path: what is there}, symlinks unfollowed."""
    found = {}
    for top, folders, files in os.walk(folder):
        for name in folders + files:
            path = Path(top, name)
            relative = str(path.relative_to(folder))
            if path.is_symlink():
                found[relative] = os.readlink(path)
            elif path.is_dir():
                found[relative] = "a folder"
            else:
                found[relative] = (path.stat().st_mode & 0o7777, path.read_bytes())
        folders[:] = [name for name in folders if os.path.relpath(os.path.join(top, name), folder) not in without]
    return found


def without_folders(tree):
    return {path: what for path, what in tree.items() if what != "a folder"}


class World:
    """A store and a venv in which OLD is installed, put back before each try of COMMAND."""

    def __init__(self, root, venv, nth_call, wheels, old, command):
        self.root, self.venv, self.nth_call, self.base, self.third = root, venv, nth_call, wheels["base"], wheels["third"]
        self.command = [command[0], *([] if command[0] == "remove" else ["--no-mount"]), *command[1:]]
        self.saved = root.folder / "saved"
        prepare_user_files(venv)
        self.user = snapshot(venv.path)
        venv.fusepkg("add", "--no-mount", wheels["base"])
        for name in old:
            venv.fusepkg("add", "--no-mount", wheels[name])
        (venv.bin / "shared").exists() and (venv.bin / "shared").write_text(MINE.format("shared"))
        self.saved.mkdir()
        for source in (root.store, venv.path):
            subprocess.run(["cp", "-a", source, self.saved / source.name], check=True)
        self.before, self.old = self.tree(), self.packages()
        self.old_third = self.after(["add", "--no-mount", self.third])
        self.calls, _, _ = self.trace("kill", 0)
        self.after_command, self.new = self.tree(), self.packages()
        self.new_third = self.after(self.command, ["add", "--no-mount", self.third])

    def put_back(self):
        for target in (self.root.store, self.venv.path):
            remove_tree(target)
            subprocess.run(["cp", "-a", self.saved / target.name, target], check=True)

    def tree(self):
        found = snapshot(self.venv.path, without=[".fusepkg"])
        return {path: what for path, what in found.items() if not path.startswith(".fusepkg") and path != ".lock"}

    def packages(self):
        return {p["name"]: p["version"] for p in self.venv.fusepkg("list", "--json").json()}

    def after(self, *commands):
        self.put_back()
        for command in commands:
            self.venv.fusepkg(*command)
        return self.tree()

    def trace(self, action, n):
        """COMMAND from the start: calls seen, name of the one that was hit, the Result."""
        self.put_back()
        out = self.root.folder / "calls"
        argv = [self.nth_call, out, action, n, self.root.installed / "bin/fusepkg", self.command[0], "--venv",
                self.venv.path, *self.command[1:]]
        # Leaks are not found in a process that is traced.
        result = self.root.run(argv, status=None, env={"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99"})
        seen, hit = out.read_text().split()
        return int(seen), hit, result

    def check_user(self, tree):
        """What he had is where it was, or in kept/ (bin/pipped may be away in bare/)."""
        away = [data for path, data in snapshot(self.venv.state).items() if path.startswith(("kept/", "bare/"))]
        for path, what in self.user.items():
            assert tree.get(path) == what or what in away or what == "a folder", f"lost: {path}"

    def check_scripts(self, tree):
        """Each is a whole one, old or new; what the user and pip put into the place of ours may be away by now."""
        ours = {"bin/pipped": b"from two import x", "bin/shared": b"echo the same"}
        for path, what in tree.items():
            if path.startswith("bin/") and not (path in ours and ours[path] in what[1]):
                assert what in (self.before.get(path), self.after_command.get(path), self.user.get(path)), path

    def check_no_litter(self):
        left = [str(p) for p in self.venv.state.rglob("*") if ".tmp-" in p.name or p.name == "outside.new"]
        assert left == []

    def check_whole(self):
        assert self.root.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
        assert os.listdir(self.root.store / "staging") == []
        self.check_no_litter()

    def try_kill(self, n):
        _, hit, result = self.trace("kill", n)
        tree, packages = self.tree(), self.packages()
        assert result.status == 128 + 9 and packages in (self.old, self.new)
        self.check_user(tree)
        self.check_scripts(tree)
        if n % 2: # a command that has nothing to do clears up as well
            self.venv.fusepkg("add", "--no-mount", self.base)
            self.check_no_litter()
        self.venv.fusepkg("add", "--no-mount", self.third)
        assert self.tree() == (self.old_third if packages == self.old else self.new_third)
        self.venv.fusepkg(*self.command)
        assert self.tree() == self.new_third and self.packages() == {**self.new, "third": "1.0"}
        self.check_user(self.tree())
        self.check_whole()

    def try_fault(self, n, error):
        _, hit, result = self.trace(error, n)
        tree, packages = self.tree(), self.packages()
        assert result.status in (0, 1, 2) and packages in (self.old, self.new), result
        errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
        each_wheel = errors and all(line.startswith("error: cannot add '") for line in errors) # one for each that it hit
        assert (result.status != 0) == bool(errors) and (len(errors) <= 1 or each_wheel), result
        self.check_user(tree)
        self.check_scripts(tree)
        expected = dict(self.after_command if packages == self.new else self.before)
        for found in (tree, expected):
            found.pop("bin/shared", None) # check_user knows: it may have been kept
            if "warning: cannot" in result.err:
                found.pop("bin/pipped", None) # it said that it cannot put it back
        if result.status == 0 or packages == self.old:
            assert packages == self.new or result.status, result
            assert without_folders(tree) == without_folders(expected), result # an empty one may be left
        else:
            assert "nstalled" in result.err, result
        self.venv.fusepkg(*self.command)
        self.venv.fusepkg("add", "--no-mount", self.third)
        assert self.tree() == self.new_third and self.packages() == {**self.new, "third": "1.0"}
        self.check_user(self.tree())
        self.check_whole()


COMMANDS = {
    "add": ([], ["add", "one1", "two"]),
    "upgrade": (["one1", "two"], ["add", "one2"]),
    "remove": (["one1", "two"], ["remove", "one", "Two"]),
}


@pytest.fixture(params=COMMANDS)
def world(request, root, venv, nth_call, make_wheel):
    old, command = COMMANDS[request.param]
    wheels = wheels_of(make_wheel)
    return World(root, venv, nth_call, wheels, old, [wheels.get(word, word) for word in command])


def each(world, numbers, attempt):
    """Tries them all before it fails, so that one run shows everything."""
    failures = []
    for numbered in numbers:
        try:
            attempt(*numbered)
        except AssertionError as e:
            failures.append(f"{world.command[0]}, call {numbered}: {str(e)[:1500]}")
    assert not failures, f"{len(failures)} of {len(numbers)}:\n" + "\n".join(failures[:8])


def sample(numbers, count):
    seed = int(os.environ.get("FUSEPKG_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"FUSEPKG_TEST_SEED={seed}")
    return random.Random(seed).sample(numbers, min(count, len(numbers)))


def kills(world):
    return [(n,) for n in range(1, world.calls + 1)]


def faults(world):
    return [(n, error) for n in range(1, world.calls + 1) for error in ERRORS]


@pytest.mark.release
def test_a_kill_leaves_the_old_or_the_new(world):
    each(world, sample(kills(world), KILLS), world.try_kill)


@pytest.mark.release
def test_a_call_that_fails_leaves_the_old_or_the_new(world):
    each(world, sample(faults(world), FAULTS), world.try_fault)


@pytest.mark.long
def test_each_kill_leaves_the_old_or_the_new(world):
    each(world, kills(world), world.try_kill)


@pytest.mark.long
def test_each_call_that_fails_leaves_the_old_or_the_new(world):
    each(world, faults(world), world.try_fault)
