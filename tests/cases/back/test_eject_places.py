"""eject on each file system, with all kinds of edits, on a full disk; and what comes after it."""
import json
import os
import random
import subprocess

import pytest
from test_eject import look

pytestmark = pytest.mark.release  # two minutes, of which sanitizers would make ten
LARGE = 5 << 20
HOLE = 64 << 20

EDITS = r"""
import os, stat
os.chdir(os.environ["SITE"])
with open("demo/large.bin", "r+b") as f:            # copied up
    f.seek(4096 * 10); f.write(b"edited"); f.truncate(5 * 2**20 + 3)
with open("demo/changed.py", "a") as f:
    f.write("c = 2\n")
os.chmod("demo/mode.py", 0o640)                     # without bytes
os.utime("demo/time.py", ns=(1, 987_654_321_123_456_789))
os.remove("demo/gone.py")
os.rename("demo/sub", "moved")                      # a folder of a package
os.rename("moved/a.py", "moved/b.py")
os.makedirs("mine/deep/er")
open("mine/one", "w").write("one"); os.link("mine/one", "mine/two"); os.link("mine/one", "three")
os.link("demo/linked.py", "demo/also.py")           # a further name of a package's file
os.symlink("../demo/changed.py", "mine/link"); os.symlink("/nowhere", "mine/dangling")
os.mkfifo("mine/pipe", 0o600)
s = __import__("socket").socket(__import__("socket").AF_UNIX)
os.chdir("mine"); s.bind("sock"); os.chdir("..")
with open("mine/sparse", "wb") as f:
    f.seek(20 << 20); f.write(b"x"); f.truncate(64 << 20)
open("mine/empty", "w").close()
os.chmod("mine/deep", 0o2750)
open("mine/\u00fc \udcff\n", "w").write("name")
os.utime("mine/deep/er", ns=(5, 5))
"""


def wheel(make_wheel):
    return make_wheel("demo", entry_points={"console_scripts": {"demo-tool": "demo:main"}}, files={
        "demo/__init__.py": "def main():\n    print('tool')\n", "demo/large.bin": random.Random(1).randbytes(LARGE),
        "demo/untouched.bin": random.Random(2).randbytes(LARGE), "demo/changed.py": "c = 1\n", "demo/mode.py": "", "demo/time.py": "",
        "demo/gone.py": "", "demo/sub/a.py": "a = 1\n", "demo/linked.py": "l = 1\n"})


def edited(account, venv):
    account.run([venv.python, "-c", EDITS], env={"SITE": venv.site})
    return look(venv)


def extents(path):
    """Is any of its extents shared with another file?"""
    return "shared" in subprocess.run(["filefrag", "-v", path], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("use", ["mounted", "unmounted"])
def test_all_kinds_of_edits_on_each_file_system(account, new_venv, make_wheel, places, other_partition, use):
    venv = new_venv(account, on=other_partition)
    env = {"FUSEPKG_STORE": account.make_folder(places.get(other_partition) / f"data-{account.name}") / "store"}
    venv.fusepkg("add", wheel(make_wheel), env=env)
    before = edited(account, venv)
    if use == "unmounted":
        venv.fusepkg("umount")
    venv.fusepkg("eject", env=env)
    assert not venv.is_mounted and not venv.state.exists() and look(venv) == before
    assert (venv.site / "mine/sparse").stat().st_blocks * 512 < HOLE // 2
    if other_partition in ("xfs", "btrfs"):
        assert extents(venv.site / "demo/untouched.bin") and not extents(venv.site / "demo/changed.py")
    pip = lambda *args: account.pip("--python", venv.python, *args)
    assert {"name": "demo", "version": "1.0"} in json.loads(pip("list", "--format", "json").out)
    assert account.run([venv.bin / "demo-tool"]).out == "tool\n"
    if account.is_root:  # or uv's cache would be on another one's
        account.uv("pip", "install", "--quiet", "--python", venv.python, "--no-deps", make_wheel("other"))
        assert venv.run_python("import other; print(other.version)").out == "1.0\n"
    assert "ordinary venv" in venv.fusepkg("eject", env=env, status=1).err
    assert venv.fusepkg("list", "--json", env=env, status=None).status in (0, 1)
    venv.fusepkg("add", make_wheel("again"), env=env)
    assert venv.run_python("import again, demo; print(again.version)").out == "1.0\n"
    assert account.run(["cat", venv.site / "mine/one"]).out == "one"
    venv.fusepkg("umount")


def test_on_a_full_disk_nothing_changes(account, new_venv, make_wheel, places):
    venv = new_venv(account, on="tmpfs")
    size = 30 << 20
    small = venv.path.parent / "small"
    account.make_folder(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},uid={account.uid},gid={account.gid},mode=755", "tmpfs", small], check=True)
    try:
        account.run(["cp", "-a", venv.path, small / "venv"])
        venv = type(venv)(small / "venv", account)
        venv.fusepkg("add", wheel(make_wheel))
        before = edited(account, venv)
        free = os.statvfs(small)
        with open(small / "filler", "wb") as filler:
            os.posix_fallocate(filler.fileno(), 0, free.f_bavail * free.f_frsize - LARGE)
        result = venv.fusepkg("eject", status=1)
        assert "No space left" in result.err and result.err.count("error:") == 1, result
        assert sorted(p.name for p in venv.site.parent.iterdir()) == ["site-packages"]
        venv.run_python("import demo.changed")  # mounts it again
        assert look(venv) == before
        os.unlink(small / "filler")
        venv.fusepkg("eject")
        assert look(venv) == before
    except BaseException:
        venv.close()
        raise
    finally:
        subprocess.run(["umount", "-R", small], check=True)


def test_a_gc_that_waits_does_not_wait_for_it(account, new_venv, make_wheel):
    """With the gate of store_use() closed it comes to its end but for what the store is told."""
    venv = new_venv(account)
    venv.fusepkg("add", wheel(make_wheel))
    gate = subprocess.Popen(["flock", account.store / "objects", "sh", "-c", "echo closed; read line"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)
    assert gate.stdout.readline() == "closed\n"
    eject = account.start([account.installed / "bin/fusepkg", "eject", "-q", "--venv", venv.path])
    subprocess.run(["sh", "-c", 'until ! [ -e "$1" ] && flock --nonblock "$2" true; do sleep 0.02; done', "sh", venv.state,
                    venv.path / ".lock"], check=True, timeout=120)
    gate.communicate("\n")
    assert eject.wait() == 0
    assert account.fusepkg("status", "--json").json() == []
