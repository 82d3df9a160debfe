"""In a user namespace of one's own, where mount(2) needs no root."""
import pytest

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
    if not account.is_root and inside.run(["mount", "-t", "tmpfs", "x", "/mnt"], status=None).status != 0:
        pytest.skip("this system lets ordinary users make no user namespaces")
    venv = new_venv(account)
    out = inside.run(["sh", "-c", SCRIPT, "sh", venv, make_wheel("demo", "3.2")]).out
    assert out.startswith("3.2\n")
    assert not venv.is_mounted
