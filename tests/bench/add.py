#!/usr/bin/env python3
"""Adding a set of wheels: cold (empty store against empty cache) and known (a second venv on another partition against
uv's hard links on one), and the disk that either takes.

    tests/bench/add.py --prefix build-release/installed --python python3.12 FOLDER_OF_WHEELS"""
import shutil
import subprocess

from common import Bench, disk, parser, report, wheels_in


def cold(bench, wheels):
    """Returns with the store and the cache filled by the last run."""
    ours, theirs = [], []
    for _ in range(bench.options.runs):
        for folder in (bench.store, bench.uv_cache):
            shutil.rmtree(folder, ignore_errors=True)
        venv = bench.new_venv(bench.folder)
        subprocess.run(["sync"], check=True)
        theirs.append(bench.uv_install(venv, wheels, "hardlink"))
        bench.drop_venv(venv)
        venv = bench.new_venv(bench.folder)
        subprocess.run(["sync"], check=True)
        ours.append(bench.fusepkg("add", "--quiet", "--venv", venv, *wheels)[0])
        bench.drop_venv(venv)
    report("cold", ours, theirs)


def known(bench, wheels):
    ours, theirs, grown = [], [], []
    for _ in range(bench.options.runs):
        venv = bench.new_venv(bench.folder)
        theirs.append(bench.uv_install(venv, wheels, "hardlink"))
        bench.drop_venv(venv)
        venv = bench.new_venv(bench.other)
        before = disk(bench.store, venv)
        ours.append(bench.fusepkg("add", "--quiet", "--venv", venv, *wheels)[0])
        grown.append(disk(bench.store, venv) - before)
        bench.drop_venv(venv)
    report("known, fusepkg on another partition, uv by hard links on one", ours, theirs)
    print(f"known: new disk {max(grown) / 1e6:.2f} MB at most")


def main():
    p = parser(__doc__, runs=5)
    p.add_argument("--cold-runs", type=int, default=3)
    p.add_argument("wheels", nargs="+", help="folders of wheels")
    options = p.parse_args()
    wheels = wheels_in(options.wheels)
    print(f"{len(wheels)} wheels, {sum(w.stat().st_size for w in wheels) / 1e6:.0f} MB")
    with Bench(options) as bench:
        runs, options.runs = options.runs, options.cold_runs
        cold(bench, wheels)
        options.runs = runs
        store, cache = disk(bench.store), disk(bench.uv_cache)
        print(f"disk: store {store / 1e6:.1f} MB, uv's cache {cache / 1e6:.1f} MB, ratio {store / cache:.3f}")
        known(bench, wheels)


main()
