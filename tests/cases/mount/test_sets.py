"""Whole sets of wheels against pip: $FUSEPKG_TEST_SETS names folders of them (":" between), $FUSEPKG_TEST_PYTHON the
interpreter that they fit."""
import os
from pathlib import Path

import pytest

from support import tree


@pytest.mark.long
@pytest.mark.parametrize("wheel_set", os.environ.get("FUSEPKG_TEST_SETS", "").split(":"))
def test_a_set_equals_what_pip_installs(root, new_venv, plain_venv, wheel_set):
    if not wheel_set:
        pytest.skip("FUSEPKG_TEST_SETS names no folder")
    wheels = sorted(Path(wheel_set).glob("*.whl"))
    assert wheels
    venv = new_venv(root, on="ext4")
    venv.fusepkg("add", *wheels, timeout=1800)
    written = tree.snapshot_venv(plain_venv(wheels))
    assert tree.differences(tree.snapshot_venv(venv), written, ("fusepkg's", "pip's")) == []
    venv.fusepkg("export", "--to", root.work / "exported0", timeout=1800)
    made = tree.snapshot_venv(new_venv(root))
    exported = tree.snapshot_venv(root.work / "exported0", venv)
    of_wheels = {path: what for path, what in written.items() if made.get(path) != what}
    assert tree.differences({p: w for p, w in exported.items() if made.get(p) != w}, of_wheels, ("exported", "pip's")) == []
