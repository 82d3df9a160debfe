"""Containers: podman with runc, bubblewrap, and the entrypoint by itself."""
import os
import shutil
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import guard
from support.account import remove_tree

LIBRARIES = "python3,libfuse3-3,libisal2,libjansson4,libsqlite3-0,libssl3,libxxhash0,libzstd1"
PODMAN = ["podman", "--runtime", "runc", "run", "--rm", "--network", "none", "--ulimit", "nofile=1024:1024",
          "--ulimit", "nproc=1000:1000"]
MAY = ["--device", "/dev/fuse", "--cap-add", "SYS_ADMIN"]
ENTRYPOINT = "/opt/fusepkg/libexec/fusepkg/fusepkg-entrypoint"


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
    job = f"cd {venv.site} && (sleep 600 & echo x >> demo.py; (sleep 0.01 & ) ; sleep 0.2; ps -eo stat= | grep -c Z; true)"
    argv = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", entrypoint(root), "--venv", venv, "--", "sh", "-c", job]
    assert root.run(argv, timeout=60).out == "0\n"
    assert not guard.wait_gone(root.mark)
    venv.fusepkg("mount")
    assert (venv.site / "demo.py").read_text().endswith("x\n")


@pytest.mark.skipif(not shutil.which("bwrap"), reason="bubblewrap is not installed")
def test_in_bubblewrap(account, venv):
    out = account.run(["bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", "0", "--gid", "0", "--cap-add", "CAP_SYS_ADMIN",
                       entrypoint(account), "--venv", venv, "--", venv.python, "-c", "import demo; print(demo.version)"]).out
    assert out == "1.0\n" and not venv.is_mounted


podman = pytest.mark.skipif(not shutil.which("podman") or not shutil.which("runc"), reason="podman or runc is not installed")


@pytest.fixture(scope="session")
def rootfs(session_folder, installed):
    """Debian with the libraries that fusepkg needs, and fusepkg in /opt."""
    given = os.environ.get("FUSEPKG_TEST_ROOTFS")
    tree = session_folder / "rootfs"
    if given:
        subprocess.run(["cp", "-a", given, tree], check=True)
    else:
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={LIBRARIES}", "bookworm", tree], check=True,
                       capture_output=True, timeout=1800)
    shutil.copytree(installed, tree / "opt/fusepkg")
    yield tree
    remove_tree(tree)


@pytest.fixture
def container(root, rootfs, folder):
    """container("sh", "-c", …, options=[…]): in a container on the root of this test; options come before it."""
    def run(*job, options=(), status=0, env=None, venv=folder / "venv-of-container", start=False):
        venv.mkdir(exist_ok=True)
        env = {"FUSEPKG_STORE": "/store", "VIRTUAL_ENV": "/venv", "PATH": "/venv/bin:/opt/fusepkg/bin:/usr/bin:/bin:/usr/sbin:/sbin",
               "FUSEPKG_TEST": root.mark, **(env or {})}
        argv = [*PODMAN, *options, "-v", f"{venv}:/venv", *(x for k, v in env.items() for x in ("-e", f"{k}={v}")),
                "--rootfs", f"{rootfs}:O", ENTRYPOINT, "--", *job]
        if start:
            return subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=300)
        assert status is None or done.returncode == status, (done.returncode, done.stdout, done.stderr)
        return done

    return run


MAKE = "set -e; python3 -m venv --without-pip /venv; fusepkg add -q /wheels/*.whl; cd /venv/lib/python3.*/site-packages; "


@pytest.fixture
def host(root, new_venv, make_wheel, folder):
    """The host's store has demo and other; options that show it, and the wheels, read-only."""
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"), make_wheel("other"))
    return ["-v", f"{root.store}:/store:ro", "-v", f"{folder / 'wheels'}:/wheels:ro"]


@podman
@pytest.mark.long
def test_ten_containers_share_the_hosts_store(container, host, folder):
    def one(n):
        job = MAKE + f"echo 'n = {n}' >> demo.py; cd /; python -c 'import demo, other; print(demo.n)'"
        first = container("sh", "-c", job, options=[*MAY, *host], venv=folder / f"venv{n}").stdout
        again = container("python", "-c", "import demo; print(demo.n, demo.version)", options=[*MAY, *host], venv=folder / f"venv{n}").stdout
        return first, again

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(one, range(10))) == [(f"{n}\n", f"{n} 1.0\n") for n in range(10)]


@podman
@pytest.mark.long
def test_stopping_it_unmounts_cleanly(container, host, folder):
    job = MAKE + "echo 'n = 5' >> demo.py; cd /; trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    name = f"fusepkg-{os.getpid()}"
    process = container("sh", "-c", job, options=[*MAY, *host, "--name", name], start=True)
    assert process.stdout.readline() == "ready\n"
    subprocess.run(["podman", "pause", name], check=True, capture_output=True)
    subprocess.run(["podman", "unpause", name], check=True, capture_output=True)
    subprocess.run(["podman", "stop", "--time", "30", name], check=True, capture_output=True)
    assert process.wait() == 3
    process.stdout.close()
    assert "unmounted from" in (folder / "venv-of-container/.fusepkg/log").read_text()
    assert container("python", "-c", "import demo; print(demo.n)", options=[*MAY, *host]).stdout == "5\n"


@podman
@pytest.mark.long
@pytest.mark.parametrize("options, lacks", [
    (["--cap-add", "SYS_ADMIN"], ["--device /dev/fuse"]),
    (["--device", "/dev/fuse"], ["--cap-add SYS_ADMIN"]),
    ([], ["--device /dev/fuse", "--cap-add SYS_ADMIN"]),
])
def test_what_is_missing_is_named_and_eject_works(container, host, options, lacks):
    said = container("sh", "-c", MAKE + "true", options=[*options, *host], status=1).stderr
    for word in (*lacks, "fusepkg eject", "fusepkg export"):
        assert word in said, said
    for word in {"--device /dev/fuse", "--cap-add SYS_ADMIN"} - set(lacks):
        assert word not in said, said
    done = container("sh", "-c", "fusepkg eject --venv /venv && python -c 'import demo; print(demo.version)'", env={"VIRTUAL_ENV": ""},
                     options=[*options, *host])
    assert done.stdout == "1.0\n"


@podman
@pytest.mark.long
def test_in_a_pod_what_is_missing_is_the_pods(container, host):
    said = container("sh", "-c", MAKE + "true", options=host, status=1, env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).stderr
    assert "device plugin" in said and "SYS_ADMIN" in said and "--cap-add" not in said


@podman
@pytest.mark.long
def test_a_private_store_above_the_hosts(root, container, host, make_wheel, folder):
    before = sorted(p.relative_to(root.store) for p in root.store.rglob("*"))
    (folder / "wheels/more").mkdir()
    make_wheel("mine", folder=folder / "wheels/more")
    options = [*MAY, "-v", f"{root.store}:/base:ro", "-v", f"{folder / 'wheels'}:/wheels:ro", "-v", f"{folder / 'upper'}:/upper"]
    (folder / "upper").mkdir()
    env = {"FUSEPKG_STORE_BASE": "/base", "FUSEPKG_STORE_UPPER": "/upper"}
    out = container("sh", "-c", MAKE + "cd /; fusepkg add -q /wheels/more/*.whl && python -c 'import demo, mine; print(mine.version)'",
                    options=options, env=env).stdout
    assert out == "1.0\n"
    out = container("python", "-c", "import demo, mine; print(mine.version)", options=options, env=env).stdout
    assert out == "1.0\n"
    assert sorted(p.relative_to(root.store) for p in root.store.rglob("*")) == before
