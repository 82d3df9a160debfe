"""Who may do what in a mount that several users see: the kernel judges by modes and owners, as anywhere."""
import errno
import os
import stat

import pytest

from support.syscalls import acting_as


@pytest.fixture
def other(user):
    """The uid of an ordinary user, who has nothing in root's venv."""
    return user.uid


def call(uid, action, *args):
    try:
        with acting_as(uid):
            return action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


def write_new(path):
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def write_old(path):
    os.close(os.open(path, os.O_WRONLY))


def test_another_user_reads_and_changes_nothing(site, other):
    demo = site / "demo"
    assert call(other, (demo / "a.py").read_text) == "a = 1\n"
    assert "a.py" in call(other, os.listdir, demo)
    for action, *args in ((write_new, demo / "new"), (write_old, demo / "a.py"), (os.unlink, demo / "a.py"), (os.mkdir, demo / "new"),
                          (os.rename, demo / "a.py", demo / "x"), (os.truncate, demo / "a.py", 0), (os.symlink, "x", demo / "x")):
        assert call(other, action, *args) == "EACCES", action
    for action, *args in ((os.chmod, demo / "a.py", 0o777), (os.chown, demo / "a.py", other, -1), (os.utime, demo / "a.py", (1, 1))):
        assert call(other, action, *args) == "EPERM", action
    assert (demo / "a.py").read_text() == "a = 1\n" and "new" not in os.listdir(demo)


def test_what_modes_forbid(site, other):
    (site / "demo/a.py").chmod(0o600)
    (site / "demo/sub").chmod(0o700)
    assert call(other, (site / "demo/a.py").read_text) == "EACCES"
    assert call(other, (site / "demo/sub/c.py").read_text) == "EACCES" == call(other, os.listdir, site / "demo/sub")


def test_another_user_writes_where_that_is_allowed(site, other):
    (site / "demo").chmod(0o777)
    assert call(other, write_new, site / "demo/theirs") is None
    st = (site / "demo/theirs").stat()
    assert (st.st_uid, stat.S_IMODE(st.st_mode)) == (other, 0o644)
    assert call(other, os.chmod, site / "demo/theirs", 0o600) is None
    assert call(other, os.unlink, site / "demo/b.py") is None
    (site / "demo").chmod(0o1777)
    assert call(other, os.unlink, site / "demo/a.py") == "EPERM"  # sticky: only what is theirs
    assert call(other, os.unlink, site / "demo/theirs") is None
    (site / "demo/a.py").chmod(0o666)
    assert call(other, (site / "demo/a.py").write_text, "theirs") == 6
    assert (site / "demo/a.py").stat().st_uid == 0


def test_a_write_by_another_takes_the_set_id_bits_away(site, other):
    path = site / "demo/a.py"
    for action in (lambda: path.write_text("x"), lambda: os.truncate(path, 1)):
        path.chmod(0o6777)
        assert call(other, action) in (None, 1)
        assert stat.S_IMODE(path.stat().st_mode) == 0o777
    path.chmod(0o4755)
    os.chown(path, other, -1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_a_group_is_inherited_where_the_folder_says_so(site, other):
    folder = site / "demo/group"
    folder.mkdir()
    os.chown(folder, -1, other)
    folder.chmod(0o2777)
    (folder / "file").touch()
    (folder / "below").mkdir()
    assert (folder / "file").stat().st_gid == other == (folder / "below").stat().st_gid
    assert (folder / "below").stat().st_mode & stat.S_ISGID


def test_the_umask_is_the_makers(site):
    old = os.umask(0o077)
    try:
        (site / "demo/private").touch()
        (site / "demo/folder").mkdir()
    finally:
        os.umask(old)
    assert stat.S_IMODE((site / "demo/private").stat().st_mode) == 0o600
    assert stat.S_IMODE((site / "demo/folder").stat().st_mode) == 0o700


USERS_OWN = """
import errno, os, stat, sys
site = sys.argv[1]
def call(action, *args):
    try:
        return action(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
os.close(os.open(site + '/demo/mine', os.O_CREAT | os.O_WRONLY, 0o640))
st = os.stat(site + '/demo/mine')
print(st.st_uid == os.getuid(), st.st_gid == os.getgid(), oct(st.st_mode & 0o7777))
print(call(os.chmod, site + '/demo/a.py', 0o400), call(open, site + '/demo/a.py', 'w'))
print(call(os.chown, site + '/demo/a.py', 0, 0))
print(call(os.mknod, site + '/demo/device', stat.S_IFCHR | 0o666, os.makedev(1, 3)))
"""


def test_an_ordinary_users_own_mount(user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", "-q", make_wheel("demo", files={"demo/a.py": "a = 1\n"}))
    assert user.run(["/usr/bin/python3", "-c", USERS_OWN, venv.site]).out.splitlines() == \
        ["True True 0o640", "None EACCES", "EPERM", "EPERM"]
