"""Names from which folders of packages were taken again and again, while packages go on providing them: each folder shows what it had, by the
same numbers, whatever is mounted again in between."""
import os
import shutil

import pytest

SLOTS = ("a", "b", "c", "d")


@pytest.fixture
def parts(make_wheel):
    """parts(name, version, sub): a wheel with ns/NAME.py, and ns/sub/NAME.py where SUB."""
    def make(name, version="1.0", sub=True):
        files = {f"{name}.py": f"{name} {version}\n", f"ns/{name}.py": f"{name} {version}\n"}
        if sub:
            files |= {f"ns/sub/{name}.py": f"sub {name} {version}\n", f"ns/sub/only{version[0]}-{name}/x.py": "x\n"}
        return make_wheel(name, version, files)

    return make


def shown(folder):
    """{path: (number, links, bytes)}; links after reading, which makes the kernel ask for what an open file is."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in files:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                data = f.read()
                st = os.fstat(f.fileno())
            assert os.stat(path).st_ino == st.st_ino
            found[os.path.relpath(path, folder)] = (st.st_ino, st.st_nlink, data)
        for name in folders + ["."]:
            path = os.path.join(where, name)
            st = os.stat(path)
            found[os.path.relpath(path, folder) + "/"] = (st.st_ino, st.st_nlink, None)
    return found


def remount(venv):
    venv.fusepkg("umount", "-q")
    venv.fusepkg("mount", "-q")


def assert_stays(venv, *folders):
    """After another mount each of the FOLDERS of site-packages is what it was, and files have one name."""
    before = {folder: shown(venv.site / folder) for folder in folders}
    for folder, what in before.items():
        assert all(links == 1 for _, links, data in what.values() if data is not None), folder
    remount(venv)
    for folder, what in before.items():
        assert shown(venv.site / folder) == what, folder
    assert not [d for d in venv.fusepkg("verify", "--json", status=None).json()["differences"] if d["kind"] in ("bad", "damaged")]


def names(folder):
    return sorted(p for p in shown(folder) if not p.endswith("/"))


@pytest.fixture
def venv(root, new_venv):
    return new_venv(root)


def write_base(venv, sub):
    (venv.site / "ns").mkdir()
    (venv.site / "ns/bare.py").write_text("bare\n")
    if sub:
        (venv.site / "ns/sub").mkdir()
        (venv.site / "ns/sub/bare.py").write_text("bare\n")


def come_again(venv, parts, base=False, sub=True, gone="ns"):
    """GONE of `stays` was removed, and `goes` has brought it again; the names that were in it."""
    if base:
        write_base(venv, sub)
    venv.fusepkg("add", "-q", parts("stays", sub=sub))
    removed = names(venv.site / gone)
    shutil.rmtree(venv.site / gone)
    venv.fusepkg("add", "-q", parts("goes", sub=sub))
    return removed


flags = pytest.mark.parametrize("refilled", [False, True], ids=["", "refilled"])
subs = pytest.mark.parametrize("sub", [False, True], ids=["", "sub"])
bases = pytest.mark.parametrize("base", [False, True], ids=["", "base"])
upgrades = pytest.mark.parametrize("upgraded", [False, True], ids=["", "upgraded"])


@bases
@subs
@upgrades
@flags
def test_a_folder_that_came_again_and_was_moved(venv, parts, base, sub, upgraded, refilled):
    come_again(venv, parts, base, sub)
    site = venv.site
    if upgraded:
        venv.fusepkg("add", "-q", parts("goes", "2.0", sub=sub))
    assert [n for n in names(site / "ns") if "/" not in n] == ["goes.py"]
    os.rename(site / "ns", site / "moved")
    if refilled:
        (site / "ns").write_text("refilled\n")
    assert_stays(venv, "moved")
    assert [n for n in names(site / "moved") if "/" not in n] == ["goes.py"]
    assert (site / "ns").read_text() == "refilled\n" if refilled else not (site / "ns").exists()


@bases
@pytest.mark.parametrize("what", ["remove remove move", "move move move", "remove move remove move", "move remove move"])
def test_again_and_again(venv, parts, base, what):
    if base:
        write_base(venv, True)
    site = venv.site
    moved = {}
    for i, how in enumerate(what.split()):
        name = SLOTS[i]
        venv.fusepkg("add", "-q", parts(name))
        if i == 0 and base:
            (site / "ns/bare.py").unlink()
            (site / "ns/sub/bare.py").unlink()
        assert names(site / "ns") == sorted([f"{name}.py", f"sub/{name}.py", f"sub/only1-{name}/x.py"])
        if how == "remove":
            shutil.rmtree(site / "ns")
        else:
            os.rename(site / "ns", site / f"moved{i}")
            moved[f"moved{i}"] = names(site / f"moved{i}")
    assert_stays(venv, *moved)
    # One more, so that the name is shown; then each version of all is replaced, and at last all go.
    venv.fusepkg("add", "-q", parts("last"))
    assert names(site / "ns") == ["last.py", "sub/last.py", "sub/only1-last/x.py"]
    assert_stays(venv, "ns", *moved)
    assert {folder: names(site / folder) for folder in moved} == moved
    for i in range(len(what.split())):
        venv.fusepkg("add", "-q", parts(SLOTS[i], "2.0"))
        if moved.pop(f"moved{i}", None) and base and i == 0:
            moved["moved0"] = names(site / "moved0")  # the base's, as long as there is anything of it
        else:
            assert not (site / f"moved{i}").exists()
        assert_stays(venv, "ns", *moved)
        assert {folder: names(site / folder) for folder in moved} == moved
    venv.fusepkg("remove", "-q", *SLOTS[:len(what.split())])
    assert names(site / "ns") == ["last.py", "sub/last.py", "sub/only1-last/x.py"]
    venv.fusepkg("remove", "-q", "last")
    assert not [n for n in os.listdir(site) if n.startswith(("ns", "moved"))] or base


@bases
@pytest.mark.parametrize("later", ["remove goes", "remove stays", "upgrade goes", "upgrade stays", "remove both", "add another"])
@pytest.mark.parametrize("between", [False, True], ids=["", "remounted"])
def test_switches_after_the_move(venv, parts, base, later, between):
    come_again(venv, parts, base)
    site = venv.site
    venv.fusepkg("add", "-q", parts("other"))
    os.rename(site / "ns", site / "moved")
    (site / "moved/mine").write_text("mine\n")
    if between:
        remount(venv)
    number = (site / "moved").stat().st_ino
    sub = (site / "moved/sub").stat().st_ino
    verb, what = later.split()
    if verb == "add":
        venv.fusepkg("add", "-q", parts(what))
    elif verb == "upgrade":
        venv.fusepkg("add", "-q", parts(what, "2.0"))
    else:
        venv.fusepkg("remove", "-q", *(("goes", "stays") if what == "both" else (what,)))
    left = ["other"] if what in ("goes", "both") else ["goes", "other"]
    expected = sorted(["mine"] + [f for n in left for f in (f"{n}.py", f"sub/{n}.py", f"sub/only1-{n}/x.py")])
    assert names(site / "moved") == expected
    assert (site / "moved").stat().st_ino == number and (site / "moved/sub").stat().st_ino == sub
    if verb in ("upgrade", "add"):
        assert names(site / "ns") == sorted([f"{what}.py", f"sub/{what}.py", f"sub/only{2 if verb == 'upgrade' else 1}-{what}/x.py"])
    else:
        assert not (site / "ns").exists()
    assert_stays(venv, "moved", *(("ns",) if (site / "ns").exists() else ()))
    assert names(site / "moved") == expected
    assert (site / "moved").stat().st_ino == number and (site / "moved/sub").stat().st_ino == sub


@bases
@pytest.mark.parametrize("between", [False, True], ids=["", "remounted"])
def test_moved_and_moved_back(venv, parts, base, between):
    """What had been removed before does not come again with it."""
    come_again(venv, parts, base)
    site = venv.site
    before = shown(site / "ns")
    os.rename(site / "ns", site / "moved")
    if between:
        remount(venv)
    os.rename(site / "moved", site / "ns")
    assert shown(site / "ns") == before
    assert_stays(venv, "ns")
    venv.fusepkg("add", "-q", parts("other"))
    assert [n for n in names(site / "ns") if "/" not in n] == ["goes.py", "other.py"]
    assert_stays(venv, "ns")
    venv.fusepkg("remove", "-q", "goes", "other")
    assert not (site / "ns").exists()
    remount(venv)
    assert not (site / "ns").exists()


@bases
@pytest.mark.parametrize("between", [False, True], ids=["", "remounted"])
def test_reverted(venv, parts, base, between):
    """A folder that came again and was moved goes back; what had been removed before does not come again with it."""
    removed = come_again(venv, parts, base)
    site = venv.site
    before = names(site / "ns")
    os.rename(site / "ns", site / "moved")
    if between:
        remount(venv)
    changed = sorted(line.split()[0] for line in venv.fusepkg("diff", "--stat").out.splitlines()[:-1])
    assert changed == sorted(["moved", *(f"ns/{n}" for n in removed)])
    venv.fusepkg("revert", "-q", "moved")
    assert names(site / "ns") == before and not (site / "moved").exists()
    assert_stays(venv, "ns")
    assert names(site / "ns") == before


@bases
def test_within_what_was_removed(venv, parts, base):
    """A subfolder that came again, was moved out, and then the folder was removed in which that happened."""
    come_again(venv, parts, base, gone="ns/sub")
    site = venv.site
    os.rename(site / "ns/sub", site / "moved")
    shutil.rmtree(site / "ns")
    assert_stays(venv, "moved")
    assert names(site / "moved") == ["goes.py", "only1-goes/x.py"]
    venv.fusepkg("add", "-q", parts("other"))
    assert names(site / "ns") == ["other.py", "sub/only1-other/x.py", "sub/other.py"]
    assert_stays(venv, "moved", "ns")
    assert names(site / "moved") == ["goes.py", "only1-goes/x.py"]
    venv.fusepkg("add", "-q", parts("stays", "2.0"))
    assert names(site / "moved") == ["goes.py", "only1-goes/x.py"]
    assert_stays(venv, "moved", "ns")


@pytest.mark.parametrize("moved", [False, True], ids=["", "moved"])
def test_a_removed_folder_comes_back(venv, parts, moved):
    """With the subfolder that had come again, and what had been removed from that before."""
    removed = come_again(venv, parts, gone="ns/sub")
    site = venv.site
    before = names(site / "ns")
    if moved:
        os.rename(site / "ns/sub", site / "moved")
    shutil.rmtree(site / "ns")
    venv.fusepkg("revert", "-q", "ns")
    assert names(site / "ns") == sorted([*before, *(f"sub/{n}" for n in removed)]) and not (site / "moved").exists()
    assert venv.fusepkg("diff", "--stat").out == ""
    assert_stays(venv, "ns")


def test_pinned_below_what_came_again(venv, parts):
    """The lowest package of a folder that came again was installed anew: the folders in it are who they were, after another mount as well."""
    come_again(venv, parts)
    site = venv.site
    venv.fusepkg("add", "-q", parts("other"))
    before = {p: site.joinpath(p).stat().st_ino for p in ("ns", "ns/sub", "ns/sub/only1-goes")}
    venv.fusepkg("add", "-q", "--reinstall", parts("goes"))
    assert {p: site.joinpath(p).stat().st_ino for p in before} == before
    os.rename(site / "ns/sub/only1-goes", site / "ns/sub/moved")
    assert_stays(venv, "ns")
    venv.fusepkg("add", "-q", "--reinstall", parts("stays"))
    assert names(site / "ns/sub") == ["goes.py", "moved/x.py", "only1-other/x.py", "only1-stays/x.py", "other.py", "stays.py"]
    assert_stays(venv, "ns")


@pytest.mark.parametrize("deep", [False, True], ids=["", "subfolder"])
def test_a_moved_folder_of_the_base_keeps_what_packages_have_in_it(venv, parts, deep):
    """One of them is installed anew; the others' files stay, and new ones can be made, after another mount as well."""
    write_base(venv, True)
    venv.fusepkg("add", "-q", parts("a"))
    venv.fusepkg("add", "-q", parts("b"))
    site = venv.site
    os.rename(site / ("ns/sub" if deep else "ns"), site / "moved")
    before = [n for n in names(site / "moved") if "a.py" not in n and "only1-a" not in n]
    venv.fusepkg("add", "-q", "--reinstall", parts("a"))
    assert names(site / "moved") == before
    assert_stays(venv, "moved", "ns")
    assert names(site / "moved") == before
    for where in [site / "moved", *(p for p in (site / "moved").rglob("*") if p.is_dir())]:
        (where / "mine").write_text("mine\n")
    assert_stays(venv, "moved", "ns")
