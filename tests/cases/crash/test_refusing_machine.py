"""The machine says no: full and read-only disks under venv and store, no program to mount with, a mount that cannot
read the environment again.  One clear line, the old state (or the new one, said to be so), and it works once that is
mended."""
import os
import random
import resource
import subprocess

import pytest

from support.make_wheel import executable

PAGE = 4096
STEPS = (0, 1, 2, 3, 4, 5, 6, 8, 12)  # free pages


@pytest.fixture
def small_disk(folder):
    """small_disk(name, options) -> a folder on a tmpfs of its own."""
    made = []

    def make(name, options):
        path = folder / name
        path.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "fusepkg-test", path], check=True)
        made.append(path)
        return path

    yield make
    for path in reversed(made):
        subprocess.run(["umount", path], check=True)


def venv_on(disk, account, folder):
    """A venv on DISK; not by new_venv, whose end would come after that of the disk."""
    from support.venvs import make_venv
    return make_venv(account, disk / "venv")


def fill(disk, pages):
    """Leaves PAGES free."""
    with open(disk / "filling", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * PAGE)
        except OSError:
            size = file.tell() - pages * PAGE
        file.truncate(size)
    return disk / "filling"


def remount(disk, how):
    subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)


def packages(venv):
    return {p["name"] for p in venv.fusepkg("list", "--json").json()}


def errors(result):
    return [line for line in result.err.splitlines() if line.startswith("error: ")]


def demo(make_wheel, name="demo"):
    return make_wheel(name, files={f"{name}.py": f"name = '{name}'\n", f"{name}_large.so": random.Random(name).randbytes(200_000),
                                   "{data}/scripts/" + name: executable(f"#!/bin/sh\necho {name}\n"),
                                   "{data}/data/share/" + name: name})


def is_complete(venv, name):
    return (venv.bin / name).exists() and os.path.lexists(venv.path / "share")


def test_the_venv_is_on_a_full_disk(root, folder, small_disk, make_wheel):
    disk = small_disk("disk", "size=4M")
    venv = venv_on(disk, root, folder)
    seen = set()
    for pages in STEPS:
        filling = fill(disk, pages)
        result = venv.fusepkg("add", "--no-mount", demo(make_wheel), status=None)
        seen.add(result.status)
        assert len(errors(result)) == result.status and result.status in (0, 1), result
        if result.status:
            assert "No space left" in result.err and str(venv.path) in errors(result)[0]
            assert packages(venv) == set() and not (venv.bin / "demo").exists() or "packages are installed" in result.err
        filling.unlink()
        venv.fusepkg("add", "--no-mount", demo(make_wheel))
        assert packages(venv) == {"demo"} and is_complete(venv, "demo")
        venv.fusepkg("remove", "demo")
        assert not (venv.bin / "demo").exists() and not os.path.lexists(venv.path / "share")
    assert seen == {0, 1}


def test_a_disk_has_no_inodes_left(root, folder, small_disk, make_wheel):
    disk = small_disk("disk", "size=4M,nr_inodes=200")
    venv = venv_on(disk, root, folder)
    for spare in range(12):
        made = []
        try:
            while True:
                made.append(disk / f"file{len(made)}")
                made[-1].touch()
        except OSError:
            made.pop()
        for _ in range(spare):
            made.pop().unlink()
        result = venv.fusepkg("add", "--no-mount", demo(make_wheel), status=None)
        assert len(errors(result)) == result.status and result.status in (0, 1), result
        for file in made:
            file.unlink()
        venv.fusepkg("add", "--no-mount", demo(make_wheel))
        assert packages(venv) == {"demo"} and is_complete(venv, "demo")
        venv.fusepkg("remove", "demo")
    assert result.status == 0


def test_the_venv_is_read_only(root, folder, small_disk, make_wheel):
    disk = small_disk("disk", "size=4M")
    venv = venv_on(disk, root, folder)
    venv.fusepkg("add", "--no-mount", demo(make_wheel))
    remount(disk, "ro")
    for command in (["add", demo(make_wheel, "other")], ["remove", "demo"]):
        result = venv.fusepkg(*command, status=1)
        assert len(errors(result)) == 1 and "Read-only" in result.err and str(venv.path) in result.err, result
    assert packages(venv) == {"demo"}
    venv.fusepkg("umount")
    venv.fusepkg("mount")
    venv.run_python("import demo")
    with pytest.raises(OSError, match="Read-only"):
        (venv.site / "new").write_text("")
    venv.fusepkg("umount")
    remount(disk, "rw")
    venv.fusepkg("add", demo(make_wheel, "other"))
    assert packages(venv) == {"demo", "other"} and venv.run_python("import other; print(other.name)").out == "other\n"
    venv.fusepkg("umount")


def test_the_store_is_on_a_full_disk(root, venv, small_disk, make_wheel):
    disk = small_disk("disk", "size=4M")
    env = {"FUSEPKG_STORE": disk / "store"}
    venv.fusepkg("add", "--no-mount", demo(make_wheel), env=env)
    for pages in (*STEPS, 20, 60):
        filling = fill(disk, pages)
        result = venv.fusepkg("add", "--no-mount", demo(make_wheel, f"p{pages}"), env=env, status=None)
        assert len(errors(result)) == result.status and result.status in (0, 1), result
        if result.status:
            assert packages(venv) == {"demo"}
            venv.fusepkg("remove", "demo", env=env) # which needs no room there
        filling.unlink()
        assert os.listdir(disk / "store/staging") == []
        venv.fusepkg("add", "--no-mount", demo(make_wheel), demo(make_wheel, f"p{pages}"), env=env)
        assert packages(venv) == {"demo", f"p{pages}"}
        venv.fusepkg("remove", f"p{pages}", env=env)
        assert root.fusepkg("store", "verify", "--json", env=env).json() == {"ok": True, "errors": []}


def test_the_store_is_read_only(root, venv, small_disk, make_wheel):
    disk = small_disk("disk", "size=4M")
    env = {"FUSEPKG_STORE": disk / "store"}
    venv.fusepkg("add", "--no-mount", demo(make_wheel), env=env)
    remount(disk, "ro")
    result = venv.fusepkg("add", "--no-mount", demo(make_wheel, "other"), env=env, status=1)
    assert len(errors(result)) == 1 and "read-only" in result.err and "another one" not in result.err, result
    venv.fusepkg("mount", env=env)
    assert venv.run_python("import demo; print(demo.name)").out == "demo\n"
    # What needs nothing new of the store works.
    venv.fusepkg("remove", "demo", env=env)
    assert packages(venv) == set()
    venv.fusepkg("umount", env=env)
    remount(disk, "rw")
    venv.fusepkg("add", "--no-mount", demo(make_wheel), demo(make_wheel, "other"), env=env)
    assert packages(venv) == {"demo", "other"}


@pytest.mark.parametrize("program", ["/nonexistent", "/bin/true", "/etc/passwd"])
def test_there_is_no_program_to_mount_with(venv, make_wheel, program):
    (venv.bin / "demo").write_text("bare demo\n")
    info = venv.site / "demo-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo\nVersion: 0.1\n")
    (info / "RECORD").write_text("demo-0.1.dist-info/METADATA,,\ndemo-0.1.dist-info/RECORD,,\n../../../bin/demo,,\n")
    env = {"FUSEPKG_MOUNT_PROGRAM": program}
    result = venv.fusepkg("add", demo(make_wheel), env=env, status=1)
    assert len(errors(result)) == 1 and "installed, not mounted" in result.err
    assert not venv.is_mounted and (venv.bin / "demo").read_text() == "bare demo\n"
    venv.fusepkg("add", demo(make_wheel))
    assert venv.is_mounted and "echo demo" in (venv.bin / "demo").read_text()
    venv.fusepkg("umount")
    assert (venv.bin / "demo").read_text() == "bare demo\n"


@pytest.mark.release  # the sanitizers' runtime wants descriptors of its own
def test_a_mount_that_cannot_tell_its_edits(venv, make_wheel):
    """It has no descriptor left: a command that does not know what programs have changed changes nothing."""
    venv.fusepkg("add", demo(make_wheel))
    pid = venv.fusepkg("status", "--json").json()[0]["worker_pid"]
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # All below are taken for good; poll(2) of four descriptors is allowed.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (4, limits[1]))
    result = venv.fusepkg("add", demo(make_wheel, "other"), status=1)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert len(errors(result)) == 1 and "Too many open files" in result.err and packages(venv) == {"demo"}, result
    assert venv.run_python("import demo; print(demo.name)").out == "demo\n"
    venv.fusepkg("add", demo(make_wheel, "other"))
    assert venv.run_python("import other; print(other.name)").out == "other\n"


def test_what_is_installed_shows_though_its_scripts_cannot_be_written(root, folder, small_disk, make_wheel):
    """With a mount there, a disk that fills up after the commit costs scripts, not imports."""
    disk = small_disk("disk", "size=4M")
    venv = venv_on(disk, root, folder)
    venv.fusepkg("add", demo(make_wheel, "first"))
    for pages in range(12):
        filling = fill(disk, pages)
        result = venv.fusepkg("add", demo(make_wheel), status=None)
        if packages(venv) == {"first", "demo"}:
            assert venv.run_python("import demo; print(demo.name)").out == "demo\n", result
        filling.unlink()
        venv.fusepkg("remove", "demo", status=0)
        assert packages(venv) == {"first"}
    venv.fusepkg("umount")


def test_mount_completes_what_a_live_mount_lacks(root, folder, small_disk, make_wheel):
    """As the hint says that is given when the disk was too full for the scripts."""
    disk = small_disk("disk", "size=4M")
    venv = venv_on(disk, root, folder)
    venv.fusepkg("add", demo(make_wheel, "first"))
    incomplete = 0
    # More than what the command itself took for a moment.
    wheel = make_wheel("demo", files={"demo.py": "name = 'demo'\n", "{data}/data/share/demo": "demo",
                                      "{data}/scripts/demo": executable("#!/bin/sh\necho demo\n" + "# large\n" * 10_000)})
    for pages in range(12):
        filling = fill(disk, pages)
        result = venv.fusepkg("add", wheel, status=None)
        filling.unlink()
        if result.status and packages(venv) == {"first", "demo"}:
            assert "`fusepkg mount` completes" in result.err
            venv.fusepkg("mount")
            assert (venv.bin / "demo").exists() and (venv.path / "share/demo").exists()
            incomplete += 1
        venv.fusepkg("remove", "demo", status=0)
    assert incomplete
    venv.fusepkg("umount")
