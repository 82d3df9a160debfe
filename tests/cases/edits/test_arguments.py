"""What diff, revert and verify can be asked about: packages, and paths at which something is or was.  All else is an error."""
import pytest

from support.seen import shell

FILES = {"demo/__init__.py": "", "demo/a.py": "a = 1\n", "demo/b.py": "b = 1\n", "demo/sub/c.py": "c = 1\n", "demo/moved/d.py": "d = 1\n",
         "{data}/data/share/demo/info.txt": "info\n", "{data}/scripts/run-demo": "#!/bin/sh\n"}
COMMANDS = {"diff": 2, "verify": 2, "revert": 1}  # statuses of what cannot be told, or met


@pytest.fixture
def edited(account, new_venv, make_wheel):
    """Over a bare package (old-bare: seen.py), and one that pip took from there (gone-bare); all kinds of edits."""
    venv = new_venv(account)
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", make_wheel("old-bare", files={"seen.py": "", "folder/x.py": ""}),
                make_wheel("gone-bare", files={"went.py": ""}))
    venv.fusepkg("add", make_wheel("demo", files=FILES), make_wheel("Foo-Bar", files={"foo/x.py": ""}), make_wheel("left", files={"left/x.py": ""}))
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", make_wheel("brought"))
    account.pip("--python", venv.python, "uninstall", "--quiet", "-y", "gone-bare")
    shell(venv, "echo mine > left/x.py")
    venv.fusepkg("remove", "left")
    shell(venv, "rm b.py; rm -r sub; mv moved ../renamed; mkdir new; echo n > new/n.py; echo '#' >> a.py", "demo")
    return venv


KNOWN = ["demo", "DEMO", "Foo_Bar", "foo.bar", "brought", "old-bare", "Old_Bare", "gone-bare", "Gone.Bare",  # packages
         "foo/x.py", "./foo/x.py", "foo/", "foo//x.py", "demo/../foo", "seen.py", "folder", "folder/x.py", "brought.py",  # there, not changed
         "demo/a.py", "demo/new", "demo/new/n.py", "renamed", "renamed/d.py",
         "demo/b.py", "demo/sub", "demo/sub/", "demo/sub/c.py", "demo/moved", "demo/moved/d.py", "went.py"]  # that were
UNKNOWN = ["nothing", "foo_baz", "demo/nothing", "demo/nothing.py/", "nothing/a.py", "demo/a.py/x", "demo/sub/nothing", "renamed/nothing",
           "demo-1.1.dist-info", "n" * 300]


def refused(venv, *arguments, **kwargs):
    """What each of the commands says to it: one line."""
    said = [venv.fusepkg(command, *arguments, status=status, **kwargs) for command, status in COMMANDS.items()]
    for result in said:
        assert result.out == "" and result.err.count("\n") == 1 and result.err.startswith("error: ")
    return [result.err for result in said]


@pytest.mark.parametrize("mounted", [True, False])
def test_what_is_or_was_there_is_known(edited, mounted):
    if not mounted:
        edited.fusepkg("umount")
    for argument in KNOWN:
        edited.fusepkg("diff", argument)
        edited.fusepkg("diff", edited.site / argument if "/" in argument else "foo", argument)
    for argument in UNKNOWN:
        for error in refused(edited, argument) + refused(edited, "demo", argument):
            assert f"'{argument}' is neither a package of '{edited}' (`fusepkg list` shows them) nor a path" in error
        refused(edited, edited.site / argument)


def test_nothing_to_do_is_no_error(edited):
    for argument in ("foo/x.py", "Foo_Bar", "seen.py", "old-bare", edited.site / "foo"):
        assert edited.fusepkg("diff", "--exit-code", argument).out == ""
        assert edited.fusepkg("verify", argument).out == ""
        assert "Nothing to revert" in edited.fusepkg("revert", argument).err


def test_nothing_is_reverted_when_one_is_unknown(edited):
    before = edited.fusepkg("diff").out
    assert "'nothing'" in edited.fusepkg("revert", "demo/a.py", "nothing", "demo", status=1).err
    assert edited.fusepkg("diff").out == before


def test_what_a_bare_package_had_comes_back_by_its_name(edited):
    """Whose name is not that of its files."""
    shell(edited, "echo '#' >> seen.py; rm folder/x.py")
    assert edited.fusepkg("diff", "--name-only", "Old_Bare").out.splitlines() == ["folder/x.py", "seen.py"]
    assert "seen.py\n" in edited.fusepkg("revert", "old-bare").out
    edited.fusepkg("revert", "gone-bare")
    assert edited.run_python("import went, folder.x").out == ""
    assert edited.fusepkg("diff", "--exit-code", "old-bare", "gone-bare").out == ""


def test_what_was_kept_is_named(edited):
    for argument in ("left", "left/x.py", edited.site / "left/"):
        for error in refused(edited, argument):
            assert f"is not there any more; what was kept of it: '{edited}/.fusepkg/kept/2/left/x.py'" in error


def test_paths_of_the_shell_come_first(edited):
    program = f"{edited.account.installed}/bin/fusepkg diff --venv {edited} --name-only"
    shell(edited, "mkdir demo/foo; echo x > demo/foo/x.py; ln -s a.py demo/link; ln -s /etc out")
    assert shell(edited, f"{program} a.py", "demo") == "demo/a.py\n"
    assert shell(edited, f"{program} foo/x.py", "demo") == "demo/foo/x.py\n"
    assert shell(edited, f"{program} new/../../demo/b.py", "demo") == "demo/b.py\n"
    assert shell(edited, f"{program} renamed", "demo") == "renamed\n"  # nothing is at demo/renamed
    assert shell(edited, f"{program} link", "demo") == "demo/link\n"  # itself, not where it leads
    assert shell(edited, f"{program} out") == "out\n"
    assert edited.fusepkg("diff", "--name-only", edited.site / "out").out == "out\n"


def test_what_is_outside(edited):
    """A link of the data folder leads in; scripts and other files of the venv are nobody's edits."""
    edited.account.run(["sh", "-c", 'echo mine > "$1"', "sh", edited.path / "share/demo/info.txt"])
    for argument in (edited.path / "share/demo/info.txt", edited.path / "share/demo"):
        assert edited.fusepkg("diff", "--name-only", argument).out == ".fusepkg-data/data/share/demo/info.txt\n"
    assert edited.fusepkg("revert", edited.path / "share/demo/info.txt").out == ".fusepkg-data/data/share/demo/info.txt\n"
    for argument in (edited.path / "bin/run-demo", edited.path / "pyvenv.cfg", "/etc/passwd", "/nothing"):
        for error in refused(edited, argument):
            assert f"'{argument}' is not in '{edited.site}'" in error
    for error in refused(edited, "bin/run-demo", cwd=edited.path):
        assert f"'bin/run-demo' is not in '{edited.site}'" in error
