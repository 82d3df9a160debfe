"""revert: what was installed comes back, and what the user made of it is kept."""
import errno
import os

import pytest

from support.seen import files, shell, stat
FILES = {"demo/__init__.py": "one = 1\n", "demo/a.py": "a = 1\n", "demo/sub/b.py": "b = 1\n"}


def content(venv, name="demo"):
    return files(venv, name)


def installed(account, new_venv, make_wheel, *more):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files=FILES), *more)
    return venv


def kept(venv):
    return {str(p.relative_to(venv.state / "kept" / "1")): p.read_text() for p in (venv.state / "kept").rglob("*") if p.is_file()}


def test_a_file_comes_back_and_is_kept(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel)
    before = content(venv)
    inode = stat(venv, "demo/a.py")
    shell(venv, "echo mine > demo/a.py; echo too > demo/sub/b.py")
    result = venv.fusepkg("revert", "demo/a.py")
    assert result.out == "demo/a.py\n"
    assert "Kept 1 file" in result.err and ".fusepkg/kept/1/demo/a.py" in result.err
    assert content(venv) == {**before, "sub/b.py": "too\n"}
    assert stat(venv, "demo/a.py") == inode
    assert kept(venv) == {"demo/a.py": "mine\n"}
    venv.fusepkg("revert", "--all")
    assert content(venv) == before
    assert kept(venv) == {"demo/a.py": "mine\n", "demo/sub/b.py": "too\n"}
    assert venv.fusepkg("diff").out == ""


def test_removed_moved_added_things(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel, make_wheel("other"))
    before, listing = content(venv), shell(venv, "ls -a")
    shell(venv, "rm demo/a.py; mv demo/sub demo/elsewhere; mkdir -p new/deep; echo n > new/deep/file; ln -s x new/link; ln other.py twin.py")
    venv.fusepkg("revert", "demo")
    assert content(venv) == before and shell(venv, "cat new/deep/file") == "n\n"
    venv.fusepkg("revert", "--all")
    assert shell(venv, "ls -a") == listing
    assert stat(venv, "other.py")[-1] == "1"
    assert kept(venv) == {"new/deep/file": "n\n"}


def test_without_a_mount(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel)
    before = content(venv)
    shell(venv, "echo mine > demo/a.py; rm -r demo/sub; mv demo renamed")
    venv.fusepkg("umount")
    venv.fusepkg("revert", "--all")
    assert not venv.is_mounted and kept(venv) == {"renamed/a.py": "mine\n"}
    venv.fusepkg("mount")
    assert content(venv) == before and "renamed" not in shell(venv, "ls")


def test_holders_of_what_goes(account, new_venv, make_wheel):
    """Who has a file open that a revert removes reads on; who has one open that comes back sees what is there."""
    venv = installed(account, new_venv, make_wheel)
    shell(venv, "echo new > new.txt; echo mine > demo/a.py")
    code = """
import subprocess, sys
with open("new.txt") as new, open("demo/a.py") as changed:
    assert new.readline() == "new\\n"
    subprocess.run(sys.argv[1:], check=True)
    new.seek(0)
    changed.seek(0)
    print(repr(new.read() + changed.read()))
"""
    command = [venv.account.installed / "bin/fusepkg", "revert", "-q", "--venv", venv.path, "--all"]
    said = account.run(["sh", "-c", 'cd "$0"; exec "$@"', venv.site, "/usr/bin/python3", "-c", code, *command]).out
    assert said.splitlines()[-1] == repr("new\na = 1\n")
    assert "new.txt" not in shell(venv, "ls")


def test_names_that_kept_has_already(root, new_venv, make_wheel):
    """A file where a folder is needed, the other way round, and the name that kept itself writes to."""
    venv = installed(root, new_venv, make_wheel)
    (venv.site / "one").write_text("file")
    (venv.site / "two").mkdir()
    (venv.site / "two/in").write_text("in")
    (venv.site / ".kept.tmp").write_text("temporary")
    venv.fusepkg("revert", "-q", "--all")
    (venv.site / "one").mkdir()
    (venv.site / "one/in").write_text("in one")
    (venv.site / "two").write_text("file too")
    (venv.site / ".kept.tmp").mkdir()
    (venv.site / ".kept.tmp/in").write_text("in temporary")
    said = venv.fusepkg("revert", "--all").err
    assert ".fusepkg/kept/1/one.1/in" in said and ".fusepkg/kept/1/two.1" in said
    assert kept(venv) == {"one": "file", "one.1/in": "in one", "two/in": "in", "two.1": "file too",
                          ".kept.tmp.1": "temporary", ".kept.tmp.2/in": "in temporary"}


def test_no_folder_moves_into_itself(root, new_venv, make_wheel):
    """Who stands in a folder that a revert has put back stands, for the kernel, still where that was."""
    venv = installed(root, new_venv, make_wheel)
    (venv.site / "demo/sub").rename(venv.site / "moved")
    fd = os.open(venv.site / "moved", os.O_RDONLY)
    try:
        venv.fusepkg("revert", "-q", "--all")
        with pytest.raises(OSError) as said:
            os.rename(venv.site / "demo", "demo", dst_dir_fd=fd)
        assert said.value.errno == errno.EINVAL
    finally:
        os.close(fd)
    assert venv.fusepkg("diff").out == "" and (venv.site / "demo/sub").is_dir()


def test_bytecode_of_the_edited_source_is_not_run(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel)
    shell(venv, "echo 'a = 7' > demo/a.py; touch -d @1704164646 demo/a.py")
    run = dict(env={"PYTHONDONTWRITEBYTECODE": None})
    assert venv.run_python("import demo.a; print(demo.a.a)", **run).out == "7\n"
    venv.fusepkg("revert", "demo/a.py")
    assert venv.run_python("import demo.a; print(demo.a.a)", **run).out == "1\n"
    assert kept(venv) == {"demo/a.py": "a = 7\n"}


def test_what_pip_installed_stays_unless_it_is_named(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel, make_wheel("six", "1.0"))
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", make_wheel("more", files={"more/x.py": "x = 1\n"}))
    account.pip("--python", venv.python, "uninstall", "--quiet", "-y", "six")
    shell(venv, "echo mine > demo/a.py")
    venv.fusepkg("revert", "--all")
    assert venv.fusepkg("diff").out.splitlines() == ["- six 1.0", "+ more 1.0 (pip)"]
    venv.fusepkg("revert", "six")
    venv.run_python("import six, more.x")
    venv.fusepkg("revert", "more")
    venv.run_python("import more.x", status=1)
    assert venv.fusepkg("diff").out == ""


def test_refusals(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel)
    assert "nothing to revert is named" in venv.fusepkg("revert", status=2).err
    assert "takes no paths" in venv.fusepkg("revert", "--all", "demo", status=2).err
    assert "is not in" in venv.fusepkg("revert", "/etc/passwd", status=1).err
    assert "Nothing to revert" in venv.fusepkg("revert", "demo").err
    assert not (venv.state / "kept").exists()


def test_a_moved_folder_that_came_again(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel)
    shell(venv, "mv demo renamed")
    venv.fusepkg("add", make_wheel("plug", files={"demo/plug.py": "p = 1\n"}))
    assert set(files(venv, "demo")) == {"plug.py"} and "a.py" in files(venv, "renamed")
    assert venv.fusepkg("diff").out.splitlines()[:3] == ["Moved folder:", "rename from demo", "rename to renamed"]
    venv.fusepkg("revert", "renamed")
    assert set(files(venv, "demo")) == {"plug.py", *(p.removeprefix("demo/") for p in FILES)}
    assert shell(venv, "ls") .count("renamed") == 0


def test_a_file_that_was_replaced_is_named_once(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files={"demo/a.py": "a = 1\n"}))
    account.run(["sed", "-i", "s/1/2/", venv.site / "demo/a.py"])
    assert venv.fusepkg("revert", "demo/a.py").out == "demo/a.py\n"
    assert account.run(["cat", venv.site / "demo/a.py"]).out == "a = 1\n"


def test_what_leads_out_of_site_packages_is_not_all_of_it(account, new_venv, make_wheel):
    venv = installed(account, new_venv, make_wheel)
    shell(venv, "echo mine > demo/a.py")
    for path in ("", ".", "..", "../..", "demo/../..", "x/.."):
        said = venv.fusepkg("revert", path, status=1, cwd=account.work).err
        assert said.count("\n") == 1 and "is not in" in said
        venv.fusepkg("diff", path, status=2, cwd=account.work)
    assert content(venv)["a.py"] == "mine\n"
    assert shell(venv, f"{account.installed}/bin/fusepkg revert --venv {venv} ..", "demo") == "demo/a.py\n"
