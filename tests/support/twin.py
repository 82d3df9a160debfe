"""Two folders that started equal, a mounted one and one on an ordinary file system: what is done to both must come out
the same.  Compared is all that a program can see, but atime, st_blocks, the sizes of directories, and the order of names.

Inodes: the numbers differ, so what is checked is that one number of ours always stands for one of theirs, and never for
another one later.  The other side's numbers are given again as soon as they are free; so each inode that was seen there is
held by a descriptor (O_PATH, which changes nothing that can be seen) until the end.

Times differ, too.  What must agree is which of them changed since the last comparison."""
import errno
import os
import stat
import time

CLOCK_REALTIME_COARSE = 5  # what ext4's time stamps are taken from
MARKER = ".fusepkg"        # at the mounted root only


def outcome(action, *args):
    """What ACTION gave: its value, or the name of its error."""
    try:
        return action(*args)
    except OSError as error:
        return f"<{errno.errorcode[error.errno]}>"


def next_tick():
    """Returns when whatever changes from now on gets another time stamp than what has changed until now."""
    start = time.clock_gettime(CLOCK_REALTIME_COARSE)
    while time.clock_gettime(CLOCK_REALTIME_COARSE) == start:
        time.sleep(0.0005)


def read_file(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        parts = []
        while part := os.read(fd, 1 << 20):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)


class Seen:
    """A path as it was seen: STAT, and BYTES of a file, or the target of a symlink."""

    def __init__(self, st, content):
        self.stat, self.content = st, content

    def visible(self):
        """What must be equal on both sides."""
        st = self.stat
        size = None if stat.S_ISDIR(st.st_mode) else st.st_size
        return {"mode": oct(st.st_mode), "uid": st.st_uid, "gid": st.st_gid, "links": st.st_nlink, "size": size,
                "rdev": st.st_rdev if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode) else 0, "content": self.content}


def scan(root, hidden=()):
    """{relative path: Seen}; "" is ROOT itself.  Says what is wrong with it by itself in a list of sentences."""
    found, wrong = {}, []

    def walk(path):
        full = os.path.join(root, path) if path else str(root)
        found[path] = Seen(os.lstat(full), None)
        with os.scandir(full) as entries:
            entries = [e for e in entries if path or e.name not in hidden]
        names = [e.name for e in entries]
        wrong.extend(f"{path}/{n}: listed more than once" for n in set(names) if names.count(n) > 1)
        for entry in entries:
            below = f"{path}/{entry.name}" if path else entry.name
            where = os.path.join(root, below)
            st = os.lstat(where)
            if entry.inode() != st.st_ino:
                wrong.append(f"{below}: listed as inode {entry.inode():x}, is {st.st_ino:x}")
            if entry.is_dir(follow_symlinks=False) != stat.S_ISDIR(st.st_mode):
                wrong.append(f"{below}: listed as another type than it has")
            if stat.S_ISDIR(st.st_mode):
                walk(below)
            elif stat.S_ISREG(st.st_mode):
                found[below] = Seen(st, read_file(where))
                if len(found[below].content) != st.st_size:
                    wrong.append(f"{below}: {st.st_size} bytes announced, {len(found[below].content)} read")
            else:
                found[below] = Seen(st, os.readlink(where) if stat.S_ISLNK(st.st_mode) else None)

    walk("")
    return found, wrong


def short(value):
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:30]}…{text[-25:]} ({len(text)})"


class Twin:
    """OURS is the mounted folder, THEIRS the plain one."""

    def __init__(self, ours, theirs):
        self.ours, self.theirs = str(ours), str(theirs)
        self.held = {}      # their inode -> O_PATH descriptor
        self.of_theirs = {} # their inode -> ours
        self.of_ours = {}   # and back
        self.before = None  # what was seen by the last comparison: {their inode: (our stat, their stat)}

    def close(self):
        for fd in self.held.values():
            os.close(fd)
        self.held = {}

    # Acting.

    def both(self, action, *args):
        """ACTION(root, *args) on both sides; returns what came out, which must be the same."""
        ours = outcome(action, self.ours, *args)
        theirs = outcome(action, self.theirs, *args)
        assert ours == theirs, f"the mount answered {short(ours)}, the plain folder {short(theirs)}"
        return theirs

    def paths(self, wanted=None):
        """The paths of the plain folder, sorted, "" among them; those of one kind if WANTED is "dir", "file" or "any" (no root)."""
        found = [] if wanted in ("file", "any") else [""]
        for where, folders, files in os.walk(self.theirs):
            above = os.path.relpath(where, self.theirs)
            for name in sorted(folders) + sorted(files):
                path = name if above == "." else f"{above}/{name}"
                mode = os.lstat(os.path.join(self.theirs, path)).st_mode
                if wanted in (None, "any") or (wanted == "dir" and stat.S_ISDIR(mode)) or (wanted == "file" and stat.S_ISREG(mode)):
                    found.append(path)
        return sorted(found)

    # Comparing.

    def hold(self, path, st):
        """Keeps their inode from being given again.  A permanent pair with ours is made by pair()."""
        if st.st_ino not in self.held:
            self.held[st.st_ino] = os.open(os.path.join(self.theirs, path), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)

    def pair(self, path, ours, theirs):
        """One inode of ours is one of theirs, for ever."""
        self.hold(path, theirs)
        known = self.of_theirs.setdefault(theirs.st_ino, ours.st_ino)
        if known != ours.st_ino:
            return [f"{path}: the inode was {known:x} and is {ours.st_ino:x}, though it is the same file"]
        known = self.of_ours.setdefault(ours.st_ino, theirs.st_ino)
        if known != theirs.st_ino:
            return [f"{path}: the inode {ours.st_ino:x} was that of another file"]
        return []

    def time_changes(self, path, ours, theirs):
        """Whether times changed since the last comparison must agree."""
        before = (self.before or {}).get(theirs.st_ino)
        if not before:
            return []
        wrong = []
        did, should = ours.st_mtime_ns != before[0].st_mtime_ns, theirs.st_mtime_ns != before[1].st_mtime_ns
        if did != should:
            wrong.append(f"{path}: mtime {'changed' if did else 'stayed'}: {before[0].st_mtime_ns}, {ours.st_mtime_ns}; "
                         f"there {before[1].st_mtime_ns}, {theirs.st_mtime_ns}")
        if theirs.st_ctime_ns != before[1].st_ctime_ns and ours.st_ctime_ns == before[0].st_ctime_ns:
            wrong.append(f"{path}: ctime stayed")
        return wrong

    def differences(self):
        """Sentences, at most 20, about what is not the same."""
        next_tick()
        ours, wrong = scan(self.ours, (MARKER,))
        theirs, _ = scan(self.theirs)
        now = {}
        for path in sorted(ours.keys() | theirs.keys()):
            if path not in ours or path not in theirs:
                wrong.append(f"{path}: {'missing' if path in theirs else 'should not be there'}")
                continue
            mine, other = ours[path].visible(), theirs[path].visible()
            wrong += [f"{path}: {what} {short(mine[what])}, not {short(other[what])}" for what in mine if mine[what] != other[what]]
            a, b = ours[path].stat, theirs[path].stat
            wrong += self.pair(path, a, b) + self.time_changes(path, a, b)
            now[b.st_ino] = (a, b)
        self.before = now
        return wrong[:20]

    def forget_times(self):
        """What comes now changes times in its own way."""
        self.before = None

    def check(self, what=""):
        wrong = self.differences()
        assert not wrong, "\n".join([what, *wrong])


class Handle:
    """A file or folder that is open on both sides."""

    def __init__(self, twin, path, flags, mode=0o644):
        self.twin, self.path, self.flags = twin, path, flags
        self.fds = None
        fds = []
        ours, theirs = (outcome(self.open_in, root, fds, mode) for root in (twin.ours, twin.theirs))
        if ours != theirs:
            for fd in fds:
                os.close(fd)
        assert ours == theirs, f"open({path}, {flags:#o}): the mount answered {ours}, the plain folder {theirs}"
        if theirs == "open":
            self.fds = fds

    def open_in(self, root, fds, mode):
        fds.append(os.open(os.path.join(root, self.path) if self.path else root, self.flags | os.O_CLOEXEC, mode))
        return "open"

    @property
    def is_open(self):
        return self.fds is not None

    def both(self, action, *args):
        """ACTION(fd, *args) on both sides."""
        ours, theirs = (outcome(action, fd, *args) for fd in self.fds)
        assert ours == theirs, f"{self.path}, open: the mount answered {short(ours)}, the plain folder {short(theirs)}"
        return theirs

    def check(self, links=True):
        a, b = (os.fstat(fd) for fd in self.fds)
        mine, other = Seen(a, None).visible(), Seen(b, None).visible()
        if not links:
            mine["links"] = other["links"] = 0
        assert mine == other, f"{self.path}, open: {mine}, not {other}"
        known = self.twin.of_theirs.get(b.st_ino)
        assert known in (None, a.st_ino), f"{self.path}, open: inode {a.st_ino:x}, by its name {known:x}"

    def close(self):
        for fd in self.fds or ():
            try:
                os.close(fd)
            except OSError:
                pass  # the mount was killed
        self.fds = None
