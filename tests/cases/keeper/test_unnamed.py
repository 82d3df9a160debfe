"""O_TMPFILE, and a worker that dies before it has said so."""
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.release  # sanitizers want to be the first library


@pytest.fixture
def venv(root, folder, new_venv, make_wheel):
    library, program = folder / "unnamed.so", folder / "unnamed-mount"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("unnamed.c"), "-ldl"], check=True)
    real = next(root.installed.glob("**/fusepkg-mount"))
    program.write_text(f"#!/bin/sh\nUNNAMED_KILL={folder}/kill UNNAMED_LATE={folder}/late LD_PRELOAD={library} exec {real} \"$@\"\n")
    program.chmod(0o755)
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo"), env={"FUSEPKG_MOUNT_PROGRAM": program})
    return venv


def test_a_file_without_a_name_outlives_the_worker_that_made_it(venv, folder):
    """The next one asks the kernel about all files without a name: it does not know this one yet."""
    try:
        os.close(os.open(venv.site, os.O_TMPFILE | os.O_RDWR))
    except OSError as e:
        pytest.skip(f"O_TMPFILE: {e.strerror}")
    root = os.open("/", os.O_RDONLY)
    for late in (True, False):
        (folder / "kill").touch()
        if late:
            (folder / "late").touch()
        fd = os.open(venv.site, os.O_TMPFILE | os.O_RDWR)
        assert not (folder / "kill").exists() and not (folder / "late").exists()
        os.write(fd, b"kept\n")
        assert os.pread(fd, 5, 0) == b"kept\n"
        os.link(f"/proc/self/fd/{fd}", venv.site / f"named{late}", src_dir_fd=root, follow_symlinks=True)
        os.close(fd)
        assert (venv.site / f"named{late}").read_text() == "kept\n"
    os.close(root)
