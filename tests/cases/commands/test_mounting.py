"""mount and umount: what they refuse, and with which words."""
import contextlib
import os
import signal
import subprocess
import time

import pytest

from support import guard
from support.mount_kill import is_dead, kill_both, pids
from support.venvs import make_venv


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", make_wheel("demo", files={"demo.py": "", "lib.so": os.urandom(8192)}))
    return venv


def keeper(venv):
    return pids(venv)[0]


def test_mounting_twice_is_done_already(venv):
    venv.fusepkg("mount")
    pid = keeper(venv)
    assert "already mounted" in venv.fusepkg("mount").err
    assert keeper(venv) == pid


def test_a_mount_that_cannot_be_seen_is_not_worked_around(root, new_venv, make_wheel):
    """A command in a namespace where it cannot see the mount cannot know what programs have changed in it: it changes nothing."""
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"))
    late = make_wheel("late", files={"late.py": ""})
    root.run(["unshare", "-m", "sh", "-c", f"umount {venv.site} && ! fusepkg add --venv {venv} {late}"])
    venv.run_python("import late", status=1)
    assert "late" not in venv.fusepkg("list").out
    venv.fusepkg("add", late)
    venv.run_python("import late")


def test_a_mount_that_a_container_has_taken_along_is_ended_by_force(account, root, venv):
    venv.fusepkg("mount")
    other = root.start(["unshare", "-m", "sh", "-c", "echo there; sleep 600"], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "there\n"
        account.run(["umount", venv.site] if account.is_root else ["fusermount3", "-u", venv.site])
        assert pids(venv) == (None, None) and not venv.is_mounted
        assert "Unmounted" in venv.fusepkg("umount", "--force").err
        assert venv.run_python("import demo").err == ""
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.communicate()


def test_another_users_mount_is_told_as_such(user, root, new_venv, make_wheel):
    other = new_venv(user)
    other.fusepkg("add", make_wheel("demo"))
    assert "--allow-root" in root.fusepkg("list", "--venv", other, status=1).err
    assert "Upgraded 1 mount" in root.fusepkg("upgrade-mounts", "--allow-root", "--venv", other).err


def test_root_unmounts_no_others_venv_unasked(user, root, new_venv, make_wheel):
    """Nor what `rm -rf` has left of it."""
    other = new_venv(user)
    other.fusepkg("add", make_wheel("demo"))
    assert "--allow-root" in root.fusepkg("umount", "--venv", other, status=1).err
    assert "--allow-root" in root.fusepkg("umount", "--force", "--venv", other, status=1).err
    (other.path / "pyvenv.cfg").unlink()
    root.fusepkg("umount", "--venv", other, status=1)
    assert other.is_mounted
    root.fusepkg("umount", "--allow-root", "--venv", other)
    assert not other.is_mounted


HOLD = """
import fcntl, os, sys
lock = open(sys.argv[1] + ".new", "w")
lock.write(f"host elsewhere\\nboot 0\\npid {sys.argv[2]}\\nsince 1\\nworker {sys.argv[2]}\\nupgrades 0 \\n")
lock.flush()
fcntl.flock(lock, fcntl.LOCK_EX)
os.rename(sys.argv[1] + ".new", sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def lock_that_names(account, venv, pid):
    """As a mount on another machine or in a container has written it, or the venv's owner in its place."""
    holder = account.start(["/usr/bin/python3", "-c", HOLD, venv.state / "lock", str(pid)], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    yield
    holder.communicate()


@pytest.fixture
def bystander(root):
    process = root.start(["sleep", "600"])
    yield process
    alive = process.poll() is None
    process.kill()
    process.wait()
    assert alive, "a process that has nothing to do with the mount got a signal"


def test_force_ends_no_stranger(account, venv, bystander):
    with lock_that_names(account, venv, bystander.pid):
        assert "on host 'elsewhere'" in venv.fusepkg("umount", "--force", status=1).err
        assert "on host 'elsewhere'" in venv.fusepkg("mount", status=1).err
    venv.fusepkg("mount")


def test_an_upgrade_ends_no_stranger(user, root, new_venv, make_wheel, bystander):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    with lock_that_names(user, venv, bystander.pid):
        said = root.fusepkg("upgrade-mounts", "--allow-root", "--venv", venv, status=1).err
        assert "the process that its lock names is not one of it" in said
    venv.fusepkg("umount")


LOOK = """
import fcntl, sys, time
lock = open(sys.argv[1])
fcntl.flock(lock, fcntl.LOCK_SH)
print("looking", flush=True)
time.sleep(1)
"""


def test_who_looks_whether_it_is_mounted_keeps_nobody_from_mounting(account, venv):
    """Each command looks, for a moment, or longer where others have the processor."""
    venv.fusepkg("mount")
    venv.fusepkg("umount")
    other = account.start(["/usr/bin/python3", "-c", LOOK, venv.state / "lock"], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "looking\n"
    venv.fusepkg("mount")
    assert venv.is_mounted
    other.communicate()


def test_an_ordinary_user_upgrades_what_is_theirs(user, root, new_venv, make_wheel):
    venvs = [new_venv(account) for account in (user, root)]
    for venv in venvs:
        venv.fusepkg("add", make_wheel("demo"))
    assert "Upgraded 1 mount" in user.fusepkg("upgrade-mounts").err


def test_mounting_again_does_not_pretend_to_let_others_see_it(user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    assert "umount" in venv.fusepkg("mount", "--allow-other", status=1).err
    assert venv.is_mounted


def test_umount_takes_away_what_rm_has_left(account, venv):
    venv.fusepkg("mount")
    pid = keeper(venv)
    account.run(["rm", "-rf", venv], status=1)
    assert not (venv.path / "pyvenv.cfg").exists()
    # It goes by itself within two seconds: on a slow machine maybe before we come to anything.
    code = f"import os; os.chdir({str(venv.site)!r}); print('ready', flush=True); import time; time.sleep(600)"
    holder = account.start(["/usr/bin/python3", "-ISc", code], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "ready\n"
        assert "in use" in venv.fusepkg("umount", status=1).err or not venv.is_mounted
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    venv.fusepkg("umount", status=None)
    assert not venv.is_mounted
    account.run(["rm", "-rf", venv])
    while pid in [p for p, _ in guard.processes(account.mark)]:
        time.sleep(0.01)


def test_umount_of_what_is_not_mounted_is_done_already(account, new_venv, venv):
    assert "not mounted" in venv.fusepkg("umount").err
    fresh = new_venv(account)
    fresh.fusepkg("umount")
    assert not fresh.state.exists()


def test_a_venv_without_anything_of_ours_has_nothing_to_mount(account, new_venv):
    fresh = new_venv(account)
    assert "nothing" in fresh.fusepkg("mount", status=1).err
    assert not fresh.is_mounted
    assert not fresh.state.exists()


def test_a_second_owner_is_refused_by_name(root, new_venv, make_wheel):
    """The first one's mount is in a namespace of its own, so only its lock can be seen."""
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    holder = root.start(["unshare", "-m", "sh", "-c", f"fusepkg mount --venv {venv} && echo ready && exec sleep 600"],
                        stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "ready\n"
        pid = int((venv.state / "lock").read_text().split("pid ")[1].split()[0])
        said = venv.fusepkg("mount", status=1).err
        boot = open("/proc/sys/kernel/random/boot_id").read().strip()
        assert str(pid) in said and os.uname().nodename in said and boot in said
        assert not venv.is_mounted
        assert str(pid) in venv.fusepkg("umount", status=1).err
    finally:
        holder.kill()
        holder.wait()
        for pid, _ in guard.processes(root.mark):
            with contextlib.suppress(ProcessLookupError): # the first one's end is the other's
                os.kill(pid, signal.SIGTERM)
        guard.wait_gone(root.mark)
    venv.fusepkg("mount")


@pytest.mark.parametrize("how", ["cwd", "file", "mapping"])
def test_who_uses_the_mount_is_named(account, venv, how):
    venv.fusepkg("mount")
    code = {
        "cwd": f"import os; os.chdir({str(venv.site)!r})",
        "file": f"f = open({str(venv.site / 'demo.py')!r})",
        "mapping": f"import mmap; f = open({str(venv.site / 'lib.so')!r}, 'rb');"
                   "m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ); f.close()",
    }[how]
    holder = account.start(["/usr/bin/python3", "-ISc", f"{code}; print('ready', flush=True); import time; time.sleep(600)"],
                           stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "ready\n"
        said = venv.fusepkg("umount", status=1).err
        assert f"python3 ({holder.pid})" in said or f"({holder.pid})" in said
        assert "--lazy" in said
        assert venv.is_mounted
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    venv.fusepkg("umount")
    assert not venv.is_mounted


def test_a_lazy_umount_leaves_it_to_who_uses_it(account, venv):
    venv.fusepkg("mount")
    code = f"import os; f = open({str(venv.site / 'lib.so')!r}, 'rb'); print('ready', flush=True); input(); print(len(f.read()))"
    holder = account.start(["/usr/bin/python3", "-ISc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\n"
    venv.fusepkg("umount", "--lazy")
    assert not venv.is_mounted
    out, _ = holder.communicate("go\n", 60)
    assert out == "8192\n"
    guard.wait_gone(account.mark)
    venv.fusepkg("mount")


def test_umount_returns_when_it_can_be_mounted_again(venv):
    for _ in range(10):
        venv.fusepkg("mount")
        venv.fusepkg("umount")


def test_umount_returns_when_the_venvs_own_file_system_can_be_unmounted(root, new_venv, make_wheel, folder):
    disk = folder / "disk"
    disk.mkdir()
    wheel = make_wheel("demo")
    for i in range(10):
        root.run(["mount", "-t", "tmpfs", "none", disk])
        venv = make_venv(root, disk / "venv")
        venv.fusepkg("add", wheel)
        venv.fusepkg("umount")
        root.run(["umount", disk])


def test_a_copy_in_another_namespace_is_no_obstacle_to_umount(root, new_venv, make_wheel):
    """What a container that was started meanwhile has copied keeps the process, until that namespace ends."""
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"))
    pid = keeper(venv)
    holder = root.start(["unshare", "-m", "sh", "-c", "echo ready && exec sleep 600"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "ready\n"
        result = venv.fusepkg("umount")
        assert f"process {pid}" in result.err and not venv.is_mounted
        assert f"process {pid}" in venv.fusepkg("mount", status=1).err
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    guard.wait_gone(root.mark)
    venv.fusepkg("mount")


def test_a_dead_mount_is_repaired_by_mount_and_taken_away_by_umount(venv):
    venv.fusepkg("mount")
    kill_both(venv)
    assert is_dead(venv)
    venv.fusepkg("mount")
    venv.run_python("import demo")
    kill_both(venv)
    venv.fusepkg("umount")
    assert not venv.is_mounted
    assert venv.fusepkg("status", "--json").json()[0]["state"] == "unmounted"


def test_a_stopped_mount_hangs_nobody(venv):
    """status, umount of others and the listing of mounts must not wait for a process that does not answer."""
    venv.fusepkg("mount")
    worker = pids(venv)[1]
    os.kill(worker, signal.SIGSTOP)
    try:
        assert venv.fusepkg("status", "--json", timeout=60).json()[0]["state"] == "mounted"
        assert "already mounted" in venv.fusepkg("mount", timeout=60).err
    finally:
        with contextlib.suppress(ProcessLookupError): # the keeper has replaced it
            os.kill(worker, signal.SIGCONT)


def test_foreground_serves_until_it_is_unmounted(account, venv):
    front = account.start([account.installed / "bin/fusepkg", "mount", "--foreground", "--venv", venv])
    while not venv.is_mounted:
        assert front.poll() is None
        time.sleep(0.02)
    while keeper(venv) is None:
        time.sleep(0.02)
    assert keeper(venv) == front.pid
    venv.run_python("import demo")
    venv.fusepkg("umount")
    assert front.wait(60) == 0


def test_allow_other_needs_the_line_in_fuse_conf(user, new_venv, make_wheel):
    conf = open("/etc/fuse.conf").read() if os.path.exists("/etc/fuse.conf") else ""
    assert "\nuser_allow_other" not in "\n" + conf, "this machine allows it: the test needs one that does not"
    venv = new_venv(user)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    assert "user_allow_other" in venv.fusepkg("mount", "--allow-other", status=1).err
    assert not venv.is_mounted


def test_another_users_venv_is_not_mounted(root, user, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    user.fusepkg("mount", "--venv", venv, status=1)
    assert not venv.is_mounted


def hidden(root, what):
    """A command prefix: run without WHAT, a file, in a mount namespace of its own."""
    script = {
        "/dev/fuse": "mount -t tmpfs none /mnt && mknod -m 666 /mnt/null c 1 3 && mknod -m 666 /mnt/urandom c 1 9 && "
                     "mount --move /mnt /dev",
        "fusermount3": 'mount --bind /dev/null "$(command -v fusermount3)"',
        "/etc/mtab": "mount -t tmpfs none /mnt && cp -a /etc /mnt/ && rm -f /mnt/etc/mtab && mount --bind /mnt/etc /etc",
    }[what]
    return ["unshare", "-m", "sh", "-c", f'{script} && exec "$@"', "sh"]


def test_without_dev_fuse_the_error_says_what_to_do(root, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    result = root.run([*hidden(root, "/dev/fuse"), root.installed / "bin/fusepkg", "mount", "--venv", venv], status=1)
    errors = [line for line in result.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "modprobe fuse" in result.err


def test_without_fusermount3_the_error_says_what_to_install(root, user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    argv = user.argv([user.installed / "bin/fusepkg", "mount", "--venv", venv])
    result = root.run([*hidden(root, "fusermount3"), *argv], env=user.environment(), status=1)
    assert len([line for line in result.err.splitlines() if line.startswith("error: ")]) == 1
    assert "apt install fuse3" in result.err


def test_without_mtab_the_error_says_how_to_make_it(root, user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    argv = user.argv([user.installed / "bin/fusepkg", "umount", "--venv", venv])
    result = root.run([*hidden(root, "/etc/mtab"), *argv], env=user.environment(), status=1)
    assert "ln -s ../proc/self/mounts /etc/mtab" in result.err
    assert venv.is_mounted
    venv.fusepkg("umount")


def test_without_rights_on_the_device_the_error_says_so(root, user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    script = "mount -t tmpfs none /mnt && mknod -m 666 /mnt/null c 1 3 && mknod -m 666 /mnt/urandom c 1 9 && " \
             "mknod -m 600 /mnt/fuse c 10 229 && mount --move /mnt /dev"
    argv = user.argv([user.installed / "bin/fusepkg", "mount", "--venv", venv])
    result = root.run(["unshare", "-m", "sh", "-c", f'{script} && exec "$@"', "sh", *argv], env=user.environment(), status=1)
    assert "/dev/fuse" in result.err and "0666" in result.err


@pytest.mark.parametrize("broken, sentence", [
    (b"\x7fELF\x02\x01\x01" + bytes(57), "cannot run '"),
    (b"#!/nowhere/sh\n", "cannot run '"),
    (b"#!/bin/sh\nexit 127\n", "a library that it needs is missing"),
])
def test_a_program_of_the_mount_that_does_not_run_is_named(account, new_venv, make_wheel, folder, broken, sentence):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    program = account.make_folder(folder / f"broken-{account.name}") / "fusepkg-mount"
    program.write_bytes(broken)
    program.chmod(0o755)
    said = venv.fusepkg("mount", env={"FUSEPKG_MOUNT_PROGRAM": program}, status=1).err
    assert sentence in said and len(said.splitlines()) == 1


def test_no_advice_about_the_machine_where_the_store_is_missing(root, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    store = root.home / "store"
    store.rename(root.home / "away")
    try:
        said = venv.fusepkg("mount", status=1).err
    finally:
        (root.home / "away").rename(store)
    assert "apparmor" not in said and "container" not in said and said.count("\nhint: ") <= 1
