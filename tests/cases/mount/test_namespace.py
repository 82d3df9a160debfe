"""In a user namespace of one's own, where mount(2) needs no root."""
from pathlib import Path

import pytest

RESTRICTED = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
SCRIPT = """
set -e
venv=$1; wheel=$2
fusepkg add --venv "$venv" "$wheel"
"$venv/bin/python" -c 'import demo; print(demo.version)'
fusepkg status --venv "$venv" --json
fusepkg umount --venv "$venv"
"""


def test_it_mounts_there_and_nobody_else_sees_it(account, new_venv, make_wheel):
    inside = account.with_prefix("unshare", "-Urm")
    if not account.is_root and RESTRICTED.exists() and RESTRICTED.read_text().strip() == "1":
        pytest.skip("AppArmor lets ordinary users mount nothing in user namespaces here (Ubuntu's default)")
    venv = new_venv(account)
    out = inside.run(["sh", "-c", SCRIPT, "sh", venv, make_wheel("demo", "3.2")]).out
    assert out.startswith("3.2\n")
    assert not venv.is_mounted
