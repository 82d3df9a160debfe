#!/usr/bin/env python3
"""pip installing a set of wheels into a mounted environment, against the same into a plain venv on the file system below: as pip does by
default (with bytecode), and without bytecode.  The environment's smallest wheel is fusepkg's, the rest pip's.

The venvs stay until the end: an ext4 without a journal passes over the inodes that were freed in the last minutes one by one, and would
take twice the time.

    tests/bench/pip_install.py --prefix build-release/installed --python python3.12 FOLDER_OF_WHEELS"""
import sys

from common import Bench, parser, report, wheels_in


def install(bench, venv, wheels, options):
    return bench.run([bench.options.pip, "-m", "pip", "--python", venv / "bin/python", "--disable-pip-version-check", "install", "--quiet",
                      "--no-index", "--no-deps", *options, *wheels])[0]


def compare(bench, what, wheels, options):
    first, *rest = sorted(wheels, key=lambda w: w.stat().st_size)
    ours, theirs = [], []
    for _ in range(bench.options.runs):
        theirs.append(install(bench, bench.new_venv(bench.folder), rest, options))
        venv = bench.new_venv(bench.folder)
        bench.fusepkg("add", "--quiet", "--venv", venv, first)
        ours.append(install(bench, venv, rest, options))
    report(what, ours, theirs, names=("on the mount", "plain"))


def main():
    p = parser(__doc__, runs=3)
    p.add_argument("--pip", default=sys.executable, help="an interpreter that has pip (default: this one)")
    p.add_argument("wheels", nargs="+", help="folders of wheels")
    options = p.parse_args()
    wheels = wheels_in(options.wheels)
    print(f"{len(wheels)} wheels, {sum(w.stat().st_size for w in wheels) / 1e6:.0f} MB")
    with Bench(options) as bench:
        compare(bench, "pip install", wheels, [])
        compare(bench, "pip install --no-compile", wheels, ["--no-compile"])


main()
