"""Containers: podman with runc, as root and as an ordinary user."""
import json
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from boxes import MAY, Podman, make_root

from support.account import remove_tree

pytestmark = [pytest.mark.release,
              pytest.mark.skipif(not shutil.which("podman") or not shutil.which("runc"), reason="podman or runc is not installed")]

MAKE = "set -e; python3 -m venv --without-pip /venv; fusepkg add -q /wheels/*.whl; cd /venv/lib/python3.*/site-packages; "
SHOW = ("python", "-c", "import demo; print(demo.n, demo.version)")


@pytest.fixture(scope="session")
def tree(session_folder, installed):
    tree = session_folder / "root-of-containers"
    make_root(tree, installed)
    yield tree
    remove_tree(tree)


@pytest.fixture
def boxes(tree, folder):
    """boxes(account) -> Podman, where a container can be run at all."""
    made = []

    def make(account):
        mine = tree
        if not account.is_root:  # whose podman cannot lay an overlay over another's folder
            mine = account.home / "root-of-containers"
            subprocess.run(["cp", "-a", tree, mine], check=True)
            account.give(mine)
        made.append(Podman(account, mine, folder))
        works = made[-1].run("true", status=None, entrypoint=False)
        if works.status != 0:
            pytest.skip(f"no container runs here: {works.err}")
        return made[-1]

    yield make
    for box in made:
        box.close()


@pytest.fixture
def box(account, boxes):
    return boxes(account)


@pytest.fixture
def host(account, new_venv, make_wheel, folder):
    """The host's store has demo and other; options that show it, and the wheels, read-only."""
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"), make_wheel("other"))
    return ["-v", f"{account.store}:/store:ro", "-v", f"{folder / 'wheels'}:/wheels:ro"]


def test_ten_containers_share_the_hosts_store(box, host, account):
    def one(n):
        job = MAKE + f"echo 'n = {n}' >> demo.py; cd /; python -c 'import demo, other; print(demo.n)'"
        first = box.run("sh", "-c", job, options=[*MAY, *host], venv=f"venv{n}").out
        again = box.run(*SHOW, options=[*MAY, *host], venv=f"venv{n}").out
        return first, again

    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(one, range(10))) == [(f"{n}\n", f"{n} 1.0\n") for n in range(10)]
    assert account.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}


EDIT = MAKE + "echo 'n = 5' >> demo.py; cd /; trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
SHOW_AND_STAY = "trap 'exit 3' TERM; python -c 'import demo; print(demo.n)'; while :; do sleep 0.05; done"
PATIENCE_S = 60


def start(box, job, *options, says, **how):
    """A container that runs on its own and has said SAYS; its name."""
    name = box.name()
    box.run("sh", "-c", job, options=["--detach", *options], name=name, **how)
    wait_for(box, name, says)
    return name


def wait_for(box, name, says):
    end = time.monotonic() + PATIENCE_S
    while (said := box("logs", name)).out != says:
        assert time.monotonic() < end, said
        time.sleep(0.1)


def stop(box, name):
    """Its status."""
    box("stop", "--time", "30", name)
    return int(box("wait", name).out)


def test_stopping_it_unmounts_cleanly(box, host, folder):
    name = start(box, EDIT, *MAY, *host, says="ready\n")
    if box.account.is_root:  # whom the cgroup's freezer belongs to
        box("pause", name)
        box("unpause", name)
    assert stop(box, name) == 3
    assert "unmounted from" in (folder / "venv/.fusepkg/log").read_text()
    assert box.run(*SHOW, options=[*MAY, *host]).out == "5 1.0\n"


def test_a_container_that_was_killed_comes_back(box, host):
    """Another one with the same venv, and the same one again."""
    name = start(box, EDIT, *MAY, *host, says="ready\n")
    box("kill", "--signal", "KILL", name)
    assert int(box("wait", name).out) == 128 + signal.SIGKILL
    assert box.run(*SHOW, options=[*MAY, *host]).out == "5 1.0\n"
    name = start(box, SHOW_AND_STAY, *MAY, *host, says="5\n")
    box("kill", "--signal", "KILL", name)
    box("wait", name)
    box("start", name)
    wait_for(box, name, "5\n5\n")
    box("restart", "--time", "30", name)
    wait_for(box, name, "5\n5\n5\n")
    assert stop(box, name) == 3


def test_the_hosts_gc_knows_what_containers_use(root, boxes, host_alone, folder):
    """Its own environment is gone; mounts in containers, and what is stacked on the store, keep their packages."""
    box = boxes(root)
    gc = lambda: [p["name"] for p in root.fusepkg("store", "gc", "--json").json()["removed"]]
    name = start(box, EDIT, *MAY, *host_alone, says="ready\n")
    assert gc() == []
    assert stop(box, name) == 3
    above = [*MAY, "-v", f"{root.store}:/base:ro", "-v", f"{folder / 'wheels'}:/wheels:ro"]
    name = start(box, EDIT, *above, says="ready\n", env={"FUSEPKG_STORE_BASE": "/base"}, venv="stacked")
    assert gc() == []
    assert stop(box, name) == 3
    assert gc() == ["demo", "other"]


@pytest.fixture
def host_alone(root, new_venv, make_wheel, folder):
    """A store whose only environment is gone."""
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"), make_wheel("other"))
    remove_tree(venv.state)
    return ["-v", f"{root.store}:/store:ro", "-v", f"{folder / 'wheels'}:/wheels:ro"]


EVERYTHING = MAKE + """
    echo 'n = 5' >> demo.py
    fusepkg list; fusepkg status | grep -qx /venv; fusepkg diff; fusepkg freeze; fusepkg store du; fusepkg store verify
    fusepkg doctor >/tmp/said || true; grep '^store .* ok .*read-only' /tmp/said
    ! fusepkg verify; fusepkg revert --all; fusepkg verify; fusepkg export --to /tmp/exported
    fusepkg remove -q other; fusepkg add -q /wheels/other*.whl; python -c 'import other'
    ! fusepkg add -q /wheels/more/*.whl 2>/tmp/said; grep -q read-only /tmp/said; grep -q mine-1.0 /tmp/said
    cd /; fusepkg umount; fusepkg mount; python -c 'import demo, other; print("all of it")'
"""


def test_a_read_only_store_is_enough_for_all_but_filling_it(box, host, make_wheel, folder):
    (folder / "wheels/more").mkdir()
    make_wheel("mine", folder=folder / "wheels/more")
    assert box.run("sh", "-c", EVERYTHING, options=[*MAY, *host]).out.endswith("all of it\n")


@pytest.mark.parametrize("options, lacks", [
    (["--cap-add", "SYS_ADMIN"], ["--device /dev/fuse"]),
    (["--device", "/dev/fuse"], ["--cap-add SYS_ADMIN"]),
    ([], ["--device /dev/fuse", "--cap-add SYS_ADMIN"]),
])
def test_what_is_missing_is_named_and_eject_works(box, host, options, lacks):
    said = box.run("sh", "-c", MAKE + "true", options=[*options, *host], status=1).err
    for word in (*lacks, "fusepkg eject", "fusepkg export"):
        assert word in said, said
    for word in {"--device /dev/fuse", "--cap-add SYS_ADMIN"} - set(lacks):
        assert word not in said, said
    job = ("fusepkg export --venv /venv --to /tmp/plain && find /tmp/plain -name demo.py | grep -q . && "
           "fusepkg eject --venv /venv && python -c 'import demo; print(demo.version)'")
    done = box.run("sh", "-c", job, env={"VIRTUAL_ENV": ""}, options=[*options, *host])
    assert done.out == "1.0\n"


def test_in_a_pod_what_is_missing_is_the_pods(box, host):
    said = box.run("sh", "-c", MAKE + "true", options=host, status=1, env={"KUBERNETES_SERVICE_HOST": "10.0.0.1"}).err
    assert "device plugin" in said and "SYS_ADMIN" in said and "--cap-add" not in said


def test_in_docker_what_is_missing_is_named(root, boxes, host_alone):
    """What tells it from podman is the file that it makes."""
    job = "umount /run/.containerenv; unset container; touch /.dockerenv; exec setpriv --bounding-set=-sys_admin sh -c '" + MAKE + "true'"
    said = boxes(root).run("sh", "-c", job, options=["--cap-add", "SYS_ADMIN", *host_alone], status=1).err
    assert "--device /dev/fuse" in said and "--cap-add SYS_ADMIN" in said, said


def test_mount_may_be_refused_by_a_filter_of_system_calls(box, host, folder):
    """As by a seccomp profile of somebody's own, or by AppArmor: nothing is missing then, and what to try is named."""
    profile = folder / "seccomp.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
                                   "syscalls": [{"names": ["mount"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}]}))
    said = box.run("sh", "-c", MAKE + "true", options=[*MAY, *host, "--security-opt", f"seccomp={profile}"], status=1).err
    assert "seccomp" in said and "apparmor=unconfined" in said and "fusepkg eject" in said, said
    assert box.run("sh", "-c", MAKE + "cd /; python -c 'import demo; print(demo.version)'", venv="another",
                   options=[*MAY, *host, "--security-opt", "seccomp=unconfined"]).out == "1.0\n"


def test_a_private_store_above_the_hosts(box, host, account, make_wheel, folder):
    before = sorted(p.relative_to(account.store) for p in account.store.rglob("*"))
    (folder / "wheels/more").mkdir()
    make_wheel("mine", folder=folder / "wheels/more")
    account.make_folder(folder / "upper")
    options = [*MAY, "-v", f"{account.store}:/base:ro", "-v", f"{folder / 'wheels'}:/wheels:ro", "-v", f"{folder / 'upper'}:/upper"]
    env = {"FUSEPKG_STORE_BASE": "/base", "FUSEPKG_STORE_UPPER": "/upper"}
    job = MAKE + "cd /; fusepkg add -q /wheels/more/*.whl && python -c 'import demo, mine; print(mine.version)'"
    assert box.run("sh", "-c", job, options=options, env=env).out == "1.0\n"
    assert box.run("python", "-c", "import demo, mine; print(mine.version)", options=options, env=env).out == "1.0\n"
    assert sorted(p.relative_to(account.store) for p in account.store.rglob("*")) == before


def test_process_1_passes_the_status_on_and_reaps(box, host):
    job = MAKE + """
        cd /; (setsid sh -c 'cd /venv/lib/python3.*/site-packages && exec sleep 1000' >/dev/null 2>&1 &)
        (sleep 0.01 & ); sleep 0.3
        zombies() { cat /proc/[0-9]*/stat 2>/dev/null | grep -o ') Z'; }
        for i in $(seq 100); do zombies >/dev/null || break; sleep 0.1; done
        zombies || true
        kill -USR1 $$
    """
    done = box.run("sh", "-c", job, options=[*MAY, *host], status=128 + signal.SIGUSR1)
    assert done.out == ""
    assert box.run("sh", "-c", "exit 42", options=[*MAY, *host], status=42).out == ""
