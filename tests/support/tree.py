"""What stands below a folder, for comparing: path -> what kind, executable or not, and its bytes."""
import hashlib
import os


def snapshot(folder, skip=lambda path: False, rewrite=None):
    """{relative path: (kind, executable, sha256)} of all that is below FOLDER, symlinks to folders followed no further
    than once; paths for which SKIP(path) holds are left out.  REWRITE(path, bytes) may replace bytes first."""
    found = {}
    folder = str(folder)

    def walk(where, relative):
        for entry in os.scandir(where):
            path = f"{relative}{entry.name}"
            if skip(path):
                continue
            if entry.is_dir():
                found[path] = ("dir", None, None)
                walk(entry.path, path + "/")
                continue
            with open(entry.path, "rb") as file:
                data = file.read()
            if rewrite:
                data = rewrite(path, data)
            mode = entry.stat().st_mode
            found[path] = ("file", bool(mode & 0o111), hashlib.sha256(data).hexdigest())

    walk(folder, "")
    return found


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
