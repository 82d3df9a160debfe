"""status: one environment, or all that use the store."""
import calendar
import os
import shutil
import time

import pytest

KEYS = {"venv", "site_packages", "mounted", "state", "since", "store", "generation", "keeper_pid", "worker_pid", "restarts",
        "last_reason", "packages", "files", "bytes_copied", "bytes_used", "appeared", "edited", "kept"}


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "", "demo/data.bin": os.urandom(300_000)}))
    return venv


def one(venv):
    found = venv.fusepkg("status", "--json").json()
    assert len(found) == 1
    return found[0]


def test_a_mounted_one(account, venv):
    now = one(venv)
    assert set(now) >= KEYS
    assert now["venv"] == str(venv) and now["site_packages"] == str(venv.site) and now["store"] == str(account.store)
    assert now["mounted"] is True and now["state"] == "mounted"
    for process in "keeper_pid", "worker_pid":
        assert os.readlink(f"/proc/{now[process]}/exe").endswith("fusepkg-mount")
    assert (now["restarts"], now["last_reason"]) == (0, None)
    since = calendar.timegm(time.strptime(now["since"], "%Y-%m-%dT%H:%M:%SZ"))
    assert venv.path.stat().st_ctime - 3600 < since <= time.time() + 1
    assert now["generation"] == 1 and now["packages"] == 1
    listed = sum(len(files) for _, _, files in os.walk(venv.site / "demo"))
    assert now["files"] >= listed + 4
    assert 300_000 < now["bytes_copied"] < 400_000
    assert 0 < now["bytes_used"] < 200_000


def test_an_unmounted_one(venv):
    venv.fusepkg("umount")
    now = one(venv)
    assert set(now) >= KEYS
    assert (now["mounted"], now["state"], now["since"], now["worker_pid"]) == (False, "unmounted", None, None)
    assert now["packages"] == 1 and now["bytes_copied"] > 300_000


def test_a_venv_without_anything_of_ours(account, new_venv):
    now = one(new_venv(account))
    assert set(now) >= KEYS
    assert (now["state"], now["packages"], now["files"], now["generation"]) == ("unmounted", 0, 0, 0)


def test_without_a_target_all_are_listed(account, venv, new_venv, make_wheel):
    other = new_venv(account)
    other.fusepkg("add", "--no-mount", make_wheel("other"))
    found = {e["venv"]: e for e in account.fusepkg("status", "--json").json()}
    assert {v: e["state"] for v, e in found.items()} == {str(venv): "mounted", str(other): "unmounted"}
    assert all(set(e) >= KEYS for e in found.values())


def test_a_deleted_one_is_missing(account, new_venv, make_wheel):
    venv = new_venv(account, name="gone")
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    shutil.rmtree(venv.path)
    found = account.fusepkg("status", "--json").json()
    assert [(e["venv"], e["state"], e["mounted"]) for e in found] == [(str(venv), "missing", False)]
    assert set(found[0]) >= KEYS
    again = new_venv(account, name="gone")
    assert [e["state"] for e in account.fusepkg("status", "--json").json()] == ["missing"]
    assert again.fusepkg("status", "--json").json()[0]["state"] == "unmounted"


def test_no_store_means_no_environment(account):
    assert account.fusepkg("status", "--json").json() == []
    assert not account.store.exists()


def test_for_people_it_warns_of_rm(venv):
    result = venv.fusepkg("status")
    assert "mounted" in result.out and str(venv) in result.out
    assert "fusepkg umount" in result.err
    venv.fusepkg("umount")
    assert "umount" not in venv.fusepkg("status").err


def test_a_name_cannot_break_its_line(account, venv):
    venv.fusepkg("umount")
    account.run(["/usr/bin/python3", "-c", "import sys; open(sys.argv[1] + '/two\\nlines\\x1b[2J', 'w')", venv.site])
    assert "  appeared while it was not mounted: \"two\\nlines\\033[2J\"\n" in venv.fusepkg("status").out
    assert "two\nlines\x1b[2J" in venv.fusepkg("status", "--json").json()[0]["appeared"]


def test_something_else_mounted_there_is_foreign(root, new_venv, make_wheel):
    venv = new_venv(root)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    root.run(["mount", "-t", "tmpfs", "none", venv.site])
    try:
        now = one(venv)
        assert (now["mounted"], now["state"]) == (False, "foreign")
        assert "not fusepkg" in venv.fusepkg("mount", status=1).err
        assert "not fusepkg" in venv.fusepkg("umount", status=1).err
    finally:
        root.run(["umount", venv.site])
