"""What stands below a folder, for comparing: path -> kind, executable or not, and hash of the bytes.

Also a program of its own, `tree.py FOLDER`, that prints snapshot_venv(FOLDER) as JSON: root does not see what an
ordinary user has mounted, so the user must look."""
import csv
import hashlib
import io
import json
import os
import sys
from pathlib import Path


def snapshot(folder, skip=lambda path: False, rewrite=None):
    """{relative path: [kind, executable, sha256]} of all that is below FOLDER; symlinks are followed, and paths for
    which SKIP(path) holds left out.  REWRITE(path, bytes) may replace bytes first."""
    found = {}

    def walk(where, relative):
        for entry in os.scandir(where):
            path = f"{relative}{entry.name}"
            if skip(path):
                continue
            if entry.is_dir():
                found[path] = ["dir", None, None]
                walk(entry.path, path + "/")
                continue
            with open(entry.path, "rb") as file:
                data = file.read()
            if rewrite:
                data = rewrite(path, data)
            found[path] = ["file", bool(entry.stat().st_mode & 0o111), hashlib.sha256(data).hexdigest()]

    walk(str(folder), "")
    return found


def is_documented_extra(path):
    """What only one of the two has: fusepkg's own, the bytecode that a wheel ships; and lib64, which is lib again."""
    return path in (".fusepkg", ".lock", "lib64") or path.endswith(("site-packages/.fusepkg", "/__pycache__"))


def comparable(venv):
    """A REWRITE for snapshot() that takes away the differences which two installers may have."""
    def rewrite(path, data):
        name = path.rpartition("/")[2]
        if ".dist-info/" in path:
            if name == "INSTALLER":
                return b"the installer"
            if name == "direct_url.json":
                return json.dumps(json.loads(data), sort_keys=True).encode()
            if name == "RECORD":
                return comparable_record(data)
        return data.replace(os.fsencode(venv), b"VENV").replace(os.path.basename(venv).encode(), b"NAME")

    return rewrite


def comparable_record(data):
    """The rows in a fixed order; of generated files, the paths alone."""
    rows = []
    for path, digest, size in csv.reader(io.StringIO(data.decode())):
        if "/__pycache__/" in path:
            continue
        generated = path.startswith("../") or path.rpartition("/")[2] in ("INSTALLER", "direct_url.json", "REQUESTED")
        rows.append([path, "", ""] if generated else [path, digest, size])
    return json.dumps(sorted(rows)).encode()


def snapshot_venv(folder, venv=None):
    """What VENV has (FOLDER itself, if FOLDER is no copy of it)."""
    return snapshot(folder, skip=is_documented_extra, rewrite=comparable(str(venv or folder)))


def snapshot_venv_as(account, venv):
    """snapshot_venv as seen by ACCOUNT."""
    return account.run(["/usr/bin/python3", "-", venv], input=Path(__file__).read_text()).json()


def differences(ours, theirs, names=("ours", "theirs")):
    """One line for each path that differs, at most 50."""
    lines = []
    for path in sorted(ours.keys() | theirs.keys()):
        if path not in theirs:
            lines.append(f"only in {names[0]}: {path}")
        elif path not in ours:
            lines.append(f"only in {names[1]}: {path}")
        elif ours[path] != theirs[path]:
            lines.append(f"differs: {path}: {ours[path]} != {theirs[path]}")
    return lines[:50]


if __name__ == "__main__":
    print(json.dumps(snapshot_venv(sys.argv[1])))
