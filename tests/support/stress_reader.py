"""stress_reader.py SITE SEED: does to a mounted tree what programs do, in any order, until stdin ends; whatever it sees must
be whole and true.  What it holds across switches (open files, mappings, a working directory, half-read listings)
must stay as it was."""
import mmap
import os
import random
import select
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from support import world

KEPT_MAX = 24


class Reader:
    def __init__(self, site, seed):
        self.site, self.chance = site, random.Random(seed)
        self.kept = []      # (path, descriptor, mapping or None, bytes)
        self.listings = []  # (path, iterator, names seen)

    def path(self, relative):
        return os.path.join(self.site, relative) if relative else self.site

    def pick(self, want_dir):
        """A path that is a folder, or a file, as far as listings tell."""
        relative = ""
        while True:
            names = os.listdir(self.path(relative))
            if not names:
                raise FileNotFoundError
            below = os.path.join(relative, self.chance.choice(names))
            if not os.path.isdir(self.path(below)):
                return relative if want_dir else below
            relative = below
            if want_dir and self.chance.random() < 0.4:
                return relative

    def check(self, path, data):
        if ".dist-info/" in path or path in (".fusepkg",) or "__pycache__" in path:
            assert data or path.endswith("REQUESTED"), f"{path}: empty"
        else:
            assert world.own_words(path, data), f"{path}: {len(data)} wrong bytes: {data[:100]}"

    def read(self):
        path = self.pick(False)
        with open(self.path(path), "rb", buffering=0) as file:
            self.check(path, file.readall())

    def keep(self):
        path = self.pick(False)
        fd = os.open(self.path(path), os.O_RDONLY)
        size = os.fstat(fd).st_size
        mapped = mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if size and self.chance.random() < 0.5 else None
        data = None
        if self.chance.random() < 0.7:
            data = mapped[:] if mapped else os.pread(fd, size + 1, 0)
            self.check(path, data)
        self.kept.append((path, fd, mapped, data))
        if len(self.kept) > KEPT_MAX:
            path, fd, mapped, data = self.kept.pop(self.chance.randrange(len(self.kept)))
            if mapped:
                mapped.close()
            os.close(fd)

    def look_again(self):
        if not self.kept:
            return
        n = self.chance.randrange(len(self.kept))
        path, fd, mapped, data = self.kept[n]
        now = mapped[:] if mapped else os.pread(fd, (1 << 20), 0)
        if data is None:
            self.check(path, now)
            self.kept[n] = (path, fd, mapped, now)
            return
        assert now == data, f"{path}: what was kept open changed"
        offset = self.chance.randrange(len(data) + 10)
        length = self.chance.randrange(1, 5000)
        assert os.pread(fd, length, offset) == data[offset:offset + length], f"{path}: {length} bytes at {offset}"

    def stand(self):
        path = self.pick(True)
        os.chdir(self.path(path))
        for name in os.listdir("."):
            st = os.lstat(name)
            # One that went between the look-up and the answer has no name any more, as on any file system.
            assert st.st_nlink >= 1 or os.lstat(name).st_ino != st.st_ino

    def stand_still(self):
        for name in os.listdir("."):
            try:
                os.stat(name)
            except FileNotFoundError:
                pass
        try:
            os.stat(f"came-{self.chance.randrange(5)}.py")
        except FileNotFoundError:
            pass

    def list_slowly(self):
        if len(self.listings) < 3:
            path = self.pick(True)
            self.listings.append((path, os.scandir(self.path(path)), set()))
            return
        n = self.chance.randrange(3)
        path, entries, names = self.listings[n]
        for _ in range(3):
            entry = next(entries, None)
            if entry is None:
                del self.listings[n]
                return
            assert entry.name not in names, f"{path}: {entry.name} listed twice"
            names.add(entry.name)

    def absent(self):
        path = self.pick(True)
        for name in ("absent.py", self.chance.choice(world.NAMES), "n" * 255):
            try:
                os.stat(os.path.join(self.path(path), name))
            except FileNotFoundError:
                pass
        try:
            os.stat(os.path.join(self.path(path), "n" * 256))
            assert False, "a name of 256 bytes"
        except OSError as error:
            assert error.errno in (36, 2, 20), error

    def run(self):
        acts = [self.read, self.keep, self.look_again, self.look_again, self.stand, self.stand_still, self.list_slowly, self.absent]
        rounds = 0
        while not select.select([sys.stdin], [], [], 0)[0]:
            for _ in range(20):
                act = self.chance.choice(acts)
                try:
                    act()
                except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    pass # it went while we looked
                rounds += 1
        print(rounds)


if __name__ == "__main__":
    Reader(sys.argv[1], int(sys.argv[2])).run()
