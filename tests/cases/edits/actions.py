"""What a program may do to a folder: each action gets the folder's path first, then what to do below it; it returns what
the program sees, or raises OSError."""
import mmap
import os
import shutil
import socket
import stat

from support import syscalls


def at(root, path):
    return os.path.join(root, path) if path else root


def pattern(seed, size):
    """Bytes of which no two pages are equal, nor equal to those of another SEED."""
    return b"".join(b"%03d:%07d;" % (seed % 1000, n) for n in range(size // 12 + 1))[:size]


def write(root, path, flags, mode, offset, data):
    fd = os.open(at(root, path), flags | os.O_WRONLY, mode)
    try:
        return write_fd(fd, offset, data)
    finally:
        os.close(fd)


def write_fd(fd, offset, data):
    """OFFSET None: where the descriptor stands."""
    done = 0
    while done < len(data):
        if offset is None:
            done += os.write(fd, data[done:])
        else:
            done += os.pwrite(fd, data[done:], offset + done)
    return done


def read_fd(fd, offset, size):
    return os.pread(fd, size, offset)


def truncate(root, path, size):
    os.truncate(at(root, path), size)


def mkdir(root, path, mode):
    os.mkdir(at(root, path), mode)


def rmdir(root, path):
    os.rmdir(at(root, path))


def remove_tree(root, path):
    shutil.rmtree(at(root, path))


def unlink(root, path):
    os.unlink(at(root, path))


def rename(root, old, new, flags):
    syscalls.rename(at(root, old), at(root, new), flags)


def link(root, old, new):
    os.link(at(root, old), at(root, new), follow_symlinks=False)


def symlink(root, target, path):
    os.symlink(target, at(root, path))


def mknod(root, path, kind, mode):
    os.mknod(at(root, path), kind | mode)


def listen(root, path):
    """A socket is bound by its name in the folder: a path of 108 bytes is the most that the kernel takes."""
    folder = os.open(os.path.dirname(at(root, path)), os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


def chmod(root, path, mode):
    os.chmod(at(root, path), mode)


def chown(root, path, uid, gid):
    os.chown(at(root, path), uid, gid, follow_symlinks=False)


def utime(root, path, atime, mtime):
    os.utime(at(root, path), ns=(atime, mtime), follow_symlinks=False)
    st = os.lstat(at(root, path))
    return st.st_atime_ns, st.st_mtime_ns


def touch(root, path):
    os.utime(at(root, path))


def access(root, path, mode):
    return os.access(at(root, path), mode, effective_ids=True)


def read(root, path):
    with open(at(root, path), "rb", buffering=0) as file:
        return file.read()


def fallocate(root, path, mode, offset, length):
    fd = os.open(at(root, path), os.O_RDWR | os.O_NONBLOCK)
    try:
        syscalls.fallocate(fd, mode, offset, length)
    finally:
        os.close(fd)


def copy_range(root, source, target, from_offset, to_offset, length):
    """Copies with copy_file_range(2) until LENGTH is there or the source ends; returns how much that was."""
    one = os.open(at(root, source), os.O_RDONLY | os.O_NONBLOCK)
    try:
        two = os.open(at(root, target), os.O_WRONLY | os.O_NONBLOCK)
        try:
            done = 0
            while done < length:
                got = os.copy_file_range(one, two, length - done, from_offset + done, to_offset + done)
                if not got:
                    break
                done += got
            return done
        finally:
            os.close(two)
    finally:
        os.close(one)


def map_write(root, path, offset, data):
    """Changes the file through a shared mapping; what goes beyond its end is left out."""
    fd = os.open(at(root, path), os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return map_write_fd(fd, offset, data)
    finally:
        os.close(fd)


def map_write_fd(fd, offset, data):
    st = os.fstat(fd)
    data = data[:max(0, st.st_size - offset)]
    if not stat.S_ISREG(st.st_mode) or not data:
        return None
    with mmap.mmap(fd, 0) as mapped:
        mapped[offset:offset + len(data)] = data
        mapped.flush()
        return mapped[:]


def make_in(folder_fd, name, mode, data):
    """A new file in an open folder, wherever that is now."""
    fd = os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode, dir_fd=folder_fd)
    try:
        return write_fd(fd, 0, data)
    finally:
        os.close(fd)
