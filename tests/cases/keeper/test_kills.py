"""A mount whose worker is killed again and again: no program sees an error, and the tree is right afterwards."""
import os
import signal
import subprocess

import pytest

from killer import Killer

# With sanitizers each of many starts takes a second, and pauses are all that is seen.
pytestmark = pytest.mark.release

SHORT, LONG = 25, 300
SWEEP = """
import hashlib, os, sys
total = hashlib.sha256()
for folder, folders, files in os.walk(sys.argv[1]):
    folders.sort()
    for name in sorted(files):
        path = os.path.join(folder, name)
        with open(path, 'rb', buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            data = b''
            while piece := file.read(1 << 20):
                data += piece
        total.update(os.path.relpath(path, sys.argv[1]).encode() + b'\\0' + hashlib.sha256(data).digest())
print(total.hexdigest())
"""
# Each step is one that must happen once: what is made must not be there yet, what is removed or renamed must be.
NAMES = """
import os, sys
folder = sys.argv[1] + '/made'
os.makedirs(folder, exist_ok=True)
n = 0
while not os.path.exists(sys.argv[2]):
    a, b, c = (f'{folder}/{x}{n % 7}' for x in 'abc')
    fd = os.open(a, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(fd, b'x' * (n % 5000))
    os.close(fd)
    assert os.stat(a).st_size == n % 5000
    os.link(a, c)
    os.rename(a, b)
    assert os.stat(b).st_nlink == 2, os.stat(b)
    os.mkdir(a)
    os.symlink('b', a + '/link')
    assert sorted(os.listdir(a)) == ['link']
    os.unlink(a + '/link')
    os.rmdir(a)
    os.unlink(c)
    fd = os.open(b, os.O_RDWR)
    os.unlink(b)
    os.pwrite(fd, b'still here', 10000)
    assert os.pread(fd, 100, 10000) == b'still here'
    os.ftruncate(fd, 3)
    assert os.fstat(fd).st_size == 3 and os.fstat(fd).st_nlink == 0
    os.close(fd)
    n += 1
assert os.listdir(folder) == []
print(n)
"""


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    files = {f"demo/sub{i % 9}/module_{i}.py": f"value = {i}\n" * (1 + i * 7 % 900) for i in range(600)}
    venv.fusepkg("add", make_wheel("demo", files={**files, "demo/big.bin": os.urandom(3_000_000)}))
    return venv


def python(venv, code, *args):
    return venv.account.start(["/usr/bin/python3", "-ISc", code, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out


def sweep(venv):
    return result(python(venv, SWEEP, venv.site / 'demo'))


def use_until(venv, killer, kills, folder):
    """Sweeps and changes of names, side by side, until so many kills."""
    stop = folder / "stop"
    before = sweep(venv)
    with killer:
        names = python(venv, NAMES, venv.site, stop)
        try:
            while killer.kills < kills:
                assert sweep(venv) == before
                assert names.poll() is None, names.communicate()
        finally:
            stop.write_text("")
        rounds = int(result(names))
    venv.account.run(["rmdir", venv.site / "made"])
    assert sweep(venv) == before
    assert killer.kills >= kills and rounds > 0
    stop.unlink()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_of_the_worker(venv, folder, number):
    use_until(venv, Killer(venv, "worker", number), SHORT, folder)
    now = venv.fusepkg("status", "--json").json()[0]
    assert now["restarts"] >= SHORT and f"signal {number.value}" in now["last_reason"]


def test_of_the_keeper(venv, folder):
    use_until(venv, Killer(venv, "keeper"), SHORT, folder)
    now = venv.fusepkg("status", "--json").json()[0]
    assert now["state"] == "mounted" and now["restarts"] == 0


@pytest.mark.long
@pytest.mark.parametrize("who,number", [("worker", signal.SIGKILL), ("worker", signal.SIGSEGV), ("keeper", signal.SIGKILL)])
def test_three_hundred_times(venv, folder, who, number):
    use_until(venv, Killer(venv, who, number), LONG, folder)
