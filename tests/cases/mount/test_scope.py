"""Where a user manager of systemd runs, a mount leaves the cgroup of the terminal that it was started from; and whatever
becomes of a terminal, the mount stays."""
import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.mount_kill import pids

MANAGER = Path(__file__).resolve().parents[2] / "support/manager.py"
WAIT_SECONDS = 60


def cgroup_root():
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return Path(next(fields[4] for fields in lines if fields[fields.index("-") + 1] == "cgroup2"))


def own_cgroup(pid):
    return next(line[3:] for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines() if line.startswith("0::"))


class Session:
    """The cgroups of a user manager with a terminal in it, and that manager."""

    def __init__(self, account, folder, place):
        self.account, self.made = account, []
        self.runtime = account.make_folder(folder / "runtime", 0o700)
        account.make_folder(self.runtime / "systemd")
        user = account.uid
        self.terminal = self.make(place.format(uid=user))
        self.scope = self.make(f"user.slice/user-{user}.slice/user@{user}.service/app.slice/made.scope")
        self.process = None

    def make(self, path):
        at = cgroup_root()
        for name in path.split("/"):
            at = at / name
            if not at.exists():
                at.mkdir()
                self.made.append(at)
                # Who moves a process between two needs the right for what is above both.
                for file in (at, at / "cgroup.procs"):
                    os.chown(file, self.account.uid, self.account.gid)
        return at

    def start(self, how):
        argv = ["/usr/bin/python3", "-IS", MANAGER, self.runtime / "systemd/private", self.scope, how]
        self.process = self.account.start(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "listening\n"

    def calls(self):
        """What it was asked; it is not there any more."""
        self.process.kill()
        return [json.loads(line) for line in self.process.communicate()[0].splitlines()]

    def run(self, *argv):
        """In the terminal."""
        into = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', self.terminal / "cgroup.procs", *self.account.argv(argv)]
        done = subprocess.run([str(a) for a in into], env=self.account.environment(XDG_RUNTIME_DIR=str(self.runtime)),
                              capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert done.returncode == 0, done.stderr
        return done

    def close_terminal(self):
        """As systemd does: whatever is in its cgroup."""
        for pid in (self.terminal / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        end = time.monotonic() + WAIT_SECONDS
        for folder in reversed(self.made):
            while True:
                try:
                    folder.rmdir()
                    break
                except OSError: # who was in it is just ending
                    assert time.monotonic() < end, (folder / "cgroup.procs").read_text()
                    time.sleep(0.05)


@pytest.fixture
def new_session(user, folder):
    made = []

    def make(place="user.slice/user-{uid}.slice/user@{uid}.service/app.slice/terminal.scope"):
        made.append(Session(user, folder, place))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def venv(user, new_session, new_venv, make_wheel):
    # After new_session, so that it is unmounted before the cgroups go.
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo", "1.0", {"demo/__init__.py": "value = 1\n"}))
    venv.fusepkg("umount")
    return venv


def test_a_mount_leaves_the_terminal(new_session, venv):
    session = new_session()
    session.start("move")
    session.run("fusepkg", "mount", "--venv", venv)
    served = sorted(pids(venv))
    call, = session.calls()
    assert (call["interface"], call["member"], call["mode"]) == ("org.freedesktop.systemd1.Manager", "StartTransientUnit", "fail")
    assert call["path"] == "/org/freedesktop/systemd1"
    assert call["name"].startswith("fusepkg-") and call["name"].endswith(".scope")
    assert sorted(call["properties"]["PIDs"]) == served
    assert call["properties"]["Description"] == f"fusepkg: {venv.site}"
    assert call["properties"]["CollectMode"] == "inactive-or-failed"
    session.close_terminal()
    assert {own_cgroup(pid) for pid in pids(venv)} == {"/" + str(session.scope.relative_to(cgroup_root()))}
    assert venv.run_python("import demo; print(demo.value)").out == "1\n"
    assert sorted(pids(venv)) == served


def test_an_older_manager_is_asked_for_less(new_session, venv):
    session = new_session()
    session.start("refuse-oom")
    session.run("fusepkg", "mount", "--venv", venv)
    first, second = session.calls()
    assert first["properties"].pop("OOMPolicy") == "continue"
    assert first["properties"] == second["properties"]
    assert {own_cgroup(pid) for pid in pids(venv)} == {"/" + str(session.scope.relative_to(cgroup_root()))}


@pytest.mark.parametrize("how", ["refuse", "silent", "absent"])
def test_a_manager_that_does_not_help_is_no_reason_to_fail(new_session, venv, how):
    session = new_session()
    if how != "absent":
        session.start(how)
    assert session.run("fusepkg", "mount", "--venv", venv).stderr.startswith("Mounted ")
    assert venv.run_python("import demo; print(demo.value)").out == "1\n"
    assert {own_cgroup(pid) for pid in pids(venv)} == {"/" + str(session.terminal.relative_to(cgroup_root()))}


@pytest.mark.parametrize("place", ["user.slice/user-{uid}.slice/session-7.scope", "fusepkg-test-{uid}.slice/cron.service",
                                   "user.slice/user-{uid}.slice/user@{uid}.service/app.slice/jupyter.service"])
def test_services_keep_their_mounts(new_session, venv, place):
    """And a session does, whose manager would end with it."""
    session = new_session(place)
    session.start("move")
    session.run("fusepkg", "mount", "--venv", venv)
    assert session.calls() == []
    assert {own_cgroup(pid) for pid in pids(venv)} == {"/" + str(session.terminal.relative_to(cgroup_root()))}


def test_a_terminal_that_closes_takes_nothing_along(account, new_venv, make_wheel):
    venv = new_venv(account)
    wheel = make_wheel("demo", "1.0", {"demo/__init__.py": "value = 1\n"})
    child, terminal = pty.fork()
    if child == 0:
        argv = account.argv(["sh", "-c", f'fusepkg add --venv "{venv}" "{wheel}" && echo done; sleep {WAIT_SECONDS}'])
        os.execvpe(str(argv[0]), [str(a) for a in argv], account.environment())
    said = b""
    while b"done" not in said:
        said += os.read(terminal, 4096)
    served = sorted(pids(venv))
    os.close(terminal) # SIGHUP for who has it, then for all of the group
    for number in (signal.SIGHUP, signal.SIGKILL):
        try:
            os.killpg(child, number)
        except ProcessLookupError:
            pass
    os.waitpid(child, 0)
    assert venv.run_python("import demo; print(demo.value)").out == "1\n"
    assert sorted(pids(venv)) == served
