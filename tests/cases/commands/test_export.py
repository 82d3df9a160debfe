"""export: the environment as plain files."""
import os
import signal

import pytest

from support import tree
from support.make_wheel import Member


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """Bare: plain 1.0 and a symlink; by fusepkg: demo with scripts, data and headers, a large file, and plain 2.0."""
    venv = new_venv(account)
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", make_wheel("plain"),
                make_wheel("bare"))
    account.run(["ln", "-s", "bare.py", venv.site / "alias.py"])
    demo = make_wheel("demo", files={
        "demo/__init__.py": "def main():\n    print('demo runs')\n", "demo/tool.sh": Member("#!/bin/sh\n", 0o755),
        "demo/big.bin": os.urandom(400_000), "{data}/data/share/demo/x.txt": "x", "{data}/headers/demo.h": "/* */",
        "{data}/scripts/old-style": "#!python\nprint('old style')\n"},
        entry_points={"console_scripts": {"demo": "demo:main"}})
    venv.fusepkg("add", demo, make_wheel("plain", "2.0"))
    return venv


def seen(account, folder):
    """tree.snapshot of FOLDER by ACCOUNT, who alone may see into its mounts."""
    code = "import sys, json; sys.path.insert(0, sys.argv[2]); from support import tree;" \
           "print(json.dumps(tree.snapshot(sys.argv[1], skip=lambda p: p in ('.fusepkg', '.fusepkg-data'))))"
    tests = os.path.dirname(os.path.dirname(os.path.abspath(tree.__file__)))
    return account.run(["/usr/bin/python3", "-c", code, folder, tests]).json()


def stamps_of(account, site):
    """Modes and times; the account goes there itself, as root may not look into a user's mount."""
    names = "demo/__init__.py demo/tool.sh demo/big.bin demo bare.py"
    return account.run(["sh", "-c", f'cd "$1" && exec stat -c "%a %Y %n" {names}', "sh", site]).out


def export(venv, name="out"):
    to = venv.account.work / name
    venv.fusepkg("export", "--to", to)
    return to


@pytest.mark.parametrize("mounted", [True, False])
def test_it_equals_what_the_mount_shows(account, venv, mounted):
    shown = seen(account, venv.site)
    stamps = stamps_of(account, venv.site)
    if not mounted:
        venv.fusepkg("umount")
    out = export(venv)
    site = out / venv.site.relative_to(venv.path)
    assert tree.differences(seen(account, site), shown) == []
    assert stamps_of(account, site) == stamps
    assert not (site / ".fusepkg").exists() and not (site / ".fusepkg-data").exists()
    assert os.readlink(site / "alias.py") == "bare.py"
    assert "2.0" in (site / "plain.py").read_text()
    assert not (site / "plain-1.0.dist-info").exists()


def test_what_lies_outside_site_packages_is_real(account, venv):
    out = export(venv)
    assert not (out / "share").is_symlink() and (out / "share/demo/x.txt").read_text() == "x"
    assert not (out / "share/demo/x.txt").is_symlink()
    header = next(out.glob("include/site/python3.*/demo/demo.h"))
    assert header.is_file() and not header.is_symlink()
    for name in ("demo", "old-style"):
        assert (out / "bin" / name).read_bytes() == (venv.bin / name).read_bytes()
        assert os.access(out / "bin" / name, os.X_OK)
    assert (out / "bin/demo").read_text().splitlines()[0] == f"#!{venv.python}"
    assert not (out / "pyvenv.cfg").exists()


def test_it_needs_no_mount_to_be_used(account, venv):
    out = export(venv)
    venv.fusepkg("umount")
    site = out / venv.site.relative_to(venv.path)
    code = f"import sys; sys.path.insert(0, {str(site)!r}); import demo, bare, plain; demo.main(); print(plain.version)"
    assert account.run(["/usr/bin/python3", "-ISc", code]).out == "demo runs\n2.0\n"


def test_it_equals_what_pip_installs(root, new_venv, plain_venv, make_wheel):
    wheels = [make_wheel("a", files={"ns/a.py": "", "a/big.bin": os.urandom(300_000)}), make_wheel("b", files={"ns/b.py": ""})]
    ours, theirs = new_venv(root), plain_venv(wheels)
    ours.fusepkg("add", *wheels)
    out = export(ours)
    relative = ours.site.relative_to(ours.path)
    rewrite = tree.comparable(str(ours))
    assert tree.differences(tree.snapshot(out / relative, rewrite=rewrite),
                            tree.snapshot(theirs.site, rewrite=tree.comparable(str(theirs)))) == []


def test_an_empty_folder_is_filled(venv):
    to = venv.account.make_folder(venv.account.work / "empty")
    venv.fusepkg("export", "--to", f"{to}/")
    assert (to / "bin/demo").exists()


def test_what_is_not_empty_is_refused_and_left_alone(venv):
    to = venv.account.make_folder(venv.account.work / "full")
    (to / "mine").write_text("mine")
    assert "not empty" in venv.fusepkg("export", "--to", to, status=1).err
    assert os.listdir(to) == ["mine"] and os.listdir(venv.account.work) == ["full"]
    file = venv.account.work / "file"
    file.write_text("")
    assert "not a folder" in venv.fusepkg("export", "--to", file, status=1).err


@pytest.mark.parametrize("to", ["/no/such/folder/out", "", "/"])
def test_an_impossible_place(venv, to):
    venv.fusepkg("export", "--to", to, status=2 if to == "" else 1)


def test_usage_and_a_venv_without_anything_of_ours(account, new_venv, venv):
    venv.fusepkg("export", status=2)
    assert "nothing" in new_venv(account).fusepkg("export", "--to", account.work / "out", status=1).err


def test_damage_is_an_error_and_nothing_is_left(account, venv):
    victim = next(p for p in (account.store / "objects").rglob("*") if p.is_file())
    victim.chmod(0o600)
    data = bytearray(victim.read_bytes())
    data[200_000] ^= 1
    victim.write_bytes(data)
    result = venv.fusepkg("export", "--to", account.work / "out", status=1)
    assert "big.bin" in result.err
    assert os.listdir(account.work) == []


def test_a_full_disk_leaves_nothing(root, venv):
    small = root.make_folder(root.work / "small")
    root.run(["mount", "-t", "tmpfs", "-o", "size=200k,mode=777", "none", small])
    try:
        assert "No space left" in venv.fusepkg("export", "--to", small / "out", status=1).err
        assert os.listdir(small) == []
    finally:
        root.run(["umount", small])


def test_an_interrupt_leaves_nothing(account, venv):
    process = account.start([account.installed / "bin/fusepkg", "export", "--venv", venv, "--to", account.work / "out"])
    process.send_signal(signal.SIGINT)
    process.wait(60)
    left = os.listdir(account.work)
    assert left in ([], ["out"]) and (left == ["out"]) == (process.returncode == 0)


def test_an_interrupt_at_the_very_end_is_too_late(account, venv):
    """It comes as what was written gets its name."""
    out = account.work / "out"
    # Leaks are not found in a process that is traced.
    account.run(["strace", "-o", "/dev/null", "-P", account.work, "-e", "inject=renameat:signal=SIGINT",
                 account.installed / "bin/fusepkg", "export", "--venv", venv, "--to", out],
                env={"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99"})
    assert os.listdir(account.work) == ["out"] and (out / "bin/demo").exists()


def test_what_programs_changed_is_in_it(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "v = 1\n", "demo/gone.py": "", "demo/same.py": "s = 1\n",
                                                  "{data}/data/share/page": "page"}))
    account.run(["sh", "-ec", """
        cd "$1"
        echo 'v = 2' > demo/__init__.py; rm demo/gone.py; mv demo/same.py demo/moved.py; echo mine > mine; ln -s mine link
        echo page2 > .fusepkg-data/data/share/page
    """, "sh", venv.site])
    out = account.tmp / "out"
    venv.fusepkg("export", "--to", out)
    site = out / venv.site.relative_to(venv.path)
    assert sorted(p.name for p in (site / "demo").iterdir()) == ["__init__.py", "moved.py"]
    assert (site / "demo/__init__.py").read_text() == "v = 2\n" and (site / "demo/moved.py").read_text() == "s = 1\n"
    assert (site / "link").is_symlink() and (site / "link").read_text() == "mine\n"
    assert (out / "share/page").read_text() == "page2\n"
    venv.fusepkg("umount")
    assert "fusepkg mount" in venv.fusepkg("export", "--to", account.tmp / "again", status=1).err
    assert not (account.tmp / "again").exists()
