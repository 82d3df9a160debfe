"""fusepkg eject: the venv is an ordinary one again."""
import json
import os
import platform
import stat
import subprocess
from pathlib import Path

import pytest

from support.venvs import OWN_FILES

# What stands below a folder, as its owner sees it: type, permissions, time, bytes or target, and which names are one file.
LOOK = r"""
import hashlib, json, os, stat, sys
found, inodes = {}, {}
def walk(where, at):
    for name in sorted(os.listdir(where)):
        path = os.path.join(where, name)
        st = os.lstat(path)
        row = [stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_mtime_ns]
        if at == '' and name in ('.fusepkg', *sys.argv[2:]):
            continue
        if stat.S_ISREG(st.st_mode):
            row += [hashlib.sha256(open(path, 'rb').read()).hexdigest(), inodes.setdefault(st.st_ino, at + name)]
        elif stat.S_ISLNK(st.st_mode):
            row += [os.readlink(path)]
        found[at + name] = row
        if stat.S_ISDIR(st.st_mode):
            walk(path, at + name + '/')
walk(sys.argv[1], '')
print(json.dumps(found))
"""


def look(venv, path=None):
    return json.loads(venv.account.run(["/usr/bin/python3", "-c", LOOK, path or venv.site, *OWN_FILES]).out)


def wheels(make_wheel):
    big = bytes(range(256)) * 1024
    return [
        make_wheel("demo", entry_points={"console_scripts": {"demo-tool": "demo:main"}}, files={
            "demo/__init__.py": "def main():\n    print('tool')\n", "demo/big.bin": big, "demo/gone.py": "", "demo/moved.py": "m = 1\n",
            "demo/changed.py": "c = 1\n", "{data}/data/share/demo/page": "page", "{data}/data/etc/demo.conf": "conf",
            "{data}/headers/demo.h": "h"}),
        make_wheel("other", files={"other.py": "", "shared/one.py": "", "{data}/data/share/other": "other"}),
    ]


def edit(venv):
    """What programs change in a mounted environment."""
    venv.account.run(["sh", "-ec", """
        cd "$1"
        echo 'c = 2' > demo/changed.py
        echo more >> demo/big.bin
        rm demo/gone.py
        mv demo/moved.py demo/elsewhere.py
        ln other.py again.py
        ln -s demo/changed.py link
        mkdir -m 750 mine; echo mine > mine/file; chmod 600 mine/file
        touch -d 2001-02-03T04:05:06.789 shared/one.py
        mkfifo pipe
        echo page2 > .fusepkg-data/data/share/demo/page
    """, "sh", venv.site])


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """Two packages over a bare one, with edits, mounted."""
    venv = new_venv(account)
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", make_wheel("bare"), make_wheel("other", "0.1"))
    venv.fusepkg("add", *wheels(make_wheel))
    edit(venv)
    return venv


def check_ordinary(venv, before):
    assert not venv.is_mounted and not venv.state.exists()
    assert sorted(p.name for p in venv.site.parent.iterdir()) == ["site-packages"]
    assert look(venv) == before
    for path, text in {"share/demo/page": "page2\n", "etc/demo.conf": "conf", "share/other": "other"}.items():
        assert (venv.path / path).read_text() == text
        assert not any(p.is_symlink() for p in [venv.path / path, *(venv.path / path).parents] if venv.path in p.parents)
    [header] = venv.path.glob("include/**/demo.h")
    assert not header.is_symlink()
    assert venv.account.run([venv.bin / "demo-tool"]).out == "tool\n"
    result = venv.run_python("import demo.changed, demo.elsewhere, bare, other; print(demo.changed.c)")
    assert (result.out, result.err) == ("2\n", "")


@pytest.mark.parametrize("state", ["mounted", "unmounted"])
def test_all_that_was_shown_is_there(venv, state):
    before = look(venv)
    assert before["again.py"][4] == before["other.py"][4] or before["again.py"][4] == "again.py"
    assert stat.S_ISFIFO(before["pipe"][0])
    if state == "unmounted":
        venv.fusepkg("umount")
    assert "ordinary venv now" in venv.fusepkg("eject").err
    check_ordinary(venv, before)


def test_pip_goes_on_with_it(venv, make_wheel):
    venv.fusepkg("eject")
    pip = lambda *args: venv.account.pip("--python", venv.python, *args)
    listed = {p["name"]: p["version"] for p in json.loads(pip("list", "--format", "json").out)}
    assert {"bare": "1.0", "demo": "1.0", "other": "1.0"}.items() <= listed.items()
    pip("check")
    pip("uninstall", "--yes", "demo")
    assert not (venv.bin / "demo-tool").exists() and not (venv.path / "etc/demo.conf").exists()
    assert not venv.site.joinpath("demo/big.bin").exists()


def test_the_store_forgets_the_venv(venv):
    venv.fusepkg("eject")
    assert venv.account.fusepkg("status", "--json").json() == []


def test_without_fuse(venv):
    """With no program that could mount: there is nothing in the way to write the files."""
    before = look(venv)
    venv.fusepkg("umount")
    argv = ["unshare", "-m", "sh", "-c", "mount --bind /dev/null /dev/fuse && exec \"$@\"", "sh"]
    become = venv.account.argv([venv.account.installed / "bin/fusepkg", "eject", "--venv", venv.path])
    subprocess.run([*argv, *become], check=True, env=venv.account.environment(), cwd=venv.account.work)
    check_ordinary(venv, before)


def test_what_was_kept_is_named(account, new_venv, make_wheel):
    venv = new_venv(account)
    (venv.bin / "demo-tool").write_text("mine")
    account.give(venv.bin)
    venv.fusepkg("add", wheels(make_wheel)[0])
    said = venv.fusepkg("eject").err
    assert str(venv.path / "fusepkg-kept") in said
    assert [p.read_text() for p in (venv.path / "fusepkg-kept").rglob("demo-tool")] == ["mine"]


def test_who_uses_the_mount_is_named_and_nothing_changes(account, venv):
    before = look(venv)
    holder = account.start(["sh", "-c", f"cd {venv.site} && echo in && exec sleep 60"], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"in\n"
        result = venv.fusepkg("eject", status=1)
        assert str(holder.pid) in result.err
        assert venv.is_mounted and look(venv) == before
    finally:
        holder.kill()
        holder.communicate()


def test_an_ordinary_venv_is_left_alone(account, new_venv):
    venv = new_venv(account)
    assert "ordinary venv" in venv.fusepkg("eject", status=1).err
    assert not venv.state.exists()


@pytest.fixture(scope="session")
def nth_call(session_folder):
    if platform.machine() != "x86_64":
        pytest.skip("nth_call knows the registers of x86-64 alone")
    program = session_folder / "nth_call_eject"
    subprocess.run(["gcc", "-O1", "-o", program, Path(__file__).parent.parent / "crash/nth_call.c"], check=True)
    return program


def run_eject(account, nth_call, venv, n):
    out = account.tmp / "calls"
    account.run([nth_call, out, "kill", n, account.installed / "bin/fusepkg", "eject", "-q", "--venv", venv.path], status=None)
    words = out.read_text().split()
    return int(words[0]), words[-1]


@pytest.mark.release
def test_killed_before_any_call_it_is_one_or_the_other(root, new_venv, make_wheel, nth_call):
    """After each kill Python works, whatever that mounts, and eject, run again, finishes."""
    files = wheels(make_wheel)
    template = new_venv(root, name="template")
    template.fusepkg("add", *files)
    edit(template)
    before = look(template)
    total, _ = run_eject(root, nth_call, template, 0)
    check_ordinary_files(template, before)
    assert total > 50
    venv = new_venv(root, name="killed")
    for n in range(1, total + 1, 1 if total < 150 else 2):
        venv.fusepkg("add", *files)
        edit(venv)
        before = look(venv)
        run_eject(root, nth_call, venv, n)
        result = venv.run_python("import demo.changed, demo.elsewhere, other; print(demo.changed.c)")
        assert (result.out, result.err) == ("2\n", ""), n
        assert look(venv) == before, n
        again = venv.fusepkg("eject", status=None)
        assert again.status == 0 or "ordinary venv" in again.err, (n, again)
        check_ordinary_files(venv, before)
        for path in sorted(venv.path.glob("*")):
            assert path.name not in ("site-packages.eject", ".fusepkg"), n
        root.run(["rm", "-rf", venv.path])
        venv = new_venv(root, name="killed")


def check_ordinary_files(venv, before):
    assert not venv.is_mounted and not venv.state.exists()
    assert sorted(p.name for p in venv.site.parent.iterdir()) == ["site-packages"]
    assert look(venv) == before
    assert (venv.path / "share/demo/page").read_text() == "page2\n"
    assert os.path.isdir(venv.path / "share") and not os.path.islink(venv.path / "share")
