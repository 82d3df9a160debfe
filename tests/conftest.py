"""Fixtures of the whole-program tests.  A test gets a folder of its own, one account or more, and venvs on partitions
of its choice; whatever it leaves behind is cleared and fails it (support/guard.py)."""
import fcntl
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from support import guard
from support.account import Account, remove_tree
from support.make_wheel import make_wheel as write_wheel
from support.places import Partitions
from support.real_wheels import RealWheels
from support.venvs import make_venv

TEST_SECONDS = 600       # then the mounts of the test are aborted, which ends whatever waits for them
LONG_TEST_SECONDS = 3600
USERDEL_IN_USE = 8       # userdel(8)


def pytest_configure():
    """Families run side by side, and a test that makes a mount namespace takes all mounts that there are along: those of
    another family would live on in it after their umount.  So each has a namespace of its own, without theirs."""
    signal.signal(signal.SIGINT, signal.default_int_handler) # ignored in a shell's background, and by all that we start
    if os.geteuid() == 0:
        guard.leave_mount_namespace("fusepkg-tests-")


@pytest.fixture(scope="session")
def build_dir():
    folder = os.environ.get("FUSEPKG_BUILD_DIR")
    assert folder, "set FUSEPKG_BUILD_DIR to the build directory (ctest does)"
    assert os.geteuid() == 0, "the tests mount file systems and make a user account: run them as root"
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def session_folder():
    """Where all folders of this session are: readable by every account."""
    folder = Path(tempfile.mkdtemp(prefix="fusepkg-tests-", dir=os.environ.get("TMPDIR", "/tmp")))
    folder.chmod(0o755)
    yield folder
    complaints = guard.clear([folder], folder.name)
    remove_tree(folder)
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def installed(build_dir, session_folder):
    """fusepkg as `cmake --install` lays it down, where every account can run it."""
    prefix = session_folder / "installed"
    subprocess.run(["cmake", "--install", build_dir, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    return prefix


def bind(source, target):
    """Shows SOURCE at TARGET: whoever may not pass through the folders above SOURCE can read it there."""
    target.mkdir()
    subprocess.run(["mount", "--bind", source, target], check=True)
    return target


def unbind(target):
    subprocess.run(["umount", target], check=True)


@pytest.fixture(scope="session")
def tools(build_dir, session_folder):
    """The venv with pip, uv and virtualenv that support/make-tools made."""
    made = os.environ.get("FUSEPKG_TEST_TOOLS", build_dir / "test-tools")
    yield bind(made, session_folder / "tools")
    unbind(session_folder / "tools")


@pytest.fixture(scope="session")
def partitions(session_folder):
    folder = session_folder / "partitions"
    folder.mkdir()
    made = Partitions(folder)
    yield made
    made.close()


@pytest.fixture(scope="session")
def fuse_device():
    """/dev/fuse with the rights that a desktop's has (containers often give it to root alone).  Families that run side by
    side share it: the last one to leave puts the old mode back."""
    device, state = Path("/dev/fuse"), Path("/run/fusepkg-tests-fuse-mode")
    assert device.exists(), "this machine has no /dev/fuse"
    with open("/run/fusepkg-tests-fuse-lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        users = json.loads(state.read_text()) if state.exists() else {"mode": device.stat().st_mode & 0o777, "pids": []}
        users["pids"] = [p for p in users["pids"] if Path(f"/proc/{p}").exists()] + [os.getpid()]
        state.write_text(json.dumps(users))
        device.chmod(0o666)
        fcntl.flock(lock, fcntl.LOCK_UN)
        yield
        fcntl.flock(lock, fcntl.LOCK_EX)
        users = json.loads(state.read_text())
        users["pids"] = [p for p in users["pids"] if p != os.getpid() and Path(f"/proc/{p}").exists()]
        if users["pids"]:
            state.write_text(json.dumps(users))
        else:
            device.chmod(users["mode"])
            state.unlink()


@pytest.fixture(scope="session")
def user_name(fuse_device):
    """An account of the system, made for this session."""
    name = f"fpt{os.getpid()}"
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/bin/sh", name], check=True)
    yield name
    for _ in range(100):
        done = subprocess.run(["userdel", name], stderr=subprocess.PIPE, text=True)
        if done.returncode != USERDEL_IN_USE:
            break
        time.sleep(0.1)  # a process of this account is just ending
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def real_wheels(build_dir, tools, session_folder):
    """real_wheels("six", ...) -> paths of the wheels that support/wheels.txt names; all of them without names."""
    cache = Path(os.environ.get("FUSEPKG_TEST_WHEELS", build_dir / "test-wheels"))
    cache.mkdir(exist_ok=True)
    yield RealWheels(bind(cache, session_folder / "wheels"), tools)
    unbind(session_folder / "wheels")


@pytest.fixture(scope="session")
def pip_venv(session_folder, installed, tools, real_wheels):
    """A plain venv into which pip installed all real wheels, with --no-deps --no-compile: what a mounted one must equal."""
    folder = session_folder / "pip"
    folder.mkdir()
    return pip_install(Account("root", folder, session_folder.name, installed, tools), folder / "plain0", real_wheels())


def pip_install(account, path, wheels):
    venv = make_venv(account, path)
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", *wheels)
    return venv


@pytest.fixture(autouse=True)
def places(request, session_folder):
    """The folders of this test: one on each partition that it asks for.  First in, last out: the leftover guard."""
    made = TestPlaces(request, session_folder)
    seconds = LONG_TEST_SECONDS if request.node.get_closest_marker("long") else TEST_SECONDS
    watchdog = threading.Timer(seconds, made.abort_mounts)
    watchdog.daemon = True
    watchdog.start()
    yield made
    complaints = guard.clear(made.folders.values(), made.mark)
    watchdog.cancel()
    for folder in made.folders.values():
        remove_tree(folder)
    assert not complaints, "left behind by the test:\n" + "\n".join(complaints)


class TestPlaces:
    __test__ = False

    def __init__(self, request, session_folder):
        self.request = request
        self.mark = f"{session_folder.name}-{os.urandom(4).hex()}"
        self.folders = {}
        self.get(None)

    def get(self, kind):
        """A folder of this test on a partition of that KIND ("ext4", …); None: where temporary files are."""
        if kind not in self.folders:
            session = self.request.getfixturevalue("session_folder")
            root = self.request.getfixturevalue("partitions").get(kind) if kind else session
            folder = Path(tempfile.mkdtemp(prefix="t-", dir=root))
            folder.chmod(0o755)
            self.folders[kind] = folder
        return self.folders[kind]

    def abort_mounts(self):
        for folder in self.folders.values():
            for mount in guard.mounts(folder, "fuse.fusepkg"):
                guard.abort(mount)


@pytest.fixture
def folder(places):
    """A folder of this test alone, readable by every account."""
    return places.get(None)


@pytest.fixture
def root(places, folder, installed, tools):
    return Account("root", folder, places.mark, installed, tools)


@pytest.fixture
def user(places, folder, installed, tools, user_name):
    """An ordinary user, who mounts through fusermount3."""
    return Account(user_name, folder, places.mark, installed, tools)


@pytest.fixture(params=["root", "user"])
def account(request):
    """The test runs twice: as root and as an ordinary user."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def fusepkg(root):
    """fusepkg as root: fusepkg("add", wheel, "--venv", venv, status=0) -> Result."""
    return root.fusepkg


@pytest.fixture
def store(root):
    return root.store


@pytest.fixture
def new_venv(places):
    """new_venv(account, on="ext4", tool="venv", name="venv") -> Venv; unmounted when the test is over."""
    made = []

    def make(account, on=None, tool="venv", name=None, **kwargs):
        parent = places.get(on) / f"venvs-{account.name}"
        if not parent.exists():
            account.make_folder(parent)
        venv = make_venv(account, parent / (name or f"venv{len(made)}"), tool, **kwargs)
        made.append(venv)
        return venv

    yield make
    for venv in reversed(made):
        if venv.path.exists():
            venv.close()


@pytest.fixture
def venv(root, new_venv):
    """root's venv, on the partition of the store."""
    return new_venv(root, name="venv")


@pytest.fixture(params=["ext4", "xfs", "btrfs", "tmpfs"])
def other_partition(request):
    """Runs the test on each kind; the name to give to new_venv(on=...)."""
    return request.param


@pytest.fixture
def make_wheel(folder):
    """make_wheel("demo", "1.0", {...}) writes a small correct wheel into the test's folder; see support/make_wheel.py."""
    def make(name, *args, **kwargs):
        return write_wheel(kwargs.pop("folder", folder / "wheels"), name, *args, **kwargs)

    return make


@pytest.fixture
def plain_venv(places, root):
    """plain_venv(wheels) -> a Venv as pip_venv, of those wheels."""
    made = []

    def make(wheels):
        made.append(pip_install(root, places.get(None) / f"plain{len(made)}", wheels))
        return made[-1]

    return make
