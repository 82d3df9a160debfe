"""Names, hand-written: making, linking, renaming and removing; inode numbers and link counts; reading folders."""
import errno
import os
import shutil
import stat
import threading

import pytest

from support import syscalls
from support.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE


def error_of(action, *args, **kwargs):
    with pytest.raises(OSError) as raised:
        action(*args, **kwargs)
    return errno.errorcode[raised.value.errno]


def test_an_unnamed_file_gets_a_name_when_it_is_ready(site):
    fd = os.open(site / "demo", os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, b"made in secret")
    st = os.fstat(fd)
    assert st.st_nlink == 0 and "secret" not in os.listdir(site / "demo")
    syscalls.give_name(fd, site / "demo/secret")
    assert os.fstat(fd).st_nlink == 1 and os.fstat(fd).st_ino == (site / "demo/secret").stat().st_ino == st.st_ino
    assert error_of(syscalls.give_name, fd, site / "demo/a.py") == "EEXIST"
    os.close(fd)
    assert (site / "demo/secret").read_bytes() == b"made in secret"
    assert stat.S_IMODE((site / "demo/secret").stat().st_mode) == 0o640


def test_an_unnamed_file_that_must_not_get_a_name(site):
    fd = os.open(site / "demo", os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o600)
    os.write(fd, b"x")
    assert error_of(syscalls.give_name, fd, site / "demo/secret") == "ENOENT"
    os.close(fd)


def test_links_to_a_package_file_share_its_bytes(site):
    a, b = site / "demo/big.bin", site / "demo/sub/again.bin"
    os.link(a, b)
    os.link(b, site / "third.bin")
    assert a.stat().st_ino == b.stat().st_ino == (site / "third.bin").stat().st_ino and a.stat().st_nlink == 3
    with open(b, "r+b") as file:
        file.write(b"CHANGED")
    assert a.read_bytes()[:9] == b"CHANGED78" == (site / "third.bin").read_bytes()[:9]
    os.unlink(a)
    assert b.stat().st_nlink == 2 and b.read_bytes()[:9] == b"CHANGED78"
    os.rename(b, site / "third.bin")  # two names of one file: nothing happens
    assert b.exists() and b.stat().st_nlink == 2
    os.unlink(b)
    os.unlink(site / "third.bin")
    assert not a.exists() and not b.exists()


def test_inode_numbers_hold_across_copy_up_and_rename(site):
    before = {name: (site / name).lstat().st_ino for name in ("demo", "demo/sub", "demo/sub/deep", "demo/sub/deep/d.py", "demo/big.bin")}
    os.chmod(site / "demo/big.bin", 0o600)
    with open(site / "demo/big.bin", "r+b") as file:
        file.write(b"x")
    (site / "demo/sub/deep/d.py").write_text("d = 2\n")
    assert {name: (site / name).lstat().st_ino for name in before} == before
    os.rename(site / "demo", site / "moved")
    assert {name: (site / name.replace("demo", "moved", 1)).lstat().st_ino for name in before} == before
    os.rename(site / "moved", site / "demo")
    assert {name: (site / name).lstat().st_ino for name in before} == before


def test_inode_numbers_and_link_counts_hold_across_a_switch_and_a_remount(root_demo, make_wheel):
    site = root_demo.site
    os.link(site / "demo/a.py", site / "demo/a2.py")
    (site / "demo/b.py").write_text("changed = 1\n")
    (site / "mine").mkdir()
    (site / "mine/new.py").write_text("")
    os.rename(site / "demo/sub", site / "mine/sub")
    os.symlink("new.py", site / "mine/link")
    os.mkfifo(site / "mine/fifo")

    def look():
        return {os.path.join(d, n): (os.lstat(os.path.join(d, n)).st_ino, os.lstat(os.path.join(d, n)).st_nlink,
                                     os.lstat(os.path.join(d, n)).st_mode, os.lstat(os.path.join(d, n)).st_mtime_ns)
                for part in ("demo", "mine") for d, folders, files in os.walk(site / part) for n in folders + files}

    before = look()
    root_demo.fusepkg("add", "-q", make_wheel("other"))
    assert look() == before
    root_demo.fusepkg("umount")
    root_demo.fusepkg("mount", "-q")
    assert look() == before
    root_demo.fusepkg("remove", "-q", "-y", "other")
    assert look() == before


def test_link_counts_of_folders(site):
    def links(path):
        return (site / path).stat().st_nlink

    root, demo = links("."), links("demo")
    (site / "demo/new").mkdir()
    (site / "demo/new/below").mkdir()
    assert (links("."), links("demo"), links("demo/new")) == (root, demo + 1, 3)
    os.rename(site / "demo/new/below", site / "below")
    assert (links("."), links("demo/new")) == (root + 1, 2)
    syscalls.rename(site / "below", site / "demo/a.py", RENAME_EXCHANGE)
    assert (links("."), links("demo")) == (root, demo + 2)
    (site / "demo/new").rmdir()
    (site / "demo/a.py").rmdir()
    assert (links("."), links("demo")) == (root, demo)


def test_renaming(site):
    rename = syscalls.rename
    demo = site / "demo"
    assert error_of(rename, demo / "a.py", demo / "b.py", RENAME_NOREPLACE) == "EEXIST"
    rename(demo / "a.py", demo / "new.py", RENAME_NOREPLACE)
    assert error_of(rename, demo / "a.py", demo / "x") == "ENOENT"
    assert error_of(rename, demo / "new.py", demo / "absent", RENAME_EXCHANGE) == "ENOENT"
    assert error_of(rename, demo, demo / "sub/inside") == "EINVAL"
    assert error_of(rename, demo / "b.py", demo / "sub") == "EISDIR"
    assert error_of(rename, demo / "sub", demo / "b.py") == "ENOTDIR"
    (site / "empty").mkdir()
    assert error_of(rename, site / "empty", demo / "sub") in ("ENOTEMPTY", "EEXIST")
    rename(demo / "sub", site / "empty")
    assert sorted(os.listdir(site / "empty")) == ["c.py", "deep"]
    rename(demo / "b.py", site / "empty", RENAME_EXCHANGE)
    assert (site / "empty").read_text() == "b = 1\n" and (demo / "b.py/deep/d.py").read_text() == "d = 1\n"
    assert error_of(rename, demo / "new.py", demo / ("n" * 256)) == "ENAMETOOLONG"


def test_replacing_all_kinds_of_files_by_all_kinds(site):
    def make(path, kind):
        {"file": lambda: path.write_text("f"), "link": lambda: path.symlink_to("nowhere"), "fifo": lambda: os.mkfifo(path)}[kind]()

    for new in ("file", "link", "fifo"):
        for n, old in enumerate(("file", "link", "fifo")):
            make(site / f"{new}{n}", old)
            make(site / "new", new)
            os.replace(site / "new", site / f"{new}{n}")
            mode = (site / f"{new}{n}").lstat().st_mode
            assert {"file": stat.S_ISREG, "link": stat.S_ISLNK, "fifo": stat.S_ISFIFO}[new](mode), (new, old)
            assert not os.path.lexists(site / "new")
    os.replace(site / "file0", site / "demo/b.py")
    assert (site / "demo/b.py").read_text() == "f"


def test_removed_names_can_be_used_again(site):
    for n in range(3):
        shutil.rmtree(site / "demo/sub")
        assert not (site / "demo/sub").exists() and "sub" not in os.listdir(site / "demo")
        (site / "demo/sub").mkdir()
        assert os.listdir(site / "demo/sub") == [], "a new folder shows what the removed one had"
        (site / "demo/sub/c.py").write_text(f"{n}\n")
        assert (site / "demo/sub/c.py").read_text() == f"{n}\n"
    os.unlink(site / "demo/sub/c.py")
    assert error_of(os.stat, site / "demo/sub/deep") == "ENOENT"


def test_standing_in_a_folder_that_is_moved_or_removed(site):
    folder = os.open(site / "demo/sub", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.rename(site / "demo/sub", site / "elsewhere")
        os.close(os.open("here", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        assert (site / "elsewhere/here").exists() and "here" in os.listdir(folder)
        assert os.stat("..", dir_fd=folder).st_ino == site.stat().st_ino
        shutil.rmtree(site / "elsewhere")
        assert error_of(os.open, "there", os.O_CREAT | os.O_WRONLY, dir_fd=folder) == "ENOENT"
        assert os.fstat(folder).st_nlink == 0
    finally:
        os.close(folder)


def test_names_of_all_kinds(site):
    names = ["ключ", "空 格", "new\nline", "\udcff\udcfe", "-rf", "*", "a" * 255, "e\u0301", "\u00e9", "CON", "UPPER", "upper", "back\\slash"]
    for name in names:
        (site / "demo" / name).write_text(name.encode("utf-8", "surrogateescape").hex())
    assert set(names) <= set(os.listdir(site / "demo"))
    for name in names:
        assert (site / "demo" / name).read_text() == name.encode("utf-8", "surrogateescape").hex()
    assert error_of((site / "demo" / ("a" * 256)).write_text, "") == "ENAMETOOLONG"


def test_symlinks(site):
    (site / "demo/link").symlink_to("sub/c.py")
    assert (site / "demo/link").read_text() == "c = 1\n"
    (site / "demo/loop").symlink_to("loop")
    assert error_of(os.stat, site / "demo/loop") == "ELOOP"
    (site / "demo/long").symlink_to("x" * 4095)
    assert os.readlink(site / "demo/long") == "x" * 4095 and (site / "demo/long").lstat().st_size == 4095
    os.link(site / "demo/link", site / "demo/link2", follow_symlinks=False)
    assert os.readlink(site / "demo/link2") == "sub/c.py" and (site / "demo/link").lstat().st_nlink == 2


def test_times(site):
    path = site / "demo/a.py"
    ino = path.stat().st_ino
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    assert path.stat().st_mtime_ns == 1_234_567_890_123_456_789 and path.stat().st_ino == ino
    seen = {(site / "demo").stat().st_mtime_ns}
    for n in range(200):
        (site / f"demo/new{n}").touch()
        now = (site / "demo").stat().st_mtime_ns
        assert now > max(seen), "a folder that changed shows a time that it had before"
        seen.add(now)


def test_many_names_in_a_folder_that_changes_while_it_is_read(site):
    """Every name that stays is listed once, whatever comes and goes meanwhile."""
    folder = site / "demo/many"
    folder.mkdir()
    stays = {f"stays{n:04}" for n in range(1500)}
    for name in stays | {f"goes{n:04}" for n in range(500)}:
        (folder / name).touch()
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    listed, n = [], 0
    while part := syscalls.getdents(fd, 2000):
        listed += [name for name, _, _ in part if name.startswith("stays")]
        for _ in range(10):
            if n < 500:
                (folder / f"goes{n:04}").unlink()
                (folder / f"comes{n:04}").touch()
                n += 1
    os.close(fd)
    assert sorted(listed) == sorted(stays)
    assert set(os.listdir(folder)) == stays | {f"goes{n:04}" for n in range(n, 500)} | {f"comes{n:04}" for n in range(n)}


def test_seeking_in_a_folder(site):
    for n in range(300):
        (site / f"demo/f{n}").touch()
    fd = os.open(site / "demo", os.O_RDONLY | os.O_DIRECTORY)
    first = syscalls.getdents(fd, 1000)
    middle = os.lseek(fd, 0, os.SEEK_CUR)
    rest = [e for part in iter(lambda: syscalls.getdents(fd, 4000), []) for e in part]
    os.lseek(fd, middle, os.SEEK_SET)
    assert [e for part in iter(lambda: syscalls.getdents(fd, 700), []) for e in part] == rest
    os.lseek(fd, 0, os.SEEK_SET)
    again = syscalls.getdents(fd, 1000)  # how many fit is the file system's affair
    assert again[:len(first)] == first[:len(again)]
    os.close(fd)


def test_many_threads_make_one_name(site):
    """O_EXCL and link let one of them through."""
    for n in range(20):
        won = []

        def attempt(number):
            try:
                os.close(os.open(site / f"demo/one{n}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                won.append(number)
            except FileExistsError:
                pass

        threads = [threading.Thread(target=attempt, args=(k,)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1


def test_the_marker_and_the_data_folder_stay(root_demo):
    site = root_demo.site
    for path in (site / ".fusepkg", site / ".fusepkg-data"):
        for flags in (0, RENAME_EXCHANGE):
            other = site / ("demo" if path.is_dir() else "demo/a.py")
            assert error_of(syscalls.rename, path, other if flags else site / "away", flags) == "EBUSY"
            assert error_of(syscalls.rename, other, path, flags) in ("EBUSY", "ENOTEMPTY")
    assert error_of(os.unlink, site / ".fusepkg") == "EBUSY"
    assert error_of(os.rmdir, site / ".fusepkg-data") in ("EBUSY", "ENOTEMPTY")
    assert error_of((site / ".fusepkg").write_text, "x") in ("EPERM", "EACCES")
    assert error_of(os.link, site / ".fusepkg", site / "again") == "EPERM"
    assert "fusepkg" in (site / ".fusepkg").read_text()
    assert sorted(os.listdir(site)) == [".fusepkg", "demo", "demo-1.0.dist-info"]


def test_data_outside_of_site_packages_is_writable(root_demo):
    info = root_demo.path / "share/demo/info.txt"
    with open(info, "a") as file:
        file.write("more\n")
    (root_demo.path / "share/demo/mine.txt").write_text("mine")
    (root_demo.path / "share/new").mkdir()
    os.rename(root_demo.path / "share/demo/mine.txt", root_demo.path / "share/new/mine.txt")
    os.rename(root_demo.path / "etc/demo.conf", root_demo.site / "demo/demo.conf")  # one file system: no EXDEV
    root_demo.fusepkg("umount")
    root_demo.fusepkg("mount", "-q")
    assert info.read_text() == "info\nmore\n" and (root_demo.path / "share/new/mine.txt").read_text() == "mine"
    assert (root_demo.site / "demo/demo.conf").read_text() == "conf\n" and not (root_demo.path / "etc/demo.conf").exists()


def test_renaming_a_large_folder_costs_a_few_requests(root, new_venv, make_wheel):
    """A package of 20,000 files: nothing is copied, and nothing in it is named."""
    venv = new_venv(root)
    venv.fusepkg("add", "-q", make_wheel("large", files={f"large/d{n // 200}/f{n}.py": "" for n in range(20_000)}, compress=0))
    count = sum(len(files) for _, _, files in os.walk(venv.site / "large"))
    assert count == 20_000
    before = venv.requests()
    os.rename(venv.site / "large", venv.site / "renamed")
    os.mkdir(venv.site / "into")
    os.rename(venv.site / "renamed", venv.site / "into/large")
    after = venv.requests()
    spent = {op: n - before.get(op, 0) for op, n in after.items() if n != before.get(op, 0)}
    assert sum(spent.values()) < 40, spent
    assert sum(n for op, n in spent.items() if "RENAME" in op.upper()) == 2, spent
    found = {os.path.join(d, f) for d, _, files in os.walk(venv.site) for f in files if "into" in d}
    assert len(found) == 20_000
    assert not (venv.site / "large").exists() and (venv.site / "into/large/d7/f1400.py").read_text() == ""
