#!/usr/bin/env python3
"""Warm look-ups over 8,000 files: a mount against the same files on the file system below --folder, in interleaved pairs;
and how many requests the mount got meanwhile (none, it should be).

    tests/bench/lookups.py --prefix build-release/installed --python python3.12 FOLDER_OF_WHEELS"""
import json
import os
import subprocess
from pathlib import Path

from common import Bench, parser, report, site_of, wheels_in


def files_of(site, count):
    found = []
    for folder, _, names in os.walk(site):
        found += [os.path.relpath(os.path.join(folder, n), site) for n in sorted(names) if n.endswith(".py")]
    return found[:count]


def requests(bench, venv):
    counts = json.loads(bench.fusepkg("debug", "requests", "--json", "--venv", venv)[1])
    return {op: n for op, n in counts.items() if n}


def main():
    p = parser(__doc__, runs=15)
    p.add_argument("--files", type=int, default=8000)
    p.add_argument("wheels", nargs="+", help="folders of wheels")
    options = p.parse_args()
    with Bench(options) as bench:
        program = bench.folder / "lookups"
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", Path(__file__).with_name("lookups.c"), "-o", program], check=True)
        wheels = wheels_in(options.wheels)
        plain, mounted = bench.new_venv(bench.folder), bench.new_venv(bench.folder)
        bench.uv_install(plain, wheels, "copy")
        bench.fusepkg("add", "--quiet", "--venv", mounted, *wheels)
        files = files_of(site_of(plain), options.files)
        command = [program, "1", site_of(mounted), site_of(plain)]
        subprocess.run(command, input="\n".join(files), text=True, check=True, stdout=subprocess.DEVNULL)
        before = requests(bench, mounted)
        command[1] = str(options.runs)
        out = subprocess.run(command, input="\n".join(files), text=True, check=True, stdout=subprocess.PIPE).stdout
        after = requests(bench, mounted)
        for kind in ("stat", "absent", "read"):
            rows = [line.split() for line in out.splitlines() if line.split()[0] == kind]
            report(f"{kind}, {len(files)} files", [int(r[1]) for r in rows], [int(r[2]) for r in rows], "µs", 1e-3, ("mount", "plain"))
        print("requests meanwhile:", {op: n - before.get(op, 0) for op, n in after.items() if n != before.get(op, 0)} or "none")


main()
