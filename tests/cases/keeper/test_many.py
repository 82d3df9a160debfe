"""Two hundred mounts of an environment of 20,000 files: what each takes, that it costs nothing while nobody uses it, and
that all of them serve on when all of their workers, and then all of their keepers, are killed in one moment."""
import hashlib
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from killer import pid_of

# With sanitizers each of many starts takes a second, and pauses are all that is seen.
pytestmark = pytest.mark.release

PACKAGES, FILES = 40, 500
LIMIT = 4_000_000 # bytes of a keeper and its worker
SAMPLE = 50       # of so many files one is read in each walk, always another one
WAIT_SECONDS = 300
IDLE_SECONDS = 5
WALK = """
import hashlib, os, sys
total, n = hashlib.sha256(), 0
for folder, folders, names in os.walk(sys.argv[1]):
    folders[:] = sorted(f for f in folders if folder != sys.argv[1] or f.startswith('package') and not f.endswith('.dist-info'))
    for name in sorted(names) if folder != sys.argv[1] else ():
        path = os.path.join(folder, name)
        total.update(b'%s %d\\0' % (os.path.relpath(path, sys.argv[1]).encode(), os.lstat(path).st_size))
        n += 1
        if n % int(sys.argv[3]) == int(sys.argv[2]):
            with open(path, 'rb') as file:
                total.update(file.read())
print(n, total.hexdigest())
"""


def all_files():
    return {f"package{p}/folder{i // 50}/module_{i}.py": f"value = {p} + {i}\n" * (1 + i % 200)
            for p in range(PACKAGES) for i in range(FILES)}


def expected(files, turn):
    """What WALK prints, by the names and bytes that went into the wheels."""
    total = hashlib.sha256()
    for n, path in enumerate(sorted(files, key=lambda p: p.split("/")), 1):
        data = files[path].encode()
        total.update(b"%s %d\0" % (path.encode(), len(data)))
        if n % SAMPLE == turn:
            total.update(data)
    return f"{len(files)} {total.hexdigest()}"


def walk(venv, turn):
    return subprocess.run(["/usr/bin/python3", "-ISc", WALK, venv.site, str(turn), str(SAMPLE)], check=True, capture_output=True,
                          text=True, timeout=WAIT_SECONDS).stdout.strip()


def rss_anon(pid):
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def processes(venvs):
    return [(pid_of(venv, "keeper"), pid_of(venv, "worker")) for venv in venvs]


def switches(venvs):
    """How often the threads of all keepers and workers have been woken up."""
    statuses = [s.read_text() for pids in processes(venvs) for pid in pids for s in Path(f"/proc/{pid}/task").glob("*/status")]
    return sum(int(line.split()[1]) for status in statuses for line in status.splitlines() if line.startswith("voluntary"))


def rest(venvs):
    """What a worker took to answer is given back when nothing has come for a few seconds; then it sleeps, and so does its keeper."""
    end = time.monotonic() + WAIT_SECONDS
    while (most := max(sum(map(rss_anon, pids)) for pids in processes(venvs))) >= LIMIT:
        assert time.monotonic() < end, f"a mount takes {most} bytes"
        time.sleep(1)
    while True:
        before = switches(venvs)
        time.sleep(IDLE_SECONDS)
        if switches(venvs) - before < len(venvs):
            return
        assert time.monotonic() < end, "idle mounts wake up again and again"


def kill_all(venvs, who):
    """In one moment; returns when each mount has another one."""
    old = {venv: pid_of(venv, who) for venv in venvs}
    for pid in old.values():
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + WAIT_SECONDS
    while any(pid_of(venv, who) in (0, pid) for venv, pid in old.items()):
        assert time.monotonic() < end, f"not each mount has another {who}"
        time.sleep(0.05)


def serve_all(pool, venvs, files, turn):
    right = expected(files, turn)
    for venv, seen in zip(venvs, pool.map(lambda v: walk(v, turn), venvs)):
        assert seen == right, f"{venv.path}\n{(venv.state / 'lock').read_text().strip()}\n{venv.log}"
        (venv.site / f"written{turn}.txt").write_text(str(venv))
    for venv in venvs:
        try:
            assert (venv.site / f"written{turn}.txt").read_text() == str(venv)
        except OSError as error:
            pytest.fail(f"{error}: {venv.path}\n{(venv.state / 'lock').read_text().strip()}\n{venv.log}")


@pytest.mark.parametrize("mounts", [4, pytest.param(200, marks=pytest.mark.long)])
def test_many_mounts_live_on(root, new_venv, make_wheel, mounts):
    files = all_files()
    wheels = [make_wheel(f"package{p}", "1.0", {path: data for path, data in files.items() if path.startswith(f"package{p}/")})
              for p in range(PACKAGES)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        venvs = list(pool.map(lambda n: new_venv(root, name=f"venv{n}"), range(mounts)))
        list(pool.map(lambda v: v.fusepkg("add", "--quiet", *wheels), venvs))
        serve_all(pool, venvs, files, 1)
        rest(venvs)
        for turn, who in ((2, "worker"), (3, "keeper"), (4, "worker")):
            kill_all(venvs, who)
            serve_all(pool, venvs, files, turn)
        rest(venvs)
        for venv in venvs:
            said = venv.fusepkg("status", "--json").json()[0]
            assert said["state"] == "mounted" and said["restarts"] == 2, said
