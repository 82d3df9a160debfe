#!/usr/bin/env python3
"""RssAnon of a mount of 60,000 files: fresh, and after every file was found, asked for and read.

    tests/bench/memory.py --prefix build-release/installed"""
import json
import subprocess
import sys
from pathlib import Path

from common import Bench, parser, site_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.make_wheel import make_wheel  # noqa: E402

WALK = """
import os, sys
n = 0
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        os.stat(path)
        with open(path, 'rb') as file:
            file.read()
        n += 1
print(n)
"""


def rss_anon(pid):
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def main():
    p = parser(__doc__, runs=1)
    p.add_argument("--packages", type=int, default=60)
    p.add_argument("--files", type=int, default=1000, help="of each package")
    options = p.parse_args()
    with Bench(options) as bench:
        wheels = []
        for n in range(options.packages):
            files = {f"package{n}/folder{i // 50}/module_{i}.py": f"value = {i}\n" * (1 + i % 200) for i in range(options.files)}
            wheels.append(make_wheel(bench.folder / "wheels", f"package{n}", "1.0", files))
        for _ in range(options.runs):
            venv = bench.new_venv(bench.other)
            bench.fusepkg("add", "--quiet", "--venv", venv, *wheels)
            pid = json.loads(bench.fusepkg("status", "--json", "--venv", venv)[1])[0]["worker_pid"]
            fresh = rss_anon(pid)
            walked = subprocess.run([sys.executable, "-c", WALK, site_of(venv)], check=True, capture_output=True, text=True).stdout.strip()
            print(f"RssAnon: fresh {fresh:.1f} MiB, after a walk of {walked} files {rss_anon(pid):.1f} MiB")
            bench.drop_venv(venv)


main()
