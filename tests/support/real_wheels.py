"""Real wheels from the package index, downloaded once into a cache folder."""
import fcntl
import re
import subprocess
from pathlib import Path

from support.venvs import SYSTEM_PYTHON, interpreter_tag

WANTED = Path(__file__).with_name("wheels.txt")


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


class RealWheels:
    """The wheels of wheels.txt that fit PYTHON, in a folder of their own below CACHE."""

    def __init__(self, cache, tools, python=SYSTEM_PYTHON):
        self.folder = cache / interpreter_tag(python)
        self.folder.mkdir(parents=True, exist_ok=True)
        stamp = self.folder / "wheels.txt"
        with open(self.folder / "lock", "w") as lock:  # families run side by side
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stamp.exists() or stamp.read_bytes() != WANTED.read_bytes():
                self.download(tools, python)
                stamp.write_bytes(WANTED.read_bytes())
        self.paths = {normalised(p.name.split("-")[0]): p for p in sorted(self.folder.glob("*.whl"))}

    def download(self, tools, python):
        for old in self.folder.glob("*.whl"):
            old.unlink()
        subprocess.run([tools / "bin/python", "-m", "pip", f"--python={python}", "download", "--quiet",
                        "--no-deps", "--only-binary=:all:", "--dest", self.folder, "--requirement", WANTED], check=True)

    def __call__(self, *names):
        """The wheels of those NAMES (all, without any), as a list of paths."""
        return [self.paths[normalised(n)] for n in names] if names else list(self.paths.values())

    def one(self, name):
        return self.paths[normalised(name)]
