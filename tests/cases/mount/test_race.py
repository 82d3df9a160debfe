"""A switch while look-ups are on their way: what they bring is of the generation before, and must not stay."""
import os
import subprocess
from pathlib import Path

import pytest

FOLDERS = 60
LOOK = """
import os, sys
print(flush=True)
for n in range(int(sys.argv[2])):
    os.stat(f'{sys.argv[1]}/top/f{n}')
"""


@pytest.fixture
def slow_mount(folder, root):
    """A program that starts fusepkg-mount so that its answers are late."""
    library, program = folder / "slow_answers.so", folder / "slow-mount"
    source = Path(__file__).with_name("slow_answers.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    real = next(root.installed.glob("**/fusepkg-mount"))
    program.write_text(f"#!/bin/sh\nLD_PRELOAD={library} exec {real} \"$@\"\n")
    program.chmod(0o755)
    return program


@pytest.mark.release # sanitizers want to be the first library
def test_a_look_up_on_its_way_does_not_bring_old_times_back(root, venv, make_wheel, slow_mount):
    wheels = [make_wheel(f"p{n}", "1.0", {f"top/f{i}/m{n}.py": "" for i in range(FOLDERS)}) for n in range(5)]
    venv.fusepkg("add", "-q", "--no-mount", wheels[0])
    for wheel in wheels[1:]:
        venv.fusepkg("mount", env={"FUSEPKG_MOUNT_PROGRAM": slow_mount})
        looker = root.start(["/usr/bin/python3", "-c", LOOK, venv.site, str(FOLDERS)], stdout=subprocess.PIPE)
        looker.stdout.readline()
        venv.fusepkg("add", "-q", wheel)
        times = {os.stat(venv.site / f"top/f{n}").st_mtime_ns for n in range(FOLDERS)}
        assert looker.wait(60) == 0
        looker.stdout.close()
        assert times == {os.stat(venv.site).st_mtime_ns}
        venv.fusepkg("umount")
