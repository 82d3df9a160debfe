"""diff: what a program changed in a mounted venv, against what was installed.  The oracle: patch(1) and git turn one into the other."""
import resource
from pathlib import Path

import pytest

from support.mount_kill import pids
from support.seen import shell

BEFORE = {"demo/__init__.py": "one = 1\n", "demo/a.py": "a = 1\nb = 2\nc = 3\n", "demo/data.bin": bytes(range(256)),
          "demo/sub/gone.py": "gone = 1\n", "demo/sub/also.py": "also = 1\n", "demo/run.sh": "echo\n"}


@pytest.fixture
def changed(account, new_venv, make_wheel):
    """A venv with a copy of what it was, after all kinds of changes."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files=BEFORE), make_wheel("other"))
    before = account.make_folder(account.work / "before")
    account.run(["cp", "-r", venv.site / "demo", before / "demo"])
    shell(venv, "sed -i s/2/22/ a.py; printf x > new.txt; chmod 755 run.sh; rm -r sub; printf '\\1\\0' >> data.bin;"
                 "mkdir __pycache__; echo c > __pycache__/a.cpython-311.pyc", "demo")
    return venv


def test_a_patch_makes_it_the_same(changed, account):
    before = account.work / "before"
    venv = changed
    account.run(["cp", venv.site / "demo/data.bin", before / "demo/data.bin"])  # what a diff of text cannot say
    patch = venv.fusepkg("diff").out
    assert "Binary files a/demo/data.bin and b/demo/data.bin differ" in patch
    account.run(["git", "apply", "-p1", "-"], cwd=before, input=patch.replace(binary_part(patch), ""))
    assert account.run(["diff", "-r", "-x", "__pycache__", before / "demo", venv.site / "demo"]).out == ""
    assert (before / "demo/run.sh").stat().st_mode & 0o777 == 0o755


ODD = {"demo/__init__.py": "", "demo/a.py": "a = 1\nb = 2\n", "demo/b.py": "b = 1\n", "demo/over.py": "o = 1\n", "demo/kind": "file\n",
       "demo/folder/x": "x\n", "demo/link": "l\n", "demo/twin": "t\n", "demo/end": "no end", "demo-1/x": "",
       **{f"moved/{name}": f"{name}\n" * 3 for name in ("same", "changed", "mode", "gone", "out", "deep/same", "sub/same")}}
ODD_CHANGES = """
mv demo/a.py "demo/odd name é.py"; echo 'c = 3' >> "demo/odd name é.py"
mv demo/b.py demo/over.py
printf '1' > "demo/$(printf 'tab\\there').py"; echo 2 > "demo/$(printf 'nl\\nname')"; echo 3 > 'demo/q"\\'
rm demo/kind; mkdir demo/kind; echo x > demo/kind/x
rm -r demo/folder; echo y > demo/folder
rm demo/link; ln -s 'a target' demo/link; ln -s other demo/new_link
ln demo/twin demo/other_twin; echo more >> demo/twin
printf '\\n' >> demo/end; : > demo/empty; mkfifo demo/fifo; mkdir -p demo/new/folder; chmod 700 demo-1
mv moved renamed; echo x >> renamed/changed; chmod 755 renamed/mode; rm renamed/gone; mv renamed/out out; mv renamed/sub demo/sub
mv demo/__init__.py t; mv demo-1/x demo/__init__.py; mv t demo-1/x
"""


def odd_tree(account, folder):
    """What git keeps: bytes, targets, and whether it can be run."""
    code = ("import os, sys\nfor d, _, names in os.walk(sys.argv[1]):\n  for n in names:\n    p = os.path.join(d, n); s = os.lstat(p).st_mode\n"
            "    if n[0] == '.' or '.dist-info' in p or '.fusepkg' in p or s & 0o170000 == 0o10000: continue\n"
            "    print([p[len(sys.argv[1]):], s & 0o170100, os.readlink(p) if os.path.islink(p) else open(p, 'rb').read()])")
    return sorted(account.run([account.tools / "bin/python", "-c", code, folder]).out.splitlines())


def test_git_applies_a_patch_of_anything_forwards_and_back(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files=ODD))
    work = account.make_folder(account.work / "before")
    account.run(["cp", "-r", "--", *(venv.site / name for name in ("demo", "demo-1", "moved")), work])
    before = odd_tree(account, work)
    shell(venv, ODD_CHANGES.replace("\\\\", "\\"))
    patch = venv.fusepkg("diff").out
    account.run(["git", "apply", "-"], cwd=work, input=patch)
    assert odd_tree(account, work) == odd_tree(account, venv.site)
    account.run(["git", "apply", "-R", "-"], cwd=work, input=patch)
    assert odd_tree(account, work) == before
    for line in ("New FIFO: demo/fifo", "New folder: demo/new/folder", "Moved folder:", "Changed folder: demo-1, mode 040700, was 040755"):
        assert line in patch.splitlines()
    names = venv.fusepkg("diff", "--name-only").out.splitlines()
    assert '"demo/nl\\nname"' in names and '"demo/tab\\there.py"' in names
    assert len(names) == len(set(names))
    venv.fusepkg("umount")
    assert venv.fusepkg("diff").out == patch


def test_a_new_folder_is_named_only_when_it_is_empty(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files=BEFORE))
    shell(venv, "mkdir new new-1; echo x > new/x; echo x > new-1/x")
    assert venv.fusepkg("diff", "--name-only").out.splitlines() == ["new/x", "new-1/x"]


def binary_part(patch):
    start = patch.index("diff --git a/demo/data.bin")
    return patch[start:patch.index("diff --git", start + 1)]


def test_the_forms(changed):
    paths = ["demo/a.py", "demo/data.bin", "demo/new.txt", "demo/run.sh", "demo/sub/also.py", "demo/sub/gone.py"]
    assert changed.fusepkg("diff", "--name-only").out.splitlines() == paths
    stat = changed.fusepkg("diff", "--stat").out.splitlines()
    assert " demo/a.py | +1 -1" in stat and " demo/data.bin | binary" in stat and " 6 files, +2 -3" in stat
    found = changed.fusepkg("diff", "--json").json()
    assert [f["path"] for f in found["files"]] == paths
    assert [f["change"] for f in found["files"]] == ["modified", "modified", "added", "mode", "removed", "removed"]
    assert found["distributions"] == [] and found["kept"] == []
    generated = changed.fusepkg("diff", "--generated", "--name-only").out.splitlines()
    assert set(generated) - set(paths) == {"demo/__pycache__/a.cpython-311.pyc"}


def test_what_is_asked_for(changed, account):
    assert changed.fusepkg("diff", "--name-only", "other").out == ""
    assert len(changed.fusepkg("diff", "--name-only", "demo").out.splitlines()) == 6
    assert changed.fusepkg("diff", "--name-only", "demo/sub").out.splitlines() == ["demo/sub/also.py", "demo/sub/gone.py"]
    there = shell(changed, f"{changed.account.installed}/bin/fusepkg diff --venv {changed} --name-only sub", "demo")
    assert there.splitlines() == ["demo/sub/also.py", "demo/sub/gone.py"]
    assert changed.fusepkg("diff", "--name-only", changed.site / "demo/a.py").out == "demo/a.py\n"
    assert "is not in" in changed.fusepkg("diff", "/etc", status=2).err


def test_exit_status(changed, account, new_venv, make_wheel):
    changed.fusepkg("diff", "--exit-code", status=1)
    changed.fusepkg("diff", "--exit-code", "other", status=0)
    fresh = new_venv(account)
    assert "has installed nothing" in fresh.fusepkg("diff", status=2).err
    assert not fresh.state.exists()


def test_without_a_mount_it_says_the_same(changed):
    mounted = changed.fusepkg("diff").out
    changed.fusepkg("umount")
    assert changed.fusepkg("diff").out == mounted
    assert not changed.is_mounted


def test_a_moved_folder_is_named(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files=BEFORE))
    shell(venv, "mv demo renamed; echo 'd = 4' >> renamed/a.py")
    text = venv.fusepkg("diff").out
    assert "rename from demo\nrename to renamed\n" in text
    assert "--- a/demo/a.py\n+++ b/renamed/a.py\n" in text


def test_the_bare_folder_is_compared_as_well(account, new_venv, make_wheel):
    venv = new_venv(account)
    shell(venv, "echo 'old = 1' > bare.py; mkdir gone; echo x > gone/x.py")
    venv.fusepkg("add", make_wheel("demo"))
    shell(venv, "echo 'new = 1' > bare.py; rm -r gone")
    text = venv.fusepkg("diff").out
    assert "-old = 1\n+new = 1\n" in text and "-x\n" in text
    venv.fusepkg("umount")
    assert venv.fusepkg("diff").out == text
    assert (venv.site / "bare.py").read_text() == "old = 1\n"


def test_pips_distributions_are_one_line(account, new_venv, make_wheel, tools):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", "1.0"), make_wheel("six", "1.0"), make_wheel("stays"))
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "-U", make_wheel("demo", "2.0"), make_wheel("more", "3.0"))
    account.pip("--python", venv.python, "uninstall", "--quiet", "-y", "six")
    wanted = ["- demo 1.0", "- six 1.0", "+ demo 2.0 (pip)", "+ more 3.0 (pip)"]
    assert venv.fusepkg("diff").out.splitlines() == wanted
    venv.fusepkg("umount")
    assert venv.fusepkg("diff").out.splitlines() == wanted
    found = venv.fusepkg("diff", "--json").json()
    assert found["files"] == []
    assert {"change": "added", "name": "more", "version": "3.0", "installer": "pip"} in found["distributions"]


def work_of(venv, command):
    """What COMMAND prints, and the seconds of processors that it and the mount took: others' work takes none of those."""
    worker = Path(f"/proc/{pids(venv)[1]}/task")

    def taken():
        own = resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + sum(int(path.read_text().split()[0]) for path in worker.glob("*/schedstat")) / 1e9

    before = taken()
    out = venv.fusepkg(command).out
    return out, taken() - before


def test_a_deep_folder_costs_what_a_wide_one_does(account, new_venv, make_wheel):
    """Its entries are named without going up to the root from each."""
    seconds, levels = [], 1500
    for step in ("", "os.chdir('d')"):
        venv = new_venv(account)
        venv.fusepkg("add", make_wheel("demo", files=BEFORE))
        code = f"import os, sys; os.chdir(sys.argv[1])\nfor i in range({levels}):\n  open(f'f{{i}}', 'w').close(); os.mkdir('d' if {step!r} else f'd{{i}}'); {step}"
        account.run([account.tools / "bin/python", "-c", code, venv.site])
        tries = [work_of(venv, "diff --name-only") for _ in range(3)]
        seconds.append(min(taken for _, taken in tries))
        names = tries[0][0].splitlines()
        assert len([name for name in names if name.rsplit("/", 1)[-1].startswith("f")]) == levels
        assert max(name.count("/") for name in names) == (levels - 1 if step else 0)
    assert seconds[1] < 20 * seconds[0]  # four times, as paths are longer; a hundred times, were it not so


def test_only_images_of_what_was_edited_are_opened(account, new_venv, make_wheel):
    """What it costs to compare is in proportion to the edits: the images of other packages need not even be there."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files=BEFORE))
    images = set((account.store / "images").rglob("*"))
    venv.fusepkg("add", make_wheel("other", files={"other/x.py": "", "demo/a.py": "late\n"}), make_wheel("more"))
    late = {p: p.with_suffix(".away") for p in (account.store / "images").rglob("*") if p.is_file() and p not in images}
    assert len(late) == 2

    def move(back):
        for image, away in late.items():
            (away if back else image).rename(image if back else away)
    move(back=False)
    try:
        for command in ("diff --exit-code", "revert --all"):
            assert venv.fusepkg(command).out == ""
        assert venv.fusepkg("verify", status=1).out == "conflicting demo/a.py: demo, other\n"
        shell(venv, "echo n > new; echo '# here' >> demo/__init__.py; rm demo/data.bin; chmod 755 demo/run.sh")
        changed = ["demo/__init__.py", "demo/data.bin", "demo/run.sh", "new"]
        assert venv.fusepkg("diff", "--name-only").out.splitlines() == changed
        assert "+# here\n" in venv.fusepkg("diff", "demo/__init__.py", "other/x.py").out
        assert len(venv.fusepkg("verify", status=1).out.splitlines()) == 5
        assert venv.fusepkg("revert", "demo/data.bin", "new").out == "demo/data.bin\nnew\n"
        venv.fusepkg("diff", "demo", status=2)  # which folders are its own is known to all of them alone
    finally:
        move(back=True)
    assert venv.fusepkg("revert", "demo").out == "demo/__init__.py\ndemo/run.sh\n"


def test_removed_folders_of_the_bare_folder_are_told_in_full(account, new_venv, make_wheel):
    """With all that was in them, by the bytes that they had, mounted or not, whoever else has files in them."""
    venv = new_venv(account)
    shell(venv, "mkdir -p m/deep/er; for f in m/1 m/deep/2 m/deep/er/3; do echo $f > $f; done")
    venv.fusepkg("add", make_wheel("demo", files={"m/deep/demo.py": "from demo\n"}))
    venv.fusepkg("umount")
    shell(venv, "mkdir a z; for d in a z; do for f in 1 2 3; do echo $d$f > $d/$f; done; done")  # numbered later than what they stand between
    venv.fusepkg("mount")
    shell(venv, "cat z/2 a/1 > /dev/null; rm -r m z")
    gone = {"m/1": "m/1", "m/deep/2": "m/deep/2", "m/deep/demo.py": "from demo", "m/deep/er/3": "m/deep/er/3", "z/1": "z1", "z/2": "z2", "z/3": "z3"}
    for _ in range(2):
        assert venv.fusepkg("diff", "--name-only").out.splitlines() == list(gone)
        lines = venv.fusepkg("diff").out.splitlines()
        assert [line[1:] for line in lines if line[:1] == "-" and line[:3] != "---"] == list(gone.values())
        venv.fusepkg("umount")
