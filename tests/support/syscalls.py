"""System calls that Python's os module lacks, through libc; each raises OSError as os does."""
import ctypes
import fcntl
import os
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_SYMLINK_FOLLOW = 0x400
RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
FALLOC_KEEP_SIZE = 1
FALLOC_PUNCH_HOLE = 2
FALLOC_ZERO_RANGE = 16
FICLONE = 0x40049409

LIBC.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
LIBC.getdents64.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
LIBC.getdents64.restype = ctypes.c_ssize_t


def check(result, *paths):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *map(os.fsdecode, paths))
    return result


def rename(old, new, flags=0):
    """renameat2(2)"""
    old, new = os.fsencode(old), os.fsencode(new)
    check(LIBC.renameat2(AT_FDCWD, old, AT_FDCWD, new, ctypes.c_uint(flags)), old)


def fallocate(fd, mode, offset, length):
    check(LIBC.fallocate(fd, mode, offset, length))


def give_name(fd, path):
    """linkat(2) of what O_TMPFILE made."""
    check(LIBC.linkat(AT_FDCWD, os.fsencode(f"/proc/self/fd/{fd}"), AT_FDCWD, os.fsencode(path), AT_SYMLINK_FOLLOW), path)


def getdents(fd, size):
    """The next entries of the directory FD that fit into SIZE bytes: [(name, inode, type)]; [] at the end."""
    buffer = ctypes.create_string_buffer(size)
    got = check(LIBC.getdents64(fd, buffer, size))
    entries, at = [], 0
    while at < got:
        inode, _, length, kind = struct.unpack_from("=QqHB", buffer, at)
        name = buffer.raw[at + 19:at + length].split(b"\0", 1)[0]
        entries.append((os.fsdecode(name), inode, kind))
        at += length
    return entries


def clone(target_fd, source_fd):
    fcntl.ioctl(target_fd, FICLONE, source_fd)


class acting_as:
    """Within it this process has the rights of UID alone: the tests are root, who may do everything."""

    def __init__(self, uid):
        self.uid = uid

    def __enter__(self):
        if self.uid:
            self.groups = os.getgroups()
            os.setgroups([])
            os.setegid(self.uid)
            os.seteuid(self.uid)

    def __exit__(self, *_):
        if self.uid:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(self.groups)
