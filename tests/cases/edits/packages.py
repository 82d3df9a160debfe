"""Made packages for the state machine, and what adding, upgrading and removing them must do to a plain folder.

The rule is "later wins, in time".  A package's files are known by their inodes, wherever the user has moved or linked them:

- a package that leaves takes its files along, and the folders that nothing else stands in;
- a package that comes puts its files where they belong, over whatever was there, and makes the folders that lack.  So an upgrade never
  writes into a file of the old version.

What the user has made or changed and is not seen any more must be found below `.fusepkg/kept`.

No two packages have a file of one path; whose folder a path needs where a file is, or the other way round, is not switched then:
what becomes of all the user's files in such a folder is another test's affair.  Nor is what needs a folder where the user has moved another
one of packages or of the base: that one goes then (fs/README.md, "At a switch"), which no plain folder does."""
import os
import stat
import zipfile
from pathlib import Path

BASE = {"bare.py": b"bare = 1\n", "bare/deep/x.bin": b"x" * 70_000, "bare/y.py": b"", "ns/bare.py": b"bare = 2\n"}
# The names have the letters that the machine gives, too: so what a package brings meets what the user made.
FILES = {
    "demo": {"demo/a.py": "a = 1\n", "demo/b": "b" * 5000, "demo/sub/c.py": "", "demo/sub/deep/d.txt": "d", "demo/big.bin": b"B" * 300_000,
             "ns/demo.py": "demo\n", "ns/sub/demo.py": ""},
    "stays": {"stays/a.py": "", "ns/stays.py": "s\n", "ns/sub/stays.py": "s\n"},
    "goes": {"goes/a.py": "goes\n", "goes/b/e": "", "goes/only{v}.py": "only", "ns/goes.py": "g", "ns/sub/goes.bin": b"g" * 140_000, "d.txt": "top"},
    "other": {"other/a/b/e": "e\n", "other/x.py": "{v}", "ns/a": "a", "ns/other{v}/c.py": "", "e/other.py": "o"},
}
SWITCHED = ("goes", "other")
VERSIONS = ("1.0", "2.0")


def write_base(site):
    for path, data in BASE.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)


def at_version(files, version):
    """FILES of that VERSION: other names, and other bytes of the same length."""
    made = {}
    for path, data in files.items():
        data = data.encode() if isinstance(data, str) else data
        made[path.replace("{v}", version[0])] = data.replace(b"{v}", version.encode()) + version.encode()
    return made


class Packages:
    """The wheels.  beside() makes what plays them onto one pair of folders."""

    def __init__(self, make_wheel, account):
        self.wheels = {(name, v): make_wheel(name, v, at_version(FILES[name], v)) for name in FILES for v in VERSIONS}

    def first_wheels(self):
        return [self.wheels[name, "1.0"] for name in ("demo", "stays")]

    def beside(self, venv, twin):
        return Beside(self, venv, twin)


class Beside:
    """VENV, and the plain folder of TWIN that follows it."""

    def __init__(self, packages, venv, twin):
        self.packages, self.venv, self.twin = packages, venv, twin
        self.root = Path(twin.theirs)
        self.installed = {}   # name -> version
        self.files = {}       # their inode -> (package, bytes, or None: not known)
        self.folders = {}     # their inode -> packages that brought it
        self.homes = {st.st_ino: str(path.relative_to(self.root)) for path, st in self.below() if stat.S_ISDIR(st.st_mode)}
        self.last = ""

    def inodes(self):
        """Files of packages that may be switched."""
        return set(self.files)

    # What is there now, by walking the plain folder.

    def below(self):
        """[(path, stat)], folders after what is in them."""
        found = []
        for where, folders, files in os.walk(self.root, topdown=False):
            for name in folders + files:
                path = Path(where, name)
                found.append((path, os.lstat(path)))
        return found

    def is_possible(self, name, version):
        """Does each folder that the package needs stand where there is a folder that was not moved there with packages in it, or nothing, and
        each file likewise?"""
        for path in self.wheel_files(name, version):
            target = self.root / path
            if not target.is_symlink() and target.is_dir():
                return False
            for folder in list(target.relative_to(self.root).parents)[:-1]:
                folder = self.root / folder
                if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or self.is_moved(folder)):
                    return False
        return True

    def is_moved(self, folder):
        """Is it one of the base or of packages that still are in it, elsewhere?"""
        inode = os.lstat(folder).st_ino
        home = self.homes.get(inode)
        return home not in (None, str(folder.relative_to(self.root))) and self.folders.get(inode, True)

    def wheel_files(self, name, version):
        with zipfile.ZipFile(self.packages.wheels[name, version]) as archive:
            return {i.filename: archive.read(i) for i in archive.infolist()}

    # Switching.

    def switch(self, number):
        """Returns whether anything was done."""
        name = SWITCHED[number % 2]
        have = self.installed.get(name)
        if have and number // 2 % 3 == 0:
            lost = self.take_away(name)
            self.tidy(name)
            self.command(f"remove {name}", "remove", "-y", name)
        else:
            version = "1.0" if not have else VERSIONS[1 - VERSIONS.index(have)]
            if not self.is_possible(name, version):
                return False
            lost = self.take_away(name) if have else []
            self.command(f"add {name} {version}", "add", self.packages.wheels[name, version])
            lost += self.put(name, version)
            self.tidy(name)
        self.check_kept(lost)
        return True

    def command(self, last, *argv):
        self.last = last
        self.venv.fusepkg(argv[0], "-q", *argv[1:])

    def take_away(self, name):
        """All files of the package, by whatever names; what the user has changed of them is returned."""
        lost = []
        for path, st in self.below():
            owner = self.files.get(st.st_ino)
            if owner and owner[0] == name:
                if owner[1] is not None and path.read_bytes() != owner[1]:
                    lost.append((path, path.read_bytes()))
                path.unlink()
        self.files = {inode: owner for inode, owner in self.files.items() if owner[0] != name}
        self.installed.pop(name, None)
        return lost

    def put(self, name, version):
        """What the wheel has, and what installing adds to its dist-info, as the mount shows it."""
        files = self.wheel_files(name, version)
        info = f"{name}-{version}.dist-info"
        for generated in os.listdir(os.path.join(self.twin.ours, info)):
            files[f"{info}/{generated}"] = None
        lost = []
        made = set()
        for path, data in sorted(files.items()):
            target = self.root / path
            self.make_folders(target.parent, name, made)
            if os.path.lexists(target):
                st = os.lstat(target)
                if stat.S_ISREG(st.st_mode) and st.st_nlink == 1:
                    lost.append((target, target.read_bytes()))
                target.unlink()
            shown = Path(self.twin.ours, path).read_bytes()
            assert data is None or path.endswith("/RECORD") or shown == data, f"{path}: not what the wheel has"
            target.write_bytes(shown)
            self.files[self.take_over(target).st_ino] = (name, shown)
        self.installed[name] = version
        return lost

    def take_over(self, path):
        """A new file or folder gets the mode and owner that the mount shows: which these are is tested elsewhere."""
        relative = str(path.relative_to(self.root))
        st = os.lstat(os.path.join(self.twin.ours, relative))
        os.chown(path, st.st_uid, st.st_gid)
        path.chmod(stat.S_IMODE(st.st_mode))
        st = os.lstat(path)
        self.twin.hold(relative, st)
        return st

    def make_folders(self, folder, name, made):
        if folder == self.root:
            return
        self.make_folders(folder.parent, name, made)
        if not folder.exists():
            folder.mkdir()
            inode = self.take_over(folder).st_ino
            self.folders[inode] = set()
            self.homes[inode] = str(folder.relative_to(self.root))
        inode = os.lstat(folder).st_ino
        if inode in self.folders:
            self.folders[inode].add(name)

    def tidy(self, name):
        """Folders that only the package brought, in an earlier version or this one, and that nothing stands in."""
        wanted = set()
        if name in self.installed:
            for path in self.wheel_files(name, self.installed[name]):
                wanted |= {str(p) for p in Path(path).parents}
        for path, st in self.below():
            brought = self.folders.get(st.st_ino)
            if brought is None or name not in brought:
                continue
            if str(path.relative_to(self.root)) in wanted:
                continue
            brought.discard(name)
            if not brought:
                try:
                    path.rmdir()
                except OSError:
                    pass

    def check_kept(self, lost):
        if not lost:
            return
        kept = [p.read_bytes() for p in (self.venv.state / "kept").rglob("*") if p.is_file() and not p.is_symlink()]
        for path, data in lost:
            assert data in kept, f"{path}: what the user had there is not in kept, which has {len(kept)} files"
