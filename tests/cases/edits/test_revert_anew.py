"""revert of what cannot become one with what came again at its name: the package is installed anew.  FUSEPKG_TEST_SEED is one
more seed of the random test."""
import contextlib
import os
import random
import shutil

import pytest

SEEDS = [*range(12), *map(int, filter(None, [os.environ.get("FUSEPKG_TEST_SEED")]))]
A = {"ns/a/x.py": "x = 1\n", "ns/a.txt": "a\n", "a.py": "a = 1\n"}
B = {"ns/b/y.py": "y = 1\n", "ns/b.txt": "b\n"}
C = {"ns/c/z.py": "z = 1\n"}


@pytest.fixture
def venv(root, new_venv):
    return new_venv(root)


def tree(venv):
    """{path: bytes} of what packages of these tests have, without what tells of them."""
    found = {}
    for where, folders, names in os.walk(venv.site):
        folders[:] = [f for f in folders if not f.endswith(".dist-info") and not f.startswith(".fusepkg")]
        for name in names:
            path = os.path.join(where, name)
            if name in (".fusepkg", "fusepkg.pth") or name.endswith(".egg-info") or os.path.islink(path):
                continue
            with open(path) as f:
                found[os.path.relpath(path, venv.site)] = f.read()
    return found


def kept(venv):
    return {"/".join(p.relative_to(venv.state / "kept").parts[1:]): p.read_text()
            for p in (venv.state / "kept").rglob("*") if p.is_file()}


def assert_as_installed(venv, *packages):
    expected = {}
    for files in packages:
        expected |= files
    for _ in range(2):
        assert tree(venv) == expected
        assert venv.fusepkg("diff", "--json").json()["files"] == []
        assert "all as installed" in venv.fusepkg("verify", "--deep").err
        remount(venv)


@pytest.mark.parametrize("mounted", [True, False], ids=["", "unmounted"])
@pytest.mark.parametrize("asked", ["--all", "a"])
@pytest.mark.parametrize("how", ["removed", "moved"])
def test_a_folder_that_came_again(venv, make_wheel, mounted, asked, how):
    venv.fusepkg("add", "-q", make_wheel("a", files=A))
    (venv.site / "ns/a/x.py").write_text("mine\n")
    (venv.site / "a.py").write_text("mine\n")
    if how == "removed":
        shutil.rmtree(venv.site / "ns")
    else:
        os.rename(venv.site / "ns", venv.site / "moved")
        (venv.site / "moved/new").write_text("mine\n")
    venv.fusepkg("add", "-q", make_wheel("b", files=B))
    if not mounted:
        venv.fusepkg("umount", "-q")
    done = venv.fusepkg("revert", asked, "--json").json()
    assert venv.is_mounted == mounted
    if not mounted:
        venv.fusepkg("mount", "-q")
    assert {"a.py"} | ({"ns/a/x.py", "ns/a.txt"} if how == "removed" else {"moved"}) <= set(done["reverted"])
    said = {"/".join(p.split("/")[3:]) for p in done["kept"]}
    assert said == set(kept(venv)) and kept(venv)["a.py"] == "mine\n"
    if how == "moved":
        assert kept(venv)["moved/a/x.py"] == "mine\n"
        if asked == "a":
            assert (venv.site / "moved/new").read_text() == "mine\n"
            venv.fusepkg("revert", "-q", "--all")
        assert kept(venv)["moved/new"] == "mine\n"
    assert_as_installed(venv, A, B)
    assert [p["version"] for p in venv.fusepkg("list", "--format", "json").json()] == ["1.0", "1.0"]


def test_by_path_only_where_that_is_all_of_it(venv, make_wheel):
    venv.fusepkg("add", "-q", make_wheel("a", files=A))
    os.rename(venv.site / "ns", venv.site / "moved")
    venv.fusepkg("add", "-q", make_wheel("b", files=B))
    (venv.site / "a.py").write_text("mine\n")
    before = tree(venv)
    said = venv.fusepkg("revert", "moved", status=1).err
    assert "'ns' cannot be reverted alone: it was moved" in said and said.count("\n") == 1
    assert tree(venv) == before and not kept(venv)
    venv.fusepkg("revert", "-q", "a.py")
    assert venv.fusepkg("revert", "moved").out == "moved\n"
    assert_as_installed(venv, A, B)


def test_of_two_that_share_a_folder_one_comes_back(venv, make_wheel):
    venv.fusepkg("add", "-q", make_wheel("a", files=A), make_wheel("b", files=B))
    shutil.rmtree(venv.site / "ns")
    venv.fusepkg("add", "-q", make_wheel("c", files=C))
    venv.fusepkg("revert", "-q", "b")
    assert tree(venv) == {**B, **C, "a.py": "a = 1\n"}
    assert sorted(f["path"] for f in venv.fusepkg("diff", "--json").json()["files"]) == ["ns/a.txt", "ns/a/x.py"]
    venv.fusepkg("revert", "-q", "--all")
    assert_as_installed(venv, A, B, C)


def test_what_pip_removed_stays_so(venv, root, make_wheel):
    venv.fusepkg("add", "-q", make_wheel("a", files=A), make_wheel("b", files=B))
    root.pip("--python", venv.python, "uninstall", "--quiet", "-y", "a")
    shutil.rmtree(venv.site / "ns")
    venv.fusepkg("add", "-q", make_wheel("c", files=C))
    venv.fusepkg("revert", "-q", "--all")
    assert tree(venv) == {**B, **C}
    assert venv.fusepkg("diff").out == "" and "a " not in venv.fusepkg("list").out


def test_what_was_bare_does_not_come_back(venv, make_wheel):
    (venv.site / "ns").mkdir()
    (venv.site / "ns/bare.py").write_text("bare\n")
    venv.fusepkg("add", "-q", make_wheel("a", files=A))
    shutil.rmtree(venv.site / "ns")
    venv.fusepkg("add", "-q", make_wheel("b", files=B))
    said = venv.fusepkg("revert", "--all", status=1).err
    assert "'ns/bare.py' cannot be reverted alone: it was removed" in said and "of the bare site-packages" in said
    venv.fusepkg("revert", "-q", "a")
    assert tree(venv) == {**A, **B}


def test_what_was_bare_and_moved_is_not_passed_over(venv, make_wheel):
    """The package in it comes back, and that the folder cannot is said."""
    (venv.site / "ns").mkdir()
    (venv.site / "ns/bare.py").write_text("bare\n")
    venv.fusepkg("add", "-q", make_wheel("a", files=A))
    os.rename(venv.site / "ns", venv.site / "moved")
    venv.fusepkg("add", "-q", make_wheel("b", files=B))
    said = venv.fusepkg("revert", "--all", status=1).err
    assert "'ns' cannot be reverted alone: it was moved" in said and "of the bare site-packages" in said
    assert tree(venv) == {**A, **B, "moved/bare.py": "bare\n"}


def test_a_moved_folder_whose_package_has_left(venv, make_wheel):
    """What the user has put into it is all that is left of it."""
    venv.fusepkg("add", "-q", make_wheel("a", files=A), make_wheel("b", files=B))
    os.rename(venv.site / "ns", venv.site / "moved")
    (venv.site / "moved/mine").write_text("mine\n")
    (venv.site / "moved/b/mine").write_text("too\n")
    venv.fusepkg("remove", "-q", "a", "b")
    assert tree(venv) == {"moved/mine": "mine\n", "moved/b/mine": "too\n"}
    venv.fusepkg("revert", "-q", "--all")
    assert kept(venv)["moved/mine"] == "mine\n" and kept(venv)["moved/b/mine"] == "too\n"
    assert_as_installed(venv)


def test_taken_in_the_middle(venv, make_wheel):
    """Removed, come again, changed and moved, and come again: what is said of the folder in the middle."""
    venv.fusepkg("add", "-q", make_wheel("a", files=A))
    shutil.rmtree(venv.site / "ns")
    venv.fusepkg("add", "-q", make_wheel("b", files=B))
    shutil.rmtree(venv.site / "ns/b")
    os.rename(venv.site / "ns", venv.site / "moved")
    venv.fusepkg("add", "-q", make_wheel("c", files=C))
    changed = [f["path"] for f in venv.fusepkg("diff", "--json").json()["files"]]
    assert sorted(changed) == ["moved", "ns/a.txt", "ns/a/x.py", "ns/b/y.py"]
    assert "ns/c" not in venv.fusepkg("diff", "moved").out
    assert "rename to moved/b.txt" in venv.fusepkg("diff", "moved").out
    venv.fusepkg("revert", "-q", "ns/b")
    assert tree(venv) == {**C, "a.py": "a = 1\n", **{p.replace("ns/", "moved/"): text for p, text in B.items()}}
    venv.fusepkg("revert", "-q", "--all")
    assert_as_installed(venv, A, B, C)


@pytest.mark.parametrize("what", ["ns/a", "ns/a/x.py", "ns/a.txt"])
def test_what_was_moved_out_of_it(venv, make_wheel, what):
    """What it came from is gone, and the folder that is there now is another."""
    venv.fusepkg("add", "-q", make_wheel("a", files=A))
    os.rename(venv.site / what, venv.site / "moved")
    shutil.rmtree(venv.site / "ns")
    venv.fusepkg("add", "-q", make_wheel("b", files=B))
    venv.fusepkg("revert", "-q", "--all")
    assert not (venv.site / "moved").exists()
    assert_as_installed(venv, A, B)


def numbers(venv):
    """{path: number of the node} of all that can be seen."""
    return {os.path.join(where, n): os.lstat(os.path.join(where, n)).st_ino
            for where, names, files in os.walk(venv.site) for n in names + files}


def remount(venv):
    before = numbers(venv)
    venv.fusepkg("umount", "-q")
    venv.fusepkg("mount", "-q")
    assert numbers(venv) == before


def folders(venv):
    return [p for where, names, _ in os.walk(venv.site) for n in names if not n.endswith(".dist-info") and not n.startswith(".fusepkg")
            and ".dist-info" not in where for p in [os.path.join(where, n)]]


def files_of(name, version):
    text = f"{name} {version}\n"
    return {f"ns/{name}.py": text, f"ns/sub/{name}.py": text, f"ns/sub/{name}/deep/{name}.py": text, f"{name}/own.py": text}


class Edits:
    """Changes at random places of what can be seen."""

    def __init__(self, venv, rng):
        self.venv, self.rng, self.count = venv, rng, 0

    def __call__(self, what):
        self.count += 1
        places, present = folders(self.venv), sorted(tree(self.venv))
        if what == "mkdir":
            with contextlib.suppress(NotADirectoryError, FileExistsError):
                os.makedirs(self.venv.site / f"ns/sub/new{self.count}")
        elif places and what in ("rmtree", "rename", "make", "flatten"):
            getattr(self, what)(self.rng.choice(places), places)
        elif present and what in ("edit", "unlink", "link", "symlink", "unfold"):
            getattr(self, what)(self.venv.site / self.rng.choice(present))

    def rmtree(self, place, _):
        shutil.rmtree(place)

    def rename(self, place, places):
        into = self.rng.choice([self.venv.site] + [p for p in places if not (p + "/").startswith(place + "/")])
        os.rename(place, os.path.join(into, f"moved{self.count}"))

    def make(self, place, _):
        with open(os.path.join(place, f"made{self.count}"), "w") as f:
            f.write("made\n")

    def flatten(self, place, _):
        shutil.rmtree(place)
        with open(place, "w") as f:
            f.write("file\n")

    def edit(self, path):
        path.write_text(f"edited {self.count}\n")

    def unlink(self, path):
        path.unlink()

    def link(self, path):
        os.link(path, self.venv.site / f"linked{self.count}")

    def symlink(self, path):
        path.unlink()
        path.symlink_to(f"../linked{self.count}")

    def unfold(self, path):
        path.unlink()
        path.mkdir()
        (path / "inside").write_text("inside\n")


EDITS = ["rmtree", "rename"] * 3 + ["make", "mkdir", "flatten", "edit", "unlink", "link", "symlink", "unfold"]


@pytest.mark.parametrize("base", [False, True], ids=["", "base"])
@pytest.mark.parametrize("seed", SEEDS)
def test_any_edits_between_any_switches(venv, make_wheel, seed, base):
    rng = random.Random(seed)
    edits = Edits(venv, rng)
    wheels = {(n, v): make_wheel(n, v, files_of(n, v)) for n in "abcd" for v in ("1.0", "2.0")}
    bare = files_of("bare", "1.0") if base else {}
    for path, text in bare.items():
        (venv.site / path).parent.mkdir(parents=True, exist_ok=True)
        (venv.site / path).write_text(text)
    installed = {}
    for _ in range(rng.randrange(6, 30)):
        what = rng.choice([*EDITS, "remount", *["add"] * 3, "remove"])
        if what == "add" or not installed:
            name, version = rng.choice(sorted(wheels))
            venv.fusepkg("add", "-q", "--reinstall", wheels[name, version])
            installed[name] = version
        elif what == "remove" and len(installed) > 1:
            name = rng.choice(sorted(installed))
            venv.fusepkg("remove", "-q", name)
            del installed[name]
        elif what == "remount":
            remount(venv)
        else:
            edits(what)
    said = venv.fusepkg("revert", "-q", "--all", status=None)
    if base and said.status:
        assert "it is of the bare site-packages" in said.err
        assert not [d for d in venv.fusepkg("verify", "--json", status=None).json()["differences"] if d["kind"] == "bad"]
        remount(venv)
        return
    assert said.status == 0, said
    assert_as_installed(venv, bare, *(files_of(n, v) for n, v in installed.items()))
    assert not [p for p in folders(venv) if "moved" in p or "/new" in p]
