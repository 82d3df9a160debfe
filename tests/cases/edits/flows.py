"""One flow of pip or uv, in a plain venv and in mounted ones at the same path: what is left must be the same, name by name, mode
by mode, byte by byte."""
import csv
import hashlib
import io
import json
import os
import shutil
import stat

from support.make_wheel import executable
from support.venvs import make_venv

OUR_FOLDER = ".fusepkg-data"


def write_wheels(make_wheel):
    """{"alpha-1.0": path, ...}; alpha 3.0 cannot be unpacked to its end."""
    made = {}
    for version in ("1.0", "2.0", "3.0"):
        own = {"1.0": {"alpha/old.py": "", "alpha/kind": "a file\n", "alpha/gone/x.py": ""},
               "2.0": {"alpha/new.py": "", "alpha/kind/x.py": "", "alpha/more/y.py": ""}, "3.0": {"alpha/third.py": ""}}[version]
        made[f"alpha-{version}"] = make_wheel("alpha", version, {
            "alpha/__init__.py": f"version = '{version}'\ndef main(): print(version)\n", "alpha/sub/x.py": f"x = {version}\n" * 2000,
            "alpha/data.bin": version.encode() * 70_000, "alpha/tool": executable("#!/bin/sh\n"), "alpha_single.py": "", "ns/alpha.py": "",
            "{data}/data/share/alpha/info.txt": f"info {version}\n", "{data}/data/etc/alpha.conf": version,
            "{data}/scripts/alpha-raw": executable("#!python\nprint()\n"), "{data}/headers/alpha.h": "", **own,
            "alpha/zz_last.bin": b"THE BYTES OF THE LAST FILE",
        }, entry_points={"console_scripts": {"alpha": "alpha:main"}}, compress=0)
        made[f"beta-{version}"] = make_wheel("beta", version, {"beta.py": f"v = '{version}'\n", "ns/beta.py": "", "ns/beta_only/x.py": "",
                                                               "{data}/data/share/beta/b.txt": "b"})
    broken = made["alpha-3.0"]
    broken.write_bytes(broken.read_bytes().replace(b"THE BYTES OF THE LAST FILE", b"THE BYTES OF THE LOST FILE"))
    made["gamma-1.0"] = make_wheel("gamma", files={"gamma/__init__.py": "", "ns/gamma.py": ""}, requires=("alpha",))
    return made


def write_project(folder):
    """What `pip install -e` is for, with a module beside it and one in src/."""
    (folder / "src/delta").mkdir(parents=True)
    (folder / "src/delta/__init__.py").write_text("where = __file__\n")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "delta"\nversion = "1.0"\n[project.scripts]\ndelta = "delta:main"\n')
    return folder


def snapshot(venv):
    """{path: (mode, link target, or hash of the bytes)} of all that VENV has; our own links to data are followed."""
    found = {}

    def walk(relative):
        for entry in os.scandir(venv / relative):
            path = f"{relative}/{entry.name}".lstrip("/")
            if path in (".fusepkg", ".lock", "lib64") or path.endswith("site-packages/.fusepkg"):
                continue
            st = entry.stat(follow_symlinks=False)
            if entry.is_symlink():
                target = os.readlink(entry.path)
                if "uv-cache" in target and "/site-packages/" not in path:
                    # uv moves its links there from site-packages: from one file system to another it copies what they stand for.
                    found[path] = (oct(os.stat(entry.path).st_mode), hashlib.sha256(open(entry.path, "rb").read()).hexdigest())
                    continue
                if OUR_FOLDER not in target:
                    found[path] = (oct(st.st_mode), target)
                    continue
                if not os.path.exists(entry.path):
                    found[path] = ("a link of ours to nothing", target)
                    continue
                st = os.stat(entry.path)
            if stat.S_ISDIR(st.st_mode):
                found[path] = (oct(st.st_mode), None)
                walk(path)
            else:
                with open(entry.path, "rb") as file:
                    data = file.read()
                found[path] = (oct(st.st_mode), data if ".dist-info/" in path else hashlib.sha256(data).hexdigest())
                if path.endswith(".pyc"):  # has the time of its source
                    found[path] = (oct(st.st_mode), None)

    walk("")
    return found


def forget_installer(found, infos):
    """For the distributions that fusepkg installed, and pip did on the other side: what says who it was."""
    for path, (mode, data) in list(found.items()):
        info, _, name = path.rpartition("/")
        if os.path.basename(info) not in infos:
            continue
        if name == "INSTALLER":
            found[path] = (mode, "somebody")
        elif name == "direct_url.json":
            found[path] = (mode, json.dumps(json.loads(data), sort_keys=True))
        elif name == "RECORD":
            rows = [r for r in csv.reader(io.StringIO(data.decode())) if r[0].rpartition("/")[2] not in ("INSTALLER", "direct_url.json")]
            found[path] = (mode, json.dumps(sorted(rows)))


class Flow:
    """STEPS(flow) is what is done; START the wheels that are there before."""

    def __init__(self, account, path, wheels, start, steps):
        self.account, self.path, self.wheels = account, path, wheels
        self.start, self.steps = start, steps
        self.said = []

    # What steps use.

    def pip(self, *args, status=0):
        argv = [self.wheels.get(a, a) for a in args]
        result = self.account.pip("--python", self.venv.python, *argv, status=None)
        assert (result.status == 0) == (status == 0), result
        if args[0] in ("list", "show", "freeze", "check"):
            self.said.append(result.out)
        return result

    def uv(self, *args, status=0):
        argv = [self.wheels.get(a, a) for a in args]
        result = self.account.uv("pip", *argv, "--python", self.venv.python, status=None)
        assert (result.status == 0) == (status == 0), result
        return result

    def python(self, code):
        self.said.append(self.venv.run_python(code).out)

    # Running it.

    def run(self, how):
        """HOW: plain; "pip" installed what was there before into the mount; "fusepkg" did so."""
        self.said = []
        self.venv = make_venv(self.account, self.path)
        try:
            self.begin(how, [self.wheels[w] for w in self.start])
            self.steps(self)
            found = snapshot(self.venv.path)
            if how != "plain":
                self.check_with_fusepkg()
        finally:
            self.venv.close()
            shutil.rmtree(self.path)
        return found, self.said

    def begin(self, how, start):
        anchor = [self.wheels["anchor"]]  # an environment needs a package
        ours, pips = {"plain": ([], anchor + start), "pip": (anchor, start), "fusepkg": (anchor + start, [])}[how]
        if ours:
            self.venv.fusepkg("add", "-q", *ours)
        if pips:
            self.account.pip("--python", self.venv.python, "install", "-q", "--no-deps", "--no-compile", *pips)

    def check_with_fusepkg(self):
        ours = {p["name"]: p["version"] for p in self.venv.fusepkg("list", "--json").json()}
        theirs = json.loads(self.account.pip("--python", self.venv.python, "list", "--format=json").out)
        assert ours == {p["name"]: p["version"] for p in theirs}


def without_empty_folders(found):
    """What is left without folders outside of site-packages that no file stands in."""
    files = [path for path, (_, content) in found.items() if content is not None]
    return {path: what for path, what in found.items()
            if what[1] is not None or "/site-packages/" in path or any(f.startswith(path + "/") for f in files)}


def differences(plain, mounted):
    infos = {os.path.basename(os.path.dirname(p)) for p, (_, data) in mounted.items() if p.endswith("/INSTALLER") and data == b"fusepkg\n"}
    plain, mounted = dict(plain), dict(mounted)
    forget_installer(plain, infos)
    forget_installer(mounted, infos)
    return "\n".join(f"{path}: mounted {str(mounted.get(path))[:300]}, plain {str(plain.get(path))[:300]}"
            for path in sorted(plain.keys() | mounted.keys()) if plain.get(path) != mounted.get(path))
