"""What the measurements share: running fusepkg and uv on folders of their own, medians, and a printed line for each."""
import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def parser(description, runs):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--prefix", type=Path, required=True, help="where a release build was installed (cmake --install --prefix)")
    p.add_argument("--runs", type=int, default=runs, help="interleaved runs of each (default %(default)s)")
    p.add_argument("--python", default="/usr/bin/python3", help="interpreter of the venvs; the wheels must fit it")
    p.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="where the store and uv's cache go (default %(default)s)")
    p.add_argument("--other", type=Path, help="a folder on another partition, for fusepkg's venvs; else a tmpfs is mounted")
    p.add_argument("--uv", default="uv")
    return p


class Bench:
    """A work folder, removed at the end together with what is mounted in it."""

    def __init__(self, options):
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="fusepkg-bench-", dir=options.folder))
        self.store = self.folder / "store"
        self.uv_cache = self.folder / "uv-cache"
        self.venvs = []
        self.tmpfs = None
        if options.other:
            self.other = Path(tempfile.mkdtemp(prefix="fusepkg-bench-", dir=options.other))
        else:
            self.other = self.tmpfs = self.folder / "other"
            self.other.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "fusepkg-bench", self.other], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for venv in self.venvs:
            if venv.exists():
                self.fusepkg("umount", "--venv", venv, check=False)
        if self.tmpfs:
            subprocess.run(["umount", self.tmpfs], check=True)
        else:
            shutil.rmtree(self.other, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, **more):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FUSEPKG_", "UV_", "VIRTUAL_ENV"))}
        env.update(FUSEPKG_STORE=str(self.store), UV_CACHE_DIR=str(self.uv_cache), UV_NO_CONFIG="1", UV_OFFLINE="1",
                   PYTHONDONTWRITEBYTECODE="1", **more)
        return env

    def run(self, argv, check=True):
        """Seconds that ARGV took, and its standard output."""
        begin = time.perf_counter()
        done = subprocess.run([str(a) for a in argv], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - begin
        if check and done.returncode != 0:
            sys.exit(f"{argv[0]} {argv[1]} failed:\n{done.stderr}")
        return seconds, done.stdout

    def fusepkg(self, *args, check=True):
        return self.run([self.options.prefix / "bin/fusepkg", *args], check)

    def new_venv(self, parent):
        path = parent / f"venv{len(self.venvs)}"
        self.run([self.options.python, "-m", "venv", "--without-pip", path])
        self.venvs.append(path)
        return path

    def drop_venv(self, venv):
        self.fusepkg("umount", "--venv", venv, check=False)
        shutil.rmtree(venv)
        self.venvs.remove(venv)

    def uv_install(self, venv, wheels, mode):
        return self.run([self.options.uv, "pip", "install", "--quiet", "--python", venv, "--no-index", "--no-deps",
                         "--link-mode", mode, *wheels])[0]


def site_of(venv):
    return next(venv.glob("lib/python3.*")) / "site-packages"


def disk(*paths):
    """Bytes of disk below PATHS, on the file system of each (a mount in it is left out)."""
    total = 0
    for path in paths:
        if path.exists():
            total += int(subprocess.run(["du", "-sx", "--block-size=1", path], check=True, capture_output=True, text=True).stdout.split()[0])
    return total


def report(what, ours, theirs, unit="s", scale=1.0, names=("fusepkg", "uv")):
    """One line: medians, spread, and the ratio of the medians."""
    def show(values):
        return f"{statistics.median(values) * scale:.3f} {unit} ({min(values) * scale:.3f}–{max(values) * scale:.3f})"

    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"{what}: {names[0]} {show(ours)}, {names[1]} {show(theirs)}, ratio {ratio:.3f}, {len(ours)} runs")


def wheels_in(folders):
    wheels = [w for f in folders for w in sorted(Path(f).glob("*.whl"))]
    if not wheels:
        sys.exit("no wheels there")
    return wheels
