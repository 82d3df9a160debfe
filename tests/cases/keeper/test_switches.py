"""Packages come and go while workers are killed: what the kernel was told of it, and what it was not."""
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from killer import Killer, pid_of
from support.mount_kill import is_dead, is_running, kill_both, pids

# With sanitizers each of many starts takes a second, and pauses are all that is seen.
pytestmark = pytest.mark.release

ROUNDS = 12
IMPORT = """
import sys
import changing, demo
assert changing.number == int(sys.argv[1]), changing.number
assert demo.value == 1
"""


def wait_until(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it does not come about")


@pytest.fixture(params=["with resend", "without"])
def environment(request):
    return {"FUSEPKG_RESEND": "0"} if request.param == "without" else {}


def wheel(make_wheel, n):
    files = {"changing/__init__.py": f"number = {n}\n", f"changing/only{n}.py": f"# {n}\n", f"changing/sub{n % 2}/a.py": f"# {n}\n" * 50}
    return make_wheel("changing", f"{n}.0", files=files)


def test_an_upgrade_of_a_package_is_seen_whole(account, new_venv, make_wheel, environment):
    venv = new_venv(account)
    wheels = [wheel(make_wheel, n) for n in range(ROUNDS)]
    venv.fusepkg("add", wheels[0], make_wheel("demo", files={"demo.py": "value = 1\n"}), env=environment)
    with Killer(venv, "worker", period=0.05) as killer:
        for n in range(1, ROUNDS):
            held = venv.account.start(["/usr/bin/python3", "-ISc", f"f = open({str(venv.site)!r} + '/changing/only{n - 1}.py'); print('ready', flush=True);"
                                       f"input(); import os; os.fstat(f.fileno()); assert f.read() == '# {n - 1}\\n'; print('fine')"],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert held.stdout.readline() == "ready\n"
            venv.fusepkg("add", "--quiet", wheels[n])
            assert sorted(os.listdir(venv.site / "changing")) == sorted(["__init__.py", f"only{n}.py", f"sub{n % 2}"]) \
                if account.is_root else True
            venv.run_python(IMPORT, str(n))
            killer.wait_for(killer.kills + 1)
            assert held.communicate("\n", timeout=60)[0] == "fine\n"
            venv.run_python(IMPORT, str(n))
        killer.wait_for(ROUNDS)
    assert venv.fusepkg("status", "--json").json()[0]["restarts"] >= ROUNDS


def test_both_in_one_moment_are_repaired_by_the_next_command(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    account.run(["sh", "-c", f"echo kept > {venv.site}/mine.py"])
    wheel = make_wheel("more")
    for command in (["mount"], ["list"], ["freeze"], ["show", "demo"], ["status"], ["diff"], ["verify"], ["add", wheel], ["remove", "more"],
                    ["revert", "demo"], ["export", "--to", account.work / "exported"], ["debug requests"], ["upgrade-mounts"]):
        kill_both(venv)
        assert is_dead(venv)
        venv.fusepkg(*command, status=1 if command == ["verify"] else 0)
        assert venv.is_mounted and not is_dead(venv), command
        venv.run_python("import demo")
        assert venv.account.run(["cat", venv.site / "mine.py"]).out == "kept\n"


def test_whoever_replaces_the_other_ends_with_the_mount(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    for _ in range(3):
        keeper, worker = pids(venv)
        os.kill(keeper, signal.SIGKILL)
        while pid_of(venv, "keeper") == keeper:
            pass
        os.kill(worker, signal.SIGKILL)
        while pid_of(venv, "worker") in (0, worker):
            pass
        venv.run_python("import demo")
    os.kill(pids(venv)[0], signal.SIGTERM)
    while venv.is_mounted:
        pass
    # The leftover guard sees to it that no process is left.


def test_a_worker_that_can_start_no_keeper_goes_on_without(user, new_venv, make_wheel):
    """Its user may have no more processes."""
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    keeper, worker = pids(venv)
    user.run(["prlimit", "--pid", str(worker), "--nproc=1:"])
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: "keeper" in venv.log)
    venv.run_python("import demo")
    time.sleep(1)  # in which it may have tried again and again
    assert venv.log.count("keeper") == 1 and "cannot be started" in venv.log
    user.run(["fusermount3", "-u", venv.site])
    wait_until(lambda: not is_running(worker))
    venv.fusepkg("mount")
    venv.run_python("import demo")


def test_a_worker_starts_a_keeper_when_it_can_again(user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    keeper, worker = pids(venv)
    user.run(["prlimit", "--pid", str(worker), "--nproc=1:"])
    os.kill(keeper, signal.SIGKILL)
    wait_until(lambda: "keeper" in venv.log)
    user.run(["prlimit", "--pid", str(worker), "--nproc=1000:"])
    wait_until(lambda: pids(venv)[0] not in (keeper, None))
    os.kill(worker, signal.SIGKILL)
    venv.run_python("import demo")


def test_a_worker_that_cannot_start_leaves_errors_and_no_hangs(root, new_venv, make_wheel, folder):
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo", files={"demo.py": "value = 1\n", "later.py": "value = 2\n"}))
    venv.run_python("import demo")
    root.store.rename(folder / "away")
    os.kill(pids(venv)[1], signal.SIGKILL)
    held = root.run(["cat", venv.site / "later.py"], status=None, timeout=60)
    assert held.status != 0 and "Input/output error" in held.err
    now = venv.fusepkg("status", "--json").json()[0]
    assert now["state"] == "mounted" and str(root.store) in now["last_reason"]
    (folder / "away").rename(root.store)
    while not pid_of(venv, "worker"):
        pass
    while root.run(["cat", venv.site / "later.py"], status=None, timeout=60).out != "value = 2\n":
        pass


def test_a_request_behind_the_one_that_wakes_a_resting_mount(root, new_venv, make_wheel):
    """The keeper hears of the first from the worker, and sees the second wait, in the same moment."""
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo", files={"one/a.py": "", "two/b.py": ""}))
    time.sleep(8)  # nobody asks: both sleep
    keeper, worker = pids(venv)
    os.kill(keeper, signal.SIGSTOP)
    assert os.listdir(venv.site / "one") == ["a.py"]
    os.kill(worker, signal.SIGSTOP)
    with ThreadPoolExecutor() as pool:
        second = pool.submit(os.listdir, venv.site / "two")
        for pid in keeper, worker:
            time.sleep(0.3)
            os.kill(pid, signal.SIGCONT)
        assert second.result(60) == ["b.py"]
