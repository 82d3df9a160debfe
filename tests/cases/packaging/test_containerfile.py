"""The Containerfile, step by step in trees made by debootstrap: for machines that cannot pull its base image."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import machine
import pytest

from support import guard

TOP = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.long


def instructions():
    """(name, arguments), with lines that go on joined."""
    text = re.sub(r"\\\n", " ", (TOP / "packaging/container/Containerfile").read_text())
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


class Build:
    """What `podman build` would do; the last stage is `tree`."""

    def __init__(self, folder, base):
        self.folder, self.base = folder, base
        self.stages, self.tree, self.workdir = {}, None, "/"
        self.env, self.entrypoint = [], []
        for name, arguments in instructions():
            getattr(self, f"do_{name.lower()}")(arguments)

    def do_cmd(self, arguments):
        assert json.loads(arguments)

    def do_copy(self, arguments):
        *options, source, target = arguments.split()
        if options:
            [stage] = options
            tree = self.stages[stage.removeprefix("--from=")]
            subprocess.run(["cp", "-a", f"{tree}{source}/.", f"{self.tree}{target}"], check=True)
        else:
            shutil.copytree(TOP, f"{self.tree}{target}", symlinks=True,
                            ignore=lambda folder, names: [n for n in names if n == ".git" or n.startswith("build")]
                            if Path(folder) == TOP else [])

    def do_entrypoint(self, arguments):
        self.entrypoint = json.loads(arguments)

    def do_env(self, arguments):
        self.env = arguments.split()

    def do_from(self, arguments):
        words = arguments.split()
        assert re.fullmatch(r"docker.io/library/debian:bookworm(-slim)?", words[0])
        self.tree = self.folder / f"stage{len(self.stages)}"
        machine.copy(self.base, self.tree)
        self.stages[words[-1]] = self.tree
        self.workdir = "/"

    def do_workdir(self, arguments):
        self.workdir = arguments

    def do_run(self, arguments):
        machine.run(self.tree, f"cd {self.workdir}; {arguments}")


def test_its_steps_make_an_image_that_runs_jobs(folder, make_wheel):
    base = folder / "base"
    machine.debootstrap("bookworm", base)
    build = Build(folder, base)
    (build.tree / "wheels").mkdir()
    shutil.copy(make_wheel("demo"), build.tree / "wheels")
    job = ("python3 -m venv --without-pip /venv && fusepkg add -q /wheels/*.whl && "
           "python -c \"import demo; print(demo.version); raise SystemExit(7)\"")
    # The status is the job's.
    script = f"export {' '.join(build.env)}; status=0; {' '.join(build.entrypoint)} sh -c '{job}' || status=$?; echo $status"
    assert machine.run(build.tree, script) == "1.0\n7\n"
    assert guard.mounts(folder) == []
    subprocess.run(["rm", "-rf", base, *build.stages.values()], check=True)
