"""Bytes of files, hand-written: who holds a file open or mapped sees what becomes of it; holes; locks; syncing."""
import errno
import fcntl
import mmap
import os
import subprocess
import sys

import pytest

from support import syscalls

BIG = b"0123456789abcdef" * 50_000


def open_for(path, flags=os.O_RDWR, mode=0o644):
    return os.open(path, flags | os.O_CLOEXEC, mode)


@pytest.fixture
def fd_of():
    """fd_of(path, flags): an open descriptor, closed when the test is over."""
    fds = []

    def make(*args):
        fds.append(open_for(*args))
        return fds[-1]

    yield make
    for fd in fds:
        os.close(fd)


@pytest.mark.parametrize("name", ["demo/a.py", "demo/big.bin"])
def test_descriptors_and_mappings_that_were_open_see_later_writes(site, fd_of, name):
    path = site / name
    early = fd_of(path, os.O_RDONLY)
    size = path.stat().st_size
    with mmap.mmap(early, 0, prot=mmap.PROT_READ) as mapped:
        old = mapped[:]
        with open(path, "r+b") as file:
            file.seek(size // 2)
            file.write(b"NEW")
        expected = old[:size // 2] + b"NEW" + old[size // 2 + 3:]
        assert mapped[:size] == expected[:size]
    assert os.pread(early, 1 << 20, 0) == expected == path.read_bytes()


def test_a_shared_mapping_writes_to_the_file(site, fd_of):
    path = site / "demo/big.bin"
    reader, writer = fd_of(path, os.O_RDONLY), fd_of(path)
    with mmap.mmap(writer, 0) as mapped, mmap.mmap(reader, 0, prot=mmap.PROT_READ) as seen:
        mapped[100_000:100_004] = b"WXYZ"
        assert seen[100_000:100_004] == b"WXYZ" == os.pread(reader, 4, 100_000)
        mapped.flush()
        os.pwrite(writer, b"!", 100_001)
        assert mapped[100_000:100_004] == b"W!YZ" == seen[100_000:100_004]
    assert path.read_bytes() == BIG[:100_000] + b"W!YZ" + BIG[100_004:]


def test_a_mapping_outlives_its_descriptor_and_its_name(site):
    path = site / "demo/big.bin"
    fd = open_for(path)
    mapped = mmap.mmap(fd, 0)
    os.close(fd)
    os.unlink(path)
    path.write_bytes(b"another file")
    mapped[0:3] = b"abc"
    mapped.flush()
    assert mapped[:6] == b"abc345" and mapped[400_000:400_016] == BIG[:16]
    mapped.close()
    assert path.read_bytes() == b"another file"


def test_a_private_mapping_changes_nothing(site, fd_of):
    path = site / "demo/big.bin"
    with mmap.mmap(fd_of(path, os.O_RDONLY), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
        mapped[0:4] = b"mine"
        assert mapped[:4] == b"mine"
    assert path.read_bytes() == BIG


HOLDER = """
import mmap, os, sys
path = sys.argv[1]
fd = os.open(path, os.O_RDWR)
m = mmap.mmap(fd, 0)
print(m[:4], flush=True)
for line in sys.stdin:
    print(m[:4], os.pread(fd, 4, 0), os.fstat(fd).st_nlink, flush=True)
    m[4:8] = b'held'
"""


@pytest.mark.parametrize("how", ["unlink", "replace"])
def test_another_process_keeps_what_was_removed_or_replaced(site, how):
    path = site / "demo/big.bin"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "b'0123'\n"
    if how == "unlink":
        os.unlink(path)
    else:
        (site / "demo/new").write_bytes(b"new bytes of it")
        os.replace(site / "demo/new", path)
    for _ in range(2):
        holder.stdin.write("look\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "b'0123' b'0123' 0\n"
    holder.stdin.close()
    assert holder.wait(30) == 0
    assert not path.exists() if how == "unlink" else path.read_bytes() == b"new bytes of it"


def test_a_removed_file_takes_writes_until_it_is_closed(site, fd_of):
    for name in ("demo/a.py", "demo/big.bin", "demo/made"):
        path = site / name
        fd = fd_of(path, os.O_RDWR | os.O_CREAT)
        os.unlink(path)
        os.pwrite(fd, b"written later", 5)
        os.ftruncate(fd, 12)
        os.fsync(fd)
        st = os.fstat(fd)
        assert (os.pread(fd, 100, 5), st.st_size, st.st_nlink) == (b"written", 12, 0), name
        assert not path.exists()


def test_appending_goes_to_the_end_whoever_else_writes(site, fd_of):
    path = site / "demo/a.py"
    one, two = fd_of(path, os.O_WRONLY | os.O_APPEND), fd_of(path, os.O_WRONLY | os.O_APPEND)
    for n in range(50):
        os.write(one, b"one %d\n" % n)
        os.write(two, b"two %d\n" % n)
    assert path.read_bytes() == b"a = 1\n" + b"".join(b"one %d\ntwo %d\n" % (n, n) for n in range(50))


def test_truncating_at_opening(site):
    for name in ("demo/a.py", "demo/big.bin"):
        early = open_for(site / name, os.O_RDONLY)
        os.pread(early, 4096, 0)
        os.close(open_for(site / name, os.O_WRONLY | os.O_TRUNC))
        assert os.fstat(early).st_size == 0 and os.pread(early, 10, 0) == b"" == (site / name).read_bytes()
        os.close(early)


def test_what_lies_beyond_the_end_is_zeros_after_growing(site):
    path = site / "demo/big.bin"
    os.truncate(path, 5)
    os.truncate(path, 10_000)
    assert path.read_bytes() == b"01234" + bytes(9_995)
    with open(path, "r+b") as file:
        file.seek(20_000)
        file.write(b"x")
    assert path.read_bytes() == b"01234" + bytes(19_995) + b"x"


def test_large_offsets(site, fd_of):
    fd = fd_of(site / "demo/sparse", os.O_RDWR | os.O_CREAT)
    for offset in (2**31 - 2, 2**32 - 2, 2**40):
        os.pwrite(fd, b"abcd", offset)
        assert os.pread(fd, 10, offset) in (b"abcd", b"abcd" + bytes(6)) and os.fstat(fd).st_size == offset + 4


def segments(fd):
    """[(from, to)] of what is data."""
    found, at, end = [], 0, os.fstat(fd).st_size
    while at < end:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            assert error.errno == errno.ENXIO
            break
        at = os.lseek(fd, start, os.SEEK_HOLE)
        found.append((start, at))
    return found


def test_holes_are_found_where_nothing_was_written(site, fd_of):
    fd = fd_of(site / "demo/sparse", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8 << 20)
    os.pwrite(fd, b"x" * 4096, 4 << 20)
    os.fsync(fd)
    (start, end), = segments(fd)
    assert start <= 4 << 20 and end >= (4 << 20) + 4096 and end - start <= 2 << 20
    syscalls.fallocate(fd, syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE, 0, 8 << 20)
    os.fsync(fd)
    assert segments(fd) == [] and os.fstat(fd).st_size == 8 << 20
    with pytest.raises(OSError) as raised:
        os.lseek(fd, 8 << 20, os.SEEK_DATA)
    assert raised.value.errno == errno.ENXIO


def test_a_package_file_is_data_from_end_to_end(site, fd_of):
    for name in ("demo/a.py", "demo/big.bin"):
        fd = fd_of(site / name, os.O_RDONLY)
        assert segments(fd) == [(0, os.fstat(fd).st_size)]


def test_punching_a_hole_into_a_package_file(site, fd_of):
    path = site / "demo/big.bin"
    syscalls.fallocate(fd_of(path), syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE, 100, 300_000)
    assert path.read_bytes() == BIG[:100] + bytes(300_000) + BIG[300_100:]


def test_punching_where_a_hole_is_dates_the_file(root, new_venv, make_wheel, other_partition, fd_of):
    venv = new_venv(root, on=other_partition)
    venv.fusepkg("add", "-q", make_wheel("demo", files={"demo/a.py": "a = 1\n"}))
    path = venv.site / "demo/a.py"
    fd = fd_of(path)
    os.utime(path, ns=(1, 1))
    syscalls.fallocate(fd, syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE, 100_000, 1)
    st = os.stat(path)
    assert st.st_mtime_ns > 1 and st.st_atime_ns == 1
    assert path.read_bytes() == b"a = 1\n"


def test_fallocate_grows_a_file_unless_it_is_told_not_to(site, fd_of):
    path = site / "demo/a.py"
    fd = fd_of(path)
    syscalls.fallocate(fd, syscalls.FALLOC_KEEP_SIZE, 0, 100_000)
    assert path.read_bytes() == b"a = 1\n"
    syscalls.fallocate(fd, 0, 0, 1000)
    assert path.read_bytes() == b"a = 1\n" + bytes(994)


def test_copy_file_range(site, fd_of):
    source, target = fd_of(site / "demo/big.bin", os.O_RDONLY), fd_of(site / "demo/copy", os.O_RDWR | os.O_CREAT)
    done = 0
    while got := os.copy_file_range(source, target, 1 << 30, done, done):
        done += got
    assert done == len(BIG) and (site / "demo/copy").read_bytes() == BIG
    assert os.copy_file_range(source, target, 10, len(BIG), 0) == 0
    package = fd_of(site / "demo/other.bin")
    assert os.copy_file_range(source, package, 16, 16, 3) == 16
    assert (site / "demo/other.bin").read_bytes()[:22] == b"zzz0123456789abcdefzzz"


def test_syncing(site, fd_of):
    fd = fd_of(site / "demo/a.py")
    os.pwrite(fd, b"b", 0)
    os.fsync(fd)
    os.fdatasync(fd)
    folder = fd_of(site / "demo", os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(folder)
    os.sync()
    assert (site / "demo/a.py").read_bytes() == b"b = 1\n"


LOCKER = """
import fcntl, sys
file = open(sys.argv[1], 'r+b')
take = {'flock': fcntl.flock, 'fcntl': fcntl.lockf}[sys.argv[2]]
try:
    take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print('got it')
except BlockingIOError:
    print('busy')
"""


@pytest.mark.parametrize("kind", ["flock", "fcntl"])
def test_locks_are_between_processes(site, kind):
    path = site / "demo/a.py"

    def attempt():
        return subprocess.run([sys.executable, "-c", LOCKER, path, kind], check=True, capture_output=True, text=True).stdout

    with open(path, "r+b") as file:
        (fcntl.flock if kind == "flock" else fcntl.lockf)(file, fcntl.LOCK_EX)
        assert attempt() == "busy\n"
        file.write(b"b")  # the lock does not depend on which bytes the file has
        file.flush()
        assert attempt() == "busy\n"
    assert attempt() == "got it\n"


def test_reading_and_writing_wrong_ways(site, fd_of):
    for flags, call in ((os.O_RDONLY, lambda fd: os.write(fd, b"x")), (os.O_WRONLY, lambda fd: os.read(fd, 1))):
        with pytest.raises(OSError) as raised:
            call(fd_of(site / "demo/a.py", flags))
        assert raised.value.errno == errno.EBADF
    with pytest.raises(IsADirectoryError):
        open_for(site / "demo", os.O_WRONLY)


def test_direct_io_reads_and_writes_the_same_bytes(site, fd_of):
    fd = fd_of(site / "demo/big.bin", os.O_RDWR | os.O_DIRECT)
    with mmap.mmap(-1, 4096) as page:
        assert os.preadv(fd, [page], 4096) == 4096 and page[:] == BIG[4096:8192]
        page[:5] = b"DIREC"
        assert os.pwritev(fd, [page], 4096) == 4096
    assert (site / "demo/big.bin").read_bytes() == BIG[:4096] + b"DIREC" + BIG[4101:]


def test_there_are_no_extended_attributes(root_demo):
    """Each write would cost a request more; pip, uv and cp cope."""
    path = root_demo.site / "demo/a.py"
    for call in (lambda: os.setxattr(path, "user.x", b"1"), lambda: os.getxattr(path, "user.x"), lambda: os.listxattr(path),
                 lambda: os.removexattr(path, "user.x")):
        with pytest.raises(OSError) as raised:
            call()
        assert raised.value.errno == errno.EOPNOTSUPP
