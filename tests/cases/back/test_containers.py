"""The entrypoint of containers by itself, and as process 1; user namespaces, bubblewrap.  test_podman.py has the rest."""
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support import guard


def entrypoint(account):
    return account.installed / "libexec/fusepkg/fusepkg-entrypoint"


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """demo is installed and unmounted."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    venv.fusepkg("umount")
    return venv


def start(account, venv, *job):
    return account.start([entrypoint(account), "--venv", venv, "--", *job], stdout=subprocess.PIPE, text=True)


def test_the_entrypoint_mounts_runs_and_unmounts(account, venv):
    out = account.run([entrypoint(account), "--venv", venv, venv.python, "-c", "import demo, sys; print(demo.version); sys.exit(7)"],
                      status=7).out
    assert out == "1.0\n" and not venv.is_mounted


@pytest.mark.parametrize("env", [{"VIRTUAL_ENV": None}, {}])
def test_the_entrypoint_takes_the_active_venv_or_none(account, venv, env):
    env = env or {"VIRTUAL_ENV": venv.path}
    account.run([entrypoint(account), "sh", "-c", f"grep -q {venv.site} /proc/self/mountinfo"], env=env,
                status=0 if env["VIRTUAL_ENV"] else 1)
    assert not venv.is_mounted


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_the_entrypoint_passes_signals_on(account, venv, number):
    process = start(account, venv, "sh", "-c", f"trap 'exit 9' {number.value}; echo ready; while :; do sleep 0.05; done")
    assert process.stdout.readline() == "ready\n"
    assert venv.is_mounted
    process.send_signal(number)
    assert process.wait() == 9
    process.stdout.close()
    assert not venv.is_mounted


def test_the_entrypoint_ends_as_its_job_does(account, venv):
    account.run([entrypoint(account), "--venv", venv, "--", "sh", "-c", "kill -KILL $$"], status=128 + 9)
    account.run([entrypoint(account), "--venv", venv, "--", "/nonexistent"], status=127)
    account.run([entrypoint(account), "--venv", venv, "--", "/etc"], status=126)
    account.run([entrypoint(account), "--venv", venv, "--", "true"], status=125, env={"FUSEPKG_MOUNT_PROGRAM": "/bin/false"})


def test_as_process_1_it_ends_what_the_job_left(root, new_venv, make_wheel):
    """A process that uses the mount would keep it from being unmounted; one that nobody waits for is reaped."""
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"))
    venv.fusepkg("umount")
    job = f"cd {venv.site} && (sleep 600 & echo x >> demo.py; (sleep 0.01 & ) ; sleep 0.2; " \
          "for i in $(seq 100); do n=$(ps -eo stat= | grep -c Z); [ $n = 0 ] && break; sleep 0.1; done; echo $n)"
    argv = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", entrypoint(root), "--venv", venv, "--", "sh", "-c", job]
    assert root.run(argv, timeout=60).out == "0\n"
    assert not guard.wait_gone(root.mark)
    venv.fusepkg("mount")
    assert (venv.site / "demo.py").read_text().endswith("x\n")


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_in_bubblewrap(account, venv):
    works = account.run(["bwrap", "--dev-bind", "/", "/", "--unshare-user", "true"], status=None)
    if works.status != 0:
        pytest.skip(f"{account.name} may not make a user namespace here: {works.err}")
    out = account.run(["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_SYS_ADMIN",
                       entrypoint(account), "--venv", venv, "--", venv.python, "-c", "import demo; print(demo.version)"]).out
    assert out == "1.0\n" and not venv.is_mounted


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_in_a_sandbox_what_is_missing_is_named(user, new_venv, make_wheel):
    """Nothing there tells what made it; but its root may not mount."""
    venv = new_venv(user)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    links = [path for path in Path("/").iterdir() if path.is_symlink()]
    apart = (*links, Path("/dev"), Path("/proc"), Path("/run"))
    folders = [path for path in Path("/").iterdir() if path.is_dir() and path not in apart]
    box = ["bwrap", "--unshare-user", "--uid", "0", "--gid", "0", "--proc", "/proc", "--dev", "/dev",
           *(word for path in folders for word in ("--bind", path, path)),
           *(word for path in links for word in ("--symlink", path.readlink(), path))]
    if user.run([*box, "true"], status=None).status != 0:
        pytest.skip(f"{user.name} may not make a user namespace here")
    mount = [user.installed / "bin/fusepkg", "mount", "--venv", venv]
    said = user.run([*box, *mount], status=1).err
    assert "--dev-bind /dev/fuse /dev/fuse" in said and "--cap-add CAP_SYS_ADMIN" in said and "fusepkg export" in said
    box += ["--dev-bind", "/dev/fuse", "/dev/fuse"]
    said = user.run([*box, *mount], status=1).err
    assert "--dev-bind" not in said and "--cap-add CAP_SYS_ADMIN" in said and "fusepkg export" in said
    user.run([*box, "--cap-add", "CAP_SYS_ADMIN", entrypoint(user), "--venv", venv, "--", "true"])
