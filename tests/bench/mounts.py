#!/usr/bin/env python3
"""What a mount of 20,000 files costs to start, warm and with nothing in memory, and what it costs beside others: `fusepkg mount`,
Python's start with the mount there, absent (it mounts then), and in a plain venv; memory and wake-ups of many mounts.

    tests/bench/mounts.py --prefix build-release/installed --mounts 200"""
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import Bench, parser, site_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.make_wheel import make_wheel  # noqa: E402

WALK = "import os, sys; print(sum(os.lstat(os.path.join(f, n)).st_size >= 0 for f, _, ns in os.walk(sys.argv[1]) for n in ns))"
IDLE_SECONDS = 10


def milliseconds(what, seconds):
    values = [s * 1000 for s in seconds]
    print(f"{what}: {statistics.median(values):.1f} ms ({min(values):.1f}–{max(values):.1f}), {len(values)} runs")


def drop_caches():
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def time_starts(bench, venv, plain):
    cold, warm, started, there, without = [], [], [], [], []
    python = ["-c", "pass"]
    bench.run([plain / "bin/python", *python])
    for _ in range(bench.options.runs):
        bench.fusepkg("umount", "--venv", venv)
        warm.append(bench.fusepkg("mount", "--quiet", "--venv", venv)[0])
        bench.run([venv / "bin/python", *python]) # lists the folder
        there.append(bench.run([venv / "bin/python", *python])[0])
        without.append(bench.run([plain / "bin/python", *python])[0])
        bench.fusepkg("umount", "--venv", venv)
        started.append(bench.run([venv / "bin/python", *python])[0])
    for _ in range(bench.options.runs):
        bench.fusepkg("umount", "--venv", venv)
        drop_caches()
        cold.append(bench.fusepkg("mount", "--quiet", "--venv", venv)[0])
    milliseconds("fusepkg mount, nothing in memory", cold)
    milliseconds("fusepkg mount", warm)
    milliseconds("python -c pass that mounts", started)
    milliseconds("python -c pass, mounted", there)
    milliseconds("python -c pass, a plain venv", without)


def pids_of(bench, venv):
    said = json.loads(bench.fusepkg("status", "--json", "--venv", venv)[1])[0]
    return said["keeper_pid"], said["worker_pid"]


def status_sum(pids, field, of="status"):
    files = [f for pid in pids for f in Path(f"/proc/{pid}").glob(of)]
    return sum(int(line.split()[1]) for f in files for line in f.read_text().splitlines() if line.startswith(field))


def show_many(bench, venvs):
    pairs = [pids_of(bench, venv) for venv in venvs]
    fresh = [status_sum(pair, "RssAnon") / 1024 for pair in pairs]
    walks = []
    for venv in venvs:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-ISc", WALK, site_of(venv)], check=True, stdout=subprocess.DEVNULL)
        walks.append(time.perf_counter() - begin)
    walked = [status_sum(pair, "RssAnon") / 1024 for pair in pairs]
    time.sleep(IDLE_SECONDS)
    everyone = [pid for pair in pairs for pid in pair]
    before = status_sum(everyone, "voluntary", "task/*/status")
    time.sleep(IDLE_SECONDS)
    woken = status_sum(everyone, "voluntary", "task/*/status") - before
    idle = [status_sum(pair, "RssAnon") / 1024 for pair in pairs]
    milliseconds("first walk", walks)
    for when, values in (("fresh", fresh), ("after a walk", walked), ("idle", idle)):
        print(f"RssAnon of keeper and worker, {when}: {statistics.median(values):.1f} MiB, at most {max(values):.1f}")
    print(f"wake-ups of all {len(venvs)} idle mounts in {IDLE_SECONDS} s: {woken}")


def main():
    p = parser(__doc__, runs=20)
    p.add_argument("--packages", type=int, default=100)
    p.add_argument("--files", type=int, default=200, help="of each package")
    p.add_argument("--mounts", type=int, default=20)
    options = p.parse_args()
    with Bench(options) as bench:
        wheels = []
        for n in range(options.packages):
            files = {f"package{n}/folder{i // 50}/module_{i}.py": f"value = {i}\n" * (1 + i % 200) for i in range(options.files)}
            wheels.append(make_wheel(bench.folder / "wheels", f"package{n}", "1.0", files))
        plain = bench.new_venv(bench.other)
        venvs = [bench.new_venv(bench.other) for _ in range(options.mounts)]
        for venv in venvs:
            bench.fusepkg("add", "--quiet", "--venv", venv, *wheels)
        time_starts(bench, venvs[0], plain)
        show_many(bench, venvs)


main()
