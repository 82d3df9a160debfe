"""Packages that come, go and change under what programs have changed: what stays, what is kept, and what nobody may see again."""
import os
import random
import signal
import subprocess
import time

import pytest

from support import guard

CACHES = {"PYTHONDONTWRITEBYTECODE": None}


def files(version, names=("pkg/a.py", "pkg/b.py", "pkg/sub/c.py")):
    return {name: f"value = {version!r}\n" for name in names}


@pytest.fixture
def venv(root, new_venv, make_wheel):
    venv = new_venv(root)
    venv.wheels = {v: make_wheel("pkg", v, {**files(v), "pkg/__init__.py": ""}) for v in ("1.0", "2.0", "3.0")}
    venv.fusepkg("add", "-q", venv.wheels["1.0"])
    return venv


def kept(venv):
    """{path below kept/<generation>: bytes}"""
    return {str(path.relative_to(generation)): path.read_bytes()
            for generation in sorted((venv.state / "kept").glob("*")) for path in sorted(generation.rglob("*")) if path.is_file()}


def assert_consistent(site):
    """Names that are listed can be looked at, and are what they were listed as; names that are not there are not listed."""
    for folder, dirs, names in os.walk(site):
        listed = os.listdir(folder)
        assert sorted(listed) == sorted(dirs + names), folder
        assert len(set(listed)) == len(listed), folder
        subdirs = 0
        with os.scandir(folder) as entries:
            for entry in entries:
                st = os.lstat(entry.path)
                assert st.st_ino == entry.inode(), entry.path
                subdirs += entry.is_dir(follow_symlinks=False)
        assert os.lstat(folder).st_nlink == 2 + subdirs, folder


def test_an_upgrade_keeps_what_was_changed(venv):
    site = venv.site
    (site / "pkg/a.py").write_text("mine\n")
    (site / "pkg/new.py").write_text("new\n")
    os.rename(site / "pkg/b.py", site / "pkg/moved.py")
    os.unlink(site / "pkg/sub/c.py")
    held = open(site / "pkg/a.py", "r+")
    venv.fusepkg("add", "-q", venv.wheels["2.0"])
    assert (site / "pkg/a.py").read_text() == "value = '2.0'\n" == (site / "pkg/b.py").read_text() == (site / "pkg/sub/c.py").read_text()
    assert (site / "pkg/new.py").read_text() == "new\n"
    assert not (site / "pkg/moved.py").exists()
    assert kept(venv) == {"pkg/a.py": b"mine\n", "pkg/moved.py": b"value = '1.0'\n"}
    assert held.read() == "mine\n" and os.fstat(held.fileno()).st_nlink == 0
    held.close()
    assert_consistent(site)


def test_the_users_files_outlive_their_package(venv):
    site = venv.site
    (site / "pkg/sub/mine.txt").write_text("mine\n")
    (site / "pkg/a.py").write_text("changed\n")
    here = os.open(site / "pkg/sub", os.O_PATH)
    os.chdir(site / "pkg/sub")
    try:
        venv.fusepkg("remove", "-q", "pkg")
        assert os.getcwd() == str(site / "pkg/sub")
        assert os.listdir(".") == ["mine.txt"] and os.listdir(site / "pkg") == ["sub"]
        assert not os.path.exists("c.py") and not os.path.exists("../a.py")
        venv.fusepkg("add", "-q", venv.wheels["2.0"])
        assert os.getcwd() == str(site / "pkg/sub")
        assert sorted(os.listdir(".")) == ["c.py", "mine.txt"] and open("../a.py").read() == "value = '2.0'\n"
        venv.fusepkg("add", "-q", venv.wheels["3.0"])
        assert os.getcwd() == str(site / "pkg/sub") and open("c.py").read() == "value = '3.0'\n"
        venv.fusepkg("remove", "-q", "pkg")
        assert os.getcwd() == str(site / "pkg/sub") and os.listdir(".") == ["mine.txt"]
        assert os.fstat(here).st_ino == os.stat(".").st_ino
    finally:
        os.chdir("/")
        os.close(here)
    assert kept(venv) == {"pkg/a.py": b"changed\n"}
    assert_consistent(site)


def test_a_later_package_wins_and_so_does_a_later_change(venv, make_wheel):
    site = venv.site
    late = make_wheel("late", files={"pkg/a.py": "late\n", "top.py": "late\n", "folder/x.py": "late\n"})
    (site / "pkg/a.py").write_text("mine\n")
    (site / "top.py").write_text("mine\n")
    (site / "folder").mkdir()
    (site / "folder/mine.py").write_text("mine\n")
    inode = (site / "folder").stat().st_ino
    venv.fusepkg("add", "-q", late)
    assert (site / "pkg/a.py").read_text() == "late\n" == (site / "top.py").read_text()
    assert sorted(os.listdir(site / "folder")) == ["mine.py", "x.py"] and (site / "folder").stat().st_ino == inode
    assert kept(venv) == {"pkg/a.py": b"mine\n", "top.py": b"mine\n"}
    (site / "pkg/a.py").write_text("mine again\n")
    (site / "folder/x.py").unlink()
    venv.fusepkg("add", "-q", venv.wheels["2.0"])  # a newer slot than late's
    assert (site / "pkg/a.py").read_text() == "value = '2.0'\n"
    assert kept(venv)["pkg/a.py"] in (b"mine\n", b"mine again\n")
    assert sorted(path.read_bytes() for path in (venv.state / "kept").rglob("a.py*")) == [b"mine\n", b"mine again\n"]
    assert os.listdir(site / "folder") == ["mine.py"]
    venv.fusepkg("remove", "-q", "late")
    assert os.listdir(site / "folder") == ["mine.py"] and not (site / "top.py").exists()
    assert_consistent(site)


def test_namespace_packages_that_were_moved_or_removed(root, new_venv, make_wheel):
    venv = new_venv(root)
    site = venv.site
    parts = {n: make_wheel(n, files={f"ns/{n}/x.py": f"{n}\n", f"ns/{n}.py": f"{n}\n", f"gone/{n}.py": f"{n}\n"})
             for n in ("one", "two", "three")}
    venv.fusepkg("add", "-q", parts["one"], parts["two"])
    os.rename(site / "ns", site / "old")
    for name in os.listdir(site / "gone"):
        (site / "gone" / name).unlink()
    (site / "gone").rmdir()
    inode = (site / "old").stat().st_ino
    os.chdir(site / "old/two")
    try:
        venv.fusepkg("add", "-q", parts["three"])
        assert sorted(os.listdir(site / "ns")) == ["three", "three.py"] and os.listdir(site / "gone") == ["three.py"]
        assert sorted(os.listdir(site / "old")) == ["one", "one.py", "two", "two.py"] and (site / "old").stat().st_ino == inode
        assert os.getcwd() == str(site / "old/two")
        venv.fusepkg("remove", "-q", "one")
        assert sorted(os.listdir(site / "old")) == ["two", "two.py"] and (site / "old").stat().st_ino == inode
        assert not os.path.exists(site / "old/one") and not os.path.exists(site / "old/one.py")
        assert os.getcwd() == str(site / "old/two") and open("x.py").read() == "two\n"
    finally:
        os.chdir("/")
    assert_consistent(site)
    before = {folder: sorted(dirs + names) for folder, dirs, names in os.walk(site)}
    venv.fusepkg("umount")
    venv.fusepkg("mount")
    assert {folder: sorted(dirs + names) for folder, dirs, names in os.walk(site)} == before
    venv.fusepkg("remove", "-q", "two")
    assert not (site / "old").exists() and kept(venv) == {"old/two.py": b"two\n", "old/two/x.py": b"two\n"}
    assert sorted(os.listdir(site / "ns")) == ["three", "three.py"]
    assert_consistent(site)


def test_bytecode_is_never_of_another_source(venv):
    """The sources of all versions have one size, and an image's times do not grow with its version."""
    code = "import pkg.a, pkg.b, pkg.sub.c; print(pkg.a.value, pkg.sub.c.value)"
    say = "import pkg.a, pkg.b, sys\nfor line in sys.stdin:\n print(pkg.a.value, pkg.b.value, flush=True)"
    running = venv.account.start([venv.python, "-c", say], env=CACHES, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for version in ("1.0", "2.0", "3.0", "2.0", "1.0", "3.0"):
        venv.fusepkg("add", "-q", venv.wheels[version])
        for _ in range(2):  # the second from the cache
            assert venv.run_python(code, env=CACHES).out.split() == [version, version]
        cached = sorted(path.name for path in (venv.site / "pkg").rglob("*.pyc"))
        assert len(cached) == len(set(cached)) == 4, cached
    assert running.communicate("go\n")[0] == "1.0 1.0\n"  # what it has imported stays
    venv.fusepkg("remove", "-q", "pkg")
    assert not (venv.site / "pkg").exists() and not (venv.state / "kept").exists()


def mount_pids(venv):
    return [pid for pid, command in guard.processes(venv.account.mark)
            if "fusepkg-mount" in command.split()[0] and str(venv.site) in command]


def test_a_kill_at_the_switch_loses_nothing(venv):
    site, chance = venv.site, random.Random(int(os.environ.get("FUSEPKG_TEST_SEED", "20")))
    written = set()
    for turn in range(20):
        for name in ("pkg/a.py", "pkg/sub/c.py", f"pkg/mine{turn}.txt", f"top{turn}.txt"):
            text = f"turn {turn} {name}\n"
            (site / name).write_text(text)
            written.add(text.encode())
        wheel = venv.wheels["2.0" if turn % 2 == 0 else "1.0"]
        pids = mount_pids(venv)
        assert pids
        delay = chance.uniform(0, 0.4)
        killer = subprocess.Popen(["sh", "-c", f"sleep {delay}; kill -9 {' '.join(map(str, pids))}"], stderr=subprocess.DEVNULL)
        venv.fusepkg("add", "-q", wheel, status=None)
        killer.wait()
        time.sleep(0.05)
        venv.fusepkg("mount", status=None)
        assert venv.fusepkg("add", "-q", wheel, status=None).status in (0, 1)
        assert_consistent(site)
        there = {path.read_bytes() for path in site.rglob("*") if path.is_file() and path.name != "RECORD"}
        there |= {path.read_bytes() for path in (venv.state / "kept").rglob("*") if path.is_file()}
        assert written <= there, (turn, written - there)
        assert (site / "pkg/b.py").read_text() == f"value = '{'2.0' if turn % 2 == 0 else '1.0'}'\n"


def test_a_folder_that_stayed_for_a_file_of_the_user_is_the_users(venv, make_wheel):
    """Also when that file has gone from it: packages that come and go leave it as any folder."""
    venv.fusepkg("add", "-q", make_wheel("goes", files={"goes/a.py": "", "goes/sub/b.py": ""}))
    for folder in "goes", "goes/sub":
        venv.account.run(["touch", venv.site / folder / "mine.txt"])
    inodes = [os.stat(venv.site / folder).st_ino for folder in ("goes", "goes/sub")]
    venv.fusepkg("remove", "-q", "goes")
    venv.account.run(["rm", venv.site / "goes/mine.txt", venv.site / "goes/sub/mine.txt"])
    for command in (["add", make_wheel("later")], ["umount"], ["mount"], ["add", make_wheel("later", "2.0")], ["remove", "later"]):
        venv.fusepkg(*command, "-q")
        assert command == ["umount"] or [os.stat(venv.site / folder).st_ino for folder in ("goes", "goes/sub")] == inodes
    venv.account.run(["rmdir", venv.site / "goes/sub", venv.site / "goes"])
