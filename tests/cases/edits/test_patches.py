"""diff after any edits: a patch that `git apply` takes on a copy of what was installed.  The oracle is git."""
import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from support.seen import shell

SAME = {"__init__.py": "", "same.txt": "the same\n", "sub/__init__.py": ""}
PACKAGES = ("one", "two")


def files_of(package):
    own = {**SAME, "a.py": f"# of {package}\n" * 20, "sub/b.py": f"b = '{package}'\n", "sub/deep/c.py": f"{package}, no end",
           f"only_{package}.py": "x = 1\n", f"sub/only_{package}": "only\n"}
    return {f"{package}/{name}": text for name, text in own.items()} | {f"both/sub/{package}.py": f"{package}\n", f"both/{package}/x": "x\n"}


def tree(folder):
    """What git keeps: {path: (bytes or target, can it be run)}."""
    found = {}
    for above, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.endswith(".dist-info") and name not in (".fusepkg", "__pycache__")]
        for name in [n for n in folders if os.path.islink(os.path.join(above, n))] + names:
            path = Path(above, name)
            mode = path.lstat().st_mode
            found[str(path.relative_to(folder))] = (os.readlink(path), "link") if stat.S_ISLNK(mode) else (path.read_bytes(), bool(mode & 0o100))
    del found[".fusepkg"]
    return found


def apply(account, folder, patch, *options):
    account.run(["git", "apply", "--check", *options, "-"], cwd=folder, input=patch)
    account.run(["git", "apply", *options, "-"], cwd=folder, input=patch)


@pytest.fixture
def pair(root, new_venv, make_wheel):
    """A venv with two packages, and a function that checks what diff says of it."""
    venv = new_venv(root)
    for package in PACKAGES:
        venv.fusepkg("add", "-q", make_wheel(package, files=files_of(package)))
    plain, before = root.make_folder(root.work / "plain"), tree(venv.site)
    for folder in (*PACKAGES, "both"):
        shutil.copytree(venv.site / folder, plain / folder)
    plain.joinpath(".fusepkg").touch()
    assert tree(plain) == before

    def check(back=True):
        patch, after, work = venv.fusepkg("diff").out, tree(venv.site), root.work / "work"
        shutil.copytree(plain, work)
        if "diff --git" in patch:
            apply(root, work, patch)
        assert tree(work) == after
        if back and "diff --git" in patch:
            apply(root, work, patch, "-R")
            assert tree(work) == before
        shutil.rmtree(work)
        entries = [(f["path"], f["change"]) for f in venv.fusepkg("diff", "--json").json()["files"]]
        removed = {path for path, change in entries if change == "removed"}
        twice = removed & {path for path, change in entries if change != "removed"}
        assert all(before[path][1] == "link" or after[path][1] == "link" for path in twice & after.keys())
        assert {path for path in removed if path in after} <= twice
        return patch

    venv.check = check
    return venv


def test_a_folder_in_the_place_of_another(pair):
    """Of a path that both had there is one entry, whatever had to give way for it."""
    shell(pair, "echo '# more' >> one/sub/b.py; mv one/a.py kept; rm -r two; mv one two")
    patch = pair.check()
    assert patch.count("diff --git a/two/sub/deep/c.py b/two/sub/deep/c.py\n") == 1
    assert "rename from one/only_one.py\nrename to two/only_one.py\n" in patch
    changes = {f["path"]: f["change"] for f in pair.fusepkg("diff", "--json").json()["files"]}
    assert changes["two"] == "moved" and changes["two/sub/b.py"] == "modified" and changes["one/sub/b.py"] == "removed"
    assert "two/same.txt" not in changes and changes["one/same.txt"] == "removed"
    said = pair.fusepkg("verify", status=1).out.splitlines()
    assert "modified two/sub/deep/c.py" in said and "missing two/sub/deep/c.py" not in said and "missing two/only_two.py" in said
    assert "two/sub/deep/c.py" in pair.fusepkg("diff", "--name-only", "two/sub/deep/c.py").out.splitlines()
    pair.fusepkg("umount")
    assert pair.fusepkg("diff").out == patch


def test_one_place_after_the_other(pair):
    """Each takes the place that the one before has left: folders, files, links."""
    shell(pair, "rm -r two/sub; mv one/sub two/sub; mkdir one/sub; mv two/a.py one/sub/b.py; rm one/a.py; ln two/sub/b.py one/a.py;"
                "rm two/same.txt; mv one/same.txt two/same.txt; rm two/only_two.py; mv one/only_one.py two/only_two.py; echo y >> two/only_two.py;"
                "rm two/__init__.py; ln -s a.py two/__init__.py")
    patch = pair.check()
    assert "diff --git a/two/only_two.py b/two/only_two.py\n--- a/two/only_two.py\n" in patch and "two/same.txt" not in patch
    pair.fusepkg("umount")
    assert pair.fusepkg("diff").out == patch


def test_a_new_file_with_two_names(pair):
    """Each is a new file, whichever of them is the first."""
    shell(pair, "printf 'one\\ntwo\\n' > one/n.py; ln one/n.py one/l.py; ln one/n.py two/z.py; ln -s target one/s; ln one/s two/s")
    for _ in range(2):
        patch = pair.check()
        assert patch.count("new file mode 100644\n") == 3 and patch.count("new file mode 120000\n") == 2
        files = {f["path"]: f for f in pair.fusepkg("diff", "--json").json()["files"]}
        assert {(f["mode"], f["old_mode"], f["size"]) for path, f in files.items() if path[-1] != "s"} == {("100644", None, 8)}
        assert sorted(files[path]["change"] for path in ("one/l.py", "one/n.py", "two/z.py")) == ["added", "linked", "linked"]
        assert " one/l.py | +2 -0" in pair.fusepkg("diff", "--stat").out.splitlines()
        shell(pair, "chmod 644 one/l.py")
    pair.fusepkg("umount")
    assert pair.fusepkg("diff").out == patch


def test_what_left_a_folder_before_that_was_removed(pair):
    """It is where it went, with what was written to it there, and the folder's other files are gone."""
    shell(pair, "mv one/sub/deep/c.py one/sub/b.py two; echo more >> two/c.py; mv one/sub/__init__.py two/sub/b.py; rm -r one/sub")
    patch = pair.check()
    assert "rename from one/sub/deep/c.py\nrename to two/c.py\n" in patch and "+one, no endmore\n" in patch
    assert "deleted file mode 100644\n--- a/one/sub/only_one\n" in patch and "a/one/sub/b.py b/one/sub/b.py" not in patch
    changes = [(f["path"], f["change"]) for f in pair.fusepkg("diff", "--json").json()["files"]]
    assert ("two/c.py", "modified") in changes and ("one/sub/deep/c.py", "removed") not in changes
    assert "modified two/c.py" in pair.fusepkg("verify", status=1).out.splitlines()
    pair.fusepkg("umount")
    assert pair.fusepkg("diff").out == patch
    pair.fusepkg("mount")
    reverted = pair.fusepkg("revert", "--all")
    assert "/two/c.py" in reverted.err and pair.fusepkg("diff").out == ""


def test_files_of_the_bare_folder(root, new_venv, make_wheel):
    """Linked, moved, in the place of another: their bytes are known under a mount as well."""
    venv = new_venv(root)
    shell(venv, "echo bare > bare.py; echo link > link.py; echo over > over.py")
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "", "demo/a.py": "a = 1\n"}))
    work = root.make_folder(root.work / "work")
    shutil.copytree(venv.site / "demo", work / "demo")
    for name in ("bare.py", "link.py", "over.py"):
        shutil.copy(venv.site / name, work)
    shell(venv, "mv bare.py demo/a.py; ln link.py demo/b.py; ln link.py demo/c.py; rm over.py; mv demo/__init__.py over.py")
    patch = venv.fusepkg("diff").out
    apply(root, work, patch)
    assert root.run(["diff", "-r", "-x", "*.dist-info", "-x", ".*", work, venv.site]).out == ""
    assert patch.count("+link\n") == 2 and "+bare\n" in patch and "-over\n" in patch
    assert "modified demo/a.py" in venv.fusepkg("verify", status=1).out.splitlines()
    assert {f["mode"] for f in venv.fusepkg("diff", "--json").json()["files"] if f["change"] == "linked"} == {"100644"}
    venv.fusepkg("umount")
    assert venv.fusepkg("diff").out == patch


class Edits:
    """Random ones, by a seed; SAID: what was done."""
    def __init__(self, site, seed):
        self.site, self.random, self.said, self.count = site, random.Random(seed), [], 0

    def paths(self, kind):
        found = [p for p in self.site.rglob("*") if ".dist-info" not in str(p) and ".fusepkg" not in str(p)]
        return sorted(p for p in found if kind == "any" or (p.is_symlink() if kind == "link" else not p.is_symlink() and getattr(p, kind)()))

    def pick(self, kind):
        found = self.paths(kind)
        return self.random.choice(found) if found else None

    def place(self):
        """Where something may go: a path that is there, was there, or is new."""
        folder = self.random.choice([self.site, *self.paths("is_dir")])
        names = ["a.py", "sub", "__init__.py", "same.txt", "new", "one", "two", "only_one.py", f"n{self.count}"]
        return self.random.choice([folder / self.random.choice(names), self.pick("any") or folder / "new"])

    def clear(self, path):
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.exists():
            shutil.rmtree(path)

    def free(self, path, other=None):
        """Nothing is there any more; False: OTHER would go, too, or lies above it."""
        if other and (path == other or path in other.parents or other in path.parents):
            return False
        self.clear(path)
        return path.parent.is_dir()

    def step(self):
        self.count += 1
        does = self.random.choice(["append", "chmod", "make", "move", "move", "move", "swap", "link", "symlink", "remove", "again"])
        path, place = self.pick(self.random.choice(["is_file", "is_file", "is_dir", "link"] if does in ("move", "swap", "remove") else ["is_file"])), self.place()
        if path is None:
            return
        self.said.append((does, str(path.relative_to(self.site)), str(place.relative_to(self.site))))
        getattr(self, does)(path, place)

    def append(self, path, _):
        with open(path, "ab") as file:
            file.write(b"%d\n" % self.count)

    def chmod(self, path, _):
        path.chmod(self.random.choice([0o755, 0o644, 0o600]))

    def make(self, _, place):
        if self.free(place):
            place.write_bytes(b"new %d\n" % self.count)

    def move(self, path, place):
        if self.free(place, path):
            path.rename(place)

    def swap(self, path, _):
        other, aside = self.pick("any"), self.site / "aside"
        if path != other and path not in other.parents and other not in path.parents:
            path.rename(aside)
            other.rename(path)
            aside.rename(other)

    def link(self, path, place):
        if self.free(place, path):
            place.hardlink_to(path)

    def symlink(self, _, place):
        if self.free(place):
            place.symlink_to(f"target {self.count}")

    def remove(self, path, _):
        self.clear(path)

    def again(self, path, _):
        """As an editor writes: another file with the same name, here with the bytes that it had."""
        aside = self.site / "aside"
        aside.write_bytes(path.read_bytes())
        aside.rename(path)


@pytest.mark.parametrize("seed", range(8))
def test_any_edits(pair, seed):
    edits = Edits(pair.site, seed)
    for round in range(8):
        for _ in range(edits.random.randrange(1, 4)):
            edits.step()
        try:
            patch = pair.check(back=False)  # git takes no file back to where another type is
        except AssertionError as e:
            raise AssertionError(f"seed {seed}: {edits.said}") from e
    pair.fusepkg("umount")
    assert pair.fusepkg("diff").out == patch
