"""A model of a mounted site-packages, in plain Python: what must be there after each command, and what may have changed.

Files say themselves what they are: contents() makes bytes that own_words() can check without the model, so that
readers need not know which generation they look at."""
import os
import random
import stat

SIZES = (0, 1, 100, 4096, 30_000, 70_000, 300_000)
LONG = "n" * 251 + ".txt"
FOLDERS = ("", "ns/", "ns/sub/", "ns/deep/a/b/", "數據/", "ns/clash/", "clash/")
NAMES = ("a.py", "b.py", "c.py", "d.txt", "ключ.txt", LONG)
# Each of them is a file for some packages and a folder for others.
FILES_OR_FOLDERS = ("clash", "ns/clash", "ns/deep/a")
GENERATED = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


def contents(path, seed):
    """Bytes that say what path they belong to; the rest of them follows from the first line."""
    chance = random.Random(seed)
    size = chance.choice(SIZES)
    head = f"{path}|{seed}\n".encode()
    return head + chance.randbytes(size)


def own_words(path, data):
    """Are these whole bytes what contents() made for that path?"""
    head = data.split(b"\n", 1)[0].decode()
    said, _, seed = head.rpartition("|")
    return said == path and data == contents(path, int(seed))


class File:
    """WHO is what the kernel must tell apart: two files at one path are the same only if that is the same."""

    def __init__(self, data, who):
        self.data, self.who = data, who


def plant(tree, path, file):
    *folders, name = path.split("/")
    for folder in folders:
        tree = tree.setdefault(folder, {})
    tree[name] = file


def merge(trees):
    """The trees, the lowest first, as one: of a file and anything else the later wins; if that is a folder, all folders of
    that name add up."""
    claims = {}
    for tree in trees:
        for name, node in tree.items():
            claims.setdefault(name, []).append(node)
    return {name: merge([n for n in nodes if isinstance(n, dict)]) if isinstance(nodes[-1], dict) else nodes[-1]
            for name, nodes in claims.items()}


def flatten(tree, above=""):
    """{path: File or set of (name, identity)}; the root is ""."""
    flat = {above.rstrip("/"): {name: "folder" if isinstance(node, dict) else node.who for name, node in tree.items()}}
    for name, node in tree.items():
        if isinstance(node, dict):
            flat.update(flatten(node, f"{above}{name}/"))
        else:
            flat[above + name] = node
    return flat


def random_files(chance, package, often):
    """{path: bytes} for a wheel; the paths OFTEN mostly among them."""
    files = {path: contents(path, chance.randrange(1 << 30)) for path in often if chance.random() < 0.7}
    for _ in range(chance.randrange(2, 14)):
        path = chance.choice(FOLDERS) + chance.choice(NAMES)
        files[path] = contents(path, chance.choice((1, chance.randrange(1 << 30))))
    for path in FILES_OR_FOLDERS:
        if chance.random() < 0.25:
            files = {p: d for p, d in files.items() if not p.startswith(path + "/")}
            files[path] = contents(path, chance.randrange(1 << 30))
    for n in range(chance.randrange(4)):
        path = f"{package}/own{n}.py"
        files[path] = contents(path, chance.randrange(1 << 30))
    return files


class World:
    """BARE: {path: bytes} of the bare folder; BARE_DISTS: {dist-info folder: its paths}, hidden by hide()."""

    def __init__(self, bare, bare_dists):
        self.bare, self.bare_dists = bare, bare_dists
        self.hidden = set()
        self.installed = {} # name -> (slot number, version, files, metadata)

    def install(self, name, slot, version, files, dist_info):
        self.installed[name] = (slot, version, files, dist_info)

    def tree(self):
        gone = {path for info in self.hidden for path in self.bare_dists[info]}
        base = {}
        for path, data in self.bare.items():
            if path not in gone:
                plant(base, path, File(data, "bare"))
        plant(base, ".fusepkg", File(None, "marker"))
        trees = [base]
        for name, (slot, version, files, dist_info) in sorted(self.installed.items(), key=lambda item: item[1][0]):
            tree = {}
            for path, data in files.items():
                plant(tree, path, File(data, slot))
            for file_name in dist_info:
                plant(tree, f"{name.replace('-', '_')}-{version}.dist-info/{file_name}", File(None, slot))
            trees.append(tree)
        return flatten(merge(trees))


def look(site):
    """{path: (stat, bytes of a file or names of a folder)} of what is mounted."""
    seen = {}

    def walk(path):
        full = os.path.join(site, path) if path else site
        with os.scandir(full) as entries:
            listed = [(e.name, e.is_dir(follow_symlinks=False), e.inode()) for e in entries]
        names = [name for name, _, _ in listed]
        assert len(set(names)) == len(names), f"{path}: names listed twice"
        seen[path] = (os.stat(full), names)
        for name, is_dir, inode in listed:
            below = f"{path}/{name}" if path else name
            st = os.lstat(os.path.join(site, below))
            assert st.st_ino == inode, f"{below}: listed as {inode:x}, is {st.st_ino:x}"
            assert stat.S_ISDIR(st.st_mode) == is_dir, f"{below}: listed as another kind than it is"
            if is_dir:
                walk(below)
                continue
            with open(os.path.join(site, below), "rb", buffering=0) as file:
                data = file.readall()
            assert len(data) == st.st_size, f"{below}: {len(data)} bytes, {st.st_size} announced"
            seen[below] = (st, data)

    walk("")
    return seen


def compare(expected, seen):
    """Sentences on how what is SEEN differs from the model."""
    wrong = [f"{path}: missing" for path in expected.keys() - seen.keys()]
    wrong += [f"{path}: should not be there" for path in seen.keys() - expected.keys()]
    for path in expected.keys() & seen.keys():
        node, (st, what) = expected[path], seen[path]
        is_dir = isinstance(node, dict)
        if stat.S_ISDIR(st.st_mode) != is_dir:
            wrong.append(f"{path}: of the wrong kind")
        elif is_dir:
            links = 2 + sum(1 for who in node.values() if who == "folder")
            if st.st_nlink != links:
                wrong.append(f"{path}: {st.st_nlink} links, not {links}")
        else:
            if node.data is not None and what != node.data:
                wrong.append(f"{path}: other bytes: {what[:80]} instead of {node.data[:80]}")
            if st.st_nlink != 1:
                wrong.append(f"{path}: {st.st_nlink} links")
            if node.who not in ("bare", "marker") and st.st_mode & 0o777 != 0o644:
                wrong.append(f"{path}: mode {st.st_mode:o}")
    inodes = {}
    for path, (st, _) in seen.items():
        if st.st_ino in inodes:
            wrong.append(f"{path}: has the inode of {inodes[st.st_ino]}")
        inodes[st.st_ino] = path
    return wrong


def compare_step(before, seen_before, after, seen_after, may_move):
    """How a switch broke what must hold between two generations: ids of what stays, time stamps of folders, but those
    in MAY_MOVE."""
    wrong = []
    for path in before.keys() & after.keys() & seen_before.keys() & seen_after.keys():
        old, new = before[path], after[path]
        a, b = seen_before[path][0], seen_after[path][0]
        if isinstance(old, dict) != isinstance(new, dict):
            same = False
        else:
            same = isinstance(old, dict) or old.who == new.who
        if same != (a.st_ino == b.st_ino):
            wrong.append(f"{path}: the inode {'changed' if same else 'stayed'}: {a.st_ino:x}, {b.st_ino:x}")
        if isinstance(old, dict) and isinstance(new, dict):
            if old == new and a.st_mtime_ns != b.st_mtime_ns and path not in may_move:
                wrong.append(f"{path}: the time changed, its entries did not")
            if old != new and b.st_mtime_ns <= a.st_mtime_ns:
                wrong.append(f"{path}: the time did not grow, though entries changed: "
                             f"{sorted(set(old.items()) ^ set(new.items()), key=str)}")
    return wrong
