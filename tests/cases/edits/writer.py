"""Random changes that follow from a seed alone: the same ones on a mounted folder and on a plain one.

As a program, `writer.py FOLDER SEED LOG`: goes on until its input ends or a change fails because the mount is gone, and writes to LOG
how many were done, after each.  A change is one call of the kernel's, but for opening and closing."""
import errno
import os
import random
import shutil
import stat
import sys

GONE = (errno.ENOTCONN, errno.ECONNABORTED)
NAMES = ("a", "b.py", "c", "d", "e.txt")
SIZES = (0, 1, 4096, 5000, 40_000, 100_000)


def walk(root, hidden=(".fusepkg",)):
    """All paths but the root's, sorted, with their types; or the error, where os.walk would be content with the part that can be read."""
    def fail(error):
        raise error

    found = []
    for where, folders, files in os.walk(root, onerror=fail):
        for name in folders + files:
            path = os.path.relpath(os.path.join(where, name), root)
            if path not in hidden:
                found.append((path, stat.S_IFMT(os.lstat(os.path.join(root, path)).st_mode)))
    return sorted(found)


class Writer:
    def __init__(self, root, seed):
        self.root, self.chance, self.count = str(root), random.Random(seed), 0

    def at(self, path):
        return os.path.join(self.root, path)

    def new_path(self, folders):
        return os.path.join(self.chance.choice(folders), self.chance.choice(NAMES))

    def step(self):
        """One change; what it fails with is left alone: the tree says what came of it."""
        paths = walk(self.root)
        files = [p for p, kind in paths if kind == stat.S_IFREG] or ["a"]
        folders = [""] + [p for p, kind in paths if kind == stat.S_IFDIR]
        anything = [p for p, _ in paths] or ["a"]
        actions = [self.write, self.write, self.append, self.truncate, self.make, self.make, self.mkdir, self.rename, self.rename, self.link,
                   self.symlink, self.unlink, self.rmdir, self.chmod, self.utime, self.punch]
        action = self.chance.choice(actions)
        number = self.chance.randrange(1 << 30)
        try:
            action(files, folders, anything, random.Random(number))
        except OSError as error:
            if error.errno in GONE:
                raise
        self.count += 1

    def put(self, path, flags, chance, offset=None):
        fd = os.open(self.at(path), flags | os.O_WRONLY, 0o644)
        try:
            data = chance.randbytes(chance.choice(SIZES))
            written = os.write(fd, data) if offset is None else os.pwrite(fd, data, offset)
            # The kernel sends a large write in parts: the mount went away between two of them.
            if written < len(data):
                raise OSError(errno.ENOTCONN, "written in part")
        finally:
            os.close(fd)

    def write(self, files, _folders, _anything, chance):
        self.put(chance.choice(files), 0, chance, chance.choice(SIZES))

    def append(self, files, _folders, _anything, chance):
        self.put(chance.choice(files), os.O_APPEND, chance)

    def make(self, _files, folders, _anything, chance):
        os.close(os.open(self.at(os.path.join(chance.choice(folders), chance.choice(NAMES))), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

    def mkdir(self, _files, folders, _anything, chance):
        os.mkdir(self.at(os.path.join(chance.choice(folders), chance.choice(NAMES))))

    def truncate(self, files, _folders, _anything, chance):
        os.truncate(self.at(chance.choice(files)), chance.choice(SIZES))

    def rename(self, _files, folders, anything, chance):
        os.rename(self.at(chance.choice(anything)), self.at(os.path.join(chance.choice(folders), chance.choice(NAMES))))

    def link(self, files, folders, _anything, chance):
        os.link(self.at(chance.choice(files)), self.at(os.path.join(chance.choice(folders), chance.choice(NAMES))))

    def symlink(self, _files, folders, _anything, chance):
        os.symlink("a", self.at(os.path.join(chance.choice(folders), chance.choice(NAMES))))

    def unlink(self, files, _folders, _anything, chance):
        os.unlink(self.at(chance.choice(files)))

    def rmdir(self, _files, folders, _anything, chance):
        os.rmdir(self.at(chance.choice(folders) or "a"))

    def chmod(self, _files, _folders, anything, chance):
        path = self.at(chance.choice(anything))
        if not os.path.islink(path):
            os.chmod(path, chance.choice((0o600, 0o644, 0o755)))

    def utime(self, _files, _folders, anything, chance):
        os.utime(self.at(chance.choice(anything)), ns=(0, chance.randrange(1 << 60)), follow_symlinks=False)

    def punch(self, files, _folders, _anything, chance):
        # Beside this file, or in the tests' folder.
        from support import syscalls
        fd = os.open(self.at(chance.choice(files)), os.O_RDWR)
        try:
            syscalls.fallocate(fd, syscalls.FALLOC_PUNCH_HOLE | syscalls.FALLOC_KEEP_SIZE, chance.choice(SIZES), 5000)
        finally:
            os.close(fd)


def remove_some(root, chance):
    """What takes many calls: a whole folder."""
    folders = [p for p, kind in walk(root) if kind == stat.S_IFDIR]
    if folders:
        shutil.rmtree(os.path.join(root, chance.choice(folders)))


def main(root, seed, log):
    os.set_blocking(0, False)
    writer = Writer(root, int(seed))
    with open(log, "wb", buffering=0) as done:
        while True:
            try:
                if os.read(0, 1) == b"":
                    return
            except BlockingIOError:
                pass
            try:
                writer.step()
            except OSError as error:
                if error.errno in GONE:
                    return
                raise
            os.pwrite(done.fileno(), b"%d\n" % writer.count, 0)


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    main(*sys.argv[1:])
