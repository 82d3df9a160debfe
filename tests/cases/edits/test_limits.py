"""No room, no quota, no right to write: the caller gets the errno that the file system below has, nothing half-written is
seen, and the mount goes on."""
import errno
import os
import subprocess
import time

import pytest

import kills
from support.venvs import make_venv

BIG = b"0123456789abcdef" * 50_000  # demo/big.bin
MB = 1 << 20


def call(action, *args):
    try:
        action(*args)
        return "done"
    except OSError as error:
        return errno.errorcode[error.errno]


def fill(path):
    """Writes to PATH until there is no room; how many bytes went in."""
    done = 0
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            done += os.write(fd, b"f" * 65536)
            assert done < 1 << 30, "there was always room"
    except OSError as error:
        return done, errno.errorcode[error.errno]
    finally:
        os.close(fd)


def write_and_sync(path):
    fd = os.open(path, os.O_RDWR)
    try:
        os.pwrite(fd, b"x", 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def wait_until(is_true, complaint):
    """Room comes back when the kernel has let go of a removed file."""
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end, complaint
        time.sleep(0.02)


@pytest.fixture
def small(root, folder):
    """small(type, size): a folder on a file system of its own."""
    made = []

    def make(kind, size):
        target = root.make_folder(folder / f"small{len(made)}")
        if kind == "tmpfs":
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "fusepkg-test", target], check=True)
        else:
            image = folder / f"small{len(made)}.img"
            subprocess.run(["truncate", "-s", size, image], check=True)
            subprocess.run([f"mkfs.{kind}", "-q", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, target], check=True)
        made.append(target)
        return target

    yield make
    for target in made:
        subprocess.run(["umount", target], check=True)


@pytest.fixture
def on_small(small, make_wheel):
    """on_small(account, type, size): a mounted venv with one package on such a file system."""
    made = []

    def make(account, *args):
        parent = small(*args)
        account.give(parent)
        venv = make_venv(account, parent / "venv")
        made.append(venv)
        venv.fusepkg("add", "-q", make_wheel("demo", files={"demo/a.py": "a = 1\n", "demo/big.bin": BIG}))
        return venv

    yield make
    for venv in made:
        venv.close()


@pytest.mark.parametrize("kind, size", [("tmpfs", "8M"), ("ext4", "16M")])
def test_a_full_disk(root, on_small, kind, size):
    venv = on_small(root, kind, size)
    site = venv.site
    kept = site / "kept.bin"
    kept.write_bytes(b"k" * 300_000)
    done, error = fill(site / "large")
    assert error == "ENOSPC" and done > MB
    data = (site / "large").read_bytes()
    assert len(data) >= done and set(data) <= {ord("f"), 0}

    # A change of one byte needs a copy of the whole file, for which there is no room.
    fd = os.open(site / "demo/big.bin", os.O_RDWR)
    assert call(os.pwrite, fd, b"x", 5) == "ENOSPC"
    os.close(fd)
    assert (site / "demo/big.bin").read_bytes() == BIG
    assert kept.read_bytes() == b"k" * 300_000

    st = os.statvfs(site)
    assert st.f_bavail * st.f_frsize < MB
    os.unlink(site / "large")  # there must be room to make room
    wait_until(lambda: os.statvfs(site).f_bavail * st.f_frsize > MB, "a removed file still takes its room")
    with open(site / "demo/big.bin", "r+b") as file:
        file.write(b"x")
    assert (site / "demo/big.bin").read_bytes() == b"x" + BIG[1:]
    venv.fusepkg("umount")
    venv.fusepkg("mount", "-q")
    assert (site / "demo/big.bin").read_bytes() == b"x" + BIG[1:] and kept.read_bytes() == b"k" * 300_000
    assert not (site / "large").exists()


def test_names_on_a_full_disk(root, on_small):
    """Each call is done, or has an errno and changed nothing; what has been there can be removed."""
    venv = on_small(root, "tmpfs", "8M")
    site = venv.site
    assert fill(site / "large")[1] == "ENOSPC"
    made = 0
    while (result := call((site / f"name{made}").mkdir)) == "done":
        made += 1
        assert made < 200_000, "there was always room for a name"
    assert result == "ENOSPC"
    before = set(os.listdir(site))
    assert f"name{made}" not in before and len([n for n in before if n.startswith("name")]) == made
    for action, args, old, new in ((os.rename, (site / "demo/a.py", site / "moved"), "demo/a.py", "moved"),
                                   (os.link, (site / "demo/big.bin", site / "linked"), None, "linked")):
        result = call(action, *args)
        assert result in ("done", "ENOSPC")
        assert (site / new).exists() == (result == "done")
        if old:
            assert (site / old).exists() == (result != "done")
    os.unlink(site / "large")
    (site / "after").mkdir()
    venv.fusepkg("umount")
    venv.fusepkg("mount", "-q")
    assert (site / "after").is_dir() and len([n for n in os.listdir(site) if n.startswith("name")]) == made


GREEDY = """
import os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
full = False
while True:
    try:
        os.write(fd, b"g" * 65536)
        if full:  # until then it would wait for the disk thousands of times
            os.fsync(fd)
    except OSError:
        full = True
"""


@pytest.mark.parametrize("kind, size", [("tmpfs", "16M"), ("ext4", "24M"), ("btrfs", "256M")])
def test_names_can_be_removed_while_others_take_all_room(root, on_small, kind, size):
    """And after a kill of the worker.  What is removed here has no bytes of its own, so nothing comes back by it."""
    venv = on_small(root, kind, size)
    site = venv.site
    for n in range(400):
        (site / f"name{n}").mkdir()
        os.symlink("nowhere", site / f"name{n}/link")
    greedy = root.start(["/usr/bin/python3", "-c", GREEDY, venv.path.parent / "all"])
    try:
        wait_until(lambda: os.statvfs(site).f_bavail * os.statvfs(site).f_frsize < MB, "the disk is not full")
        time.sleep(0.5)
        kills.kill([venv.fusepkg("status", "--json").json()[0]["worker_pid"]], venv)
        for n in range(400):  # as pip does
            os.rename(site / f"name{n}", site / f"~ame{n}")
        for n in range(400):
            os.unlink(site / f"~ame{n}/link")
            os.rmdir(site / f"~ame{n}")
        os.truncate(site / "demo/big.bin", 0)
        os.unlink(site / "demo/a.py")
        check_commands(venv)
    finally:
        greedy.kill()
        greedy.wait()
    assert not [n for n in os.listdir(site) if n[1:].startswith("ame")]
    os.unlink(venv.path.parent / "all")
    assert (site / "demo/big.bin").read_bytes() == b"" and (site / "demo/a.py").read_text() == "a = 1\n"


def check_commands(venv):
    """demo/a.py was removed, and demo/big.bin changed."""
    found = venv.fusepkg("verify", "--json", status=1).json()
    assert {d["path"] for d in found["differences"]} == {"demo/a.py", "demo/big.bin"}, found
    assert venv.fusepkg("diff", "--name-only").out.split() == ["demo/a.py", "demo/big.bin"]
    venv.fusepkg("revert", "-q", "demo/a.py")
    assert venv.fusepkg("diff", "--name-only").out.split() == ["demo/big.bin"]


@pytest.mark.parametrize("mounted", [True, False])
def test_commands_on_a_full_disk(account, on_small, mounted):
    venv = on_small(account, "tmpfs", "16M")
    account.run(["rm", venv.site / "demo/a.py"])
    account.run(["truncate", "-s", "10", venv.site / "demo/big.bin"])
    if not mounted:
        venv.fusepkg("umount")
    fill(venv.path.parent / "all")
    check_commands(venv)
    os.unlink(venv.path.parent / "all")
    identity = next(line.split()[1] for line in (venv.state / "environment").read_text().splitlines() if line.startswith("id "))
    assert not os.path.exists(f"/dev/shm/fusepkg-{identity}")  # others' tests may have theirs there


def test_a_quota(root, small, make_wheel):
    """btrfs counts for everybody, root among them."""
    parent = small("btrfs", "256M")
    subprocess.run(["btrfs", "subvolume", "create", parent / "sub"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["btrfs", "quota", "enable", parent], check=True)
    subprocess.run(["btrfs", "qgroup", "limit", "16M", parent / "sub"], check=True)
    venv = make_venv(root, parent / "sub/venv")
    try:
        venv.fusepkg("add", "-q", make_wheel("demo", files={"demo/a.py": "a = 1\n", "demo/big.bin": BIG}))
        kept = venv.site / "kept.bin"
        kept.write_bytes(b"k" * 300_000)
        done, error = fill(venv.site / "large")
        assert error == "EDQUOT" and done > MB
        assert call(write_and_sync, venv.site / "demo/big.bin") in ("EDQUOT", "done")
        assert (venv.site / "demo/big.bin").read_bytes() in (BIG, b"x" + BIG[1:])
        assert kept.read_bytes() == b"k" * 300_000 and (venv.site / "demo/a.py").read_text() == "a = 1\n"
        os.unlink(venv.site / "large")
        subprocess.run(["btrfs", "filesystem", "sync", parent], check=True, stdout=subprocess.DEVNULL)
        wait_until(lambda: call(write_and_sync, venv.site / "demo/big.bin") == "done", "there is room again, and no write succeeds")
        assert (venv.site / "demo/big.bin").read_bytes() == b"x" + BIG[1:]
    finally:
        venv.close()


def test_statfs_tells_of_the_file_system_of_the_venv(root, on_small):
    venv = on_small(root, "tmpfs", "64M")
    below, above = os.statvfs(venv.path), os.statvfs(venv.site)
    assert above.f_frsize * above.f_blocks == below.f_frsize * below.f_blocks == 64 * MB
    assert abs(above.f_frsize * above.f_bavail - below.f_frsize * below.f_bavail) < 4 * MB
    assert above.f_namemax == 255
    free = above.f_frsize * above.f_bavail
    (venv.site / "large").write_bytes(b"l" * (20 * MB))
    after = os.statvfs(venv.site)
    assert 19 * MB < free - after.f_frsize * after.f_bavail < 24 * MB


def test_a_limit_of_file_sizes(root_demo):
    """RLIMIT_FSIZE is the writer's own, and the kernel knows it."""
    code = "\n".join((
        "import errno, resource, signal, sys",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))",
        "file = open(sys.argv[1], 'wb', buffering=0)",
        "print(file.write(b'x' * 900), file.write(b'x' * 900))",
        "try:",
        "    file.write(b'x')",
        "except OSError as error:",
        "    print(errno.errorcode[error.errno])"))
    assert root_demo.run_python(code, root_demo.site / "new").out.split() == ["900", "100", "EFBIG"]


def test_a_venv_that_is_read_only_can_be_read(root, small, make_wheel):
    """Mounted before, or mounted after: reading works, each change is EROFS."""
    parent = small("ext4", "64M")
    venv = make_venv(root, parent / "venv")
    venv.fusepkg("add", "-q", make_wheel("demo", files={"demo/a.py": "a = 1\n", "demo/big.bin": BIG}))
    (venv.site / "demo/mine.py").write_text("mine = 1\n")
    venv.fusepkg("umount")
    subprocess.run(["mount", "-o", "remount,ro", parent], check=True)
    try:
        assert venv.fusepkg("diff", "--name-only").out.split() == ["demo/mine.py"]
        venv.fusepkg("mount", "-q")
        site = venv.site
        assert venv.fusepkg("diff", "--name-only").out.split() == ["demo/mine.py"]
        assert "mine.py" in venv.fusepkg("verify", status=1).out
        assert (site / "demo/mine.py").read_text() == "mine = 1\n" and (site / "demo/big.bin").read_bytes() == BIG
        for action, *args in ((os.mkdir, site / "new"), (os.unlink, site / "demo/a.py"), (os.rename, site / "demo", site / "x"),
                              (os.truncate, site / "demo/a.py", 0), (os.chmod, site / "demo/a.py", 0o600),
                              ((site / "demo/mine.py").write_text, "x"), (os.symlink, "a", site / "link"),
                              (os.link, site / "demo/a.py", site / "link")):
            assert call(action, *args) == "EROFS", action
        assert (site / "demo/a.py").read_text() == "a = 1\n"
        venv.fusepkg("umount")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", parent], check=True)
