"""store path, du and verify."""
import os

import pytest


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    big = os.urandom(300_000)
    venv.fusepkg("add", "--no-mount", make_wheel("one", files={"one.py": "", "one.bin": big}),
                 make_wheel("two", "2.0", files={"two.py": "", "two.bin": big}))
    return venv


def test_path_is_where_the_store_is(account):
    assert account.fusepkg("store", "path").out == f"{account.store}\n"
    env = {"FUSEPKG_STORE": None, "XDG_DATA_HOME": "/data/home"}
    assert account.fusepkg("store", "path", env=env).out == "/data/home/fusepkg\n"
    env = {"FUSEPKG_STORE": None, "XDG_DATA_HOME": None}
    assert account.fusepkg("store", "path", env=env).out == f"{account.home}/.local/share/fusepkg\n"
    assert not account.store.exists()


def test_du_counts_what_is_on_disk(account, venv):
    found = account.fusepkg("store", "du", "--json").json()
    assert set(found) >= {"bytes", "packages"}
    assert [(p["name"], p["version"]) for p in found["packages"]] == [("one", "1.0"), ("two", "2.0")]
    assert all(p["bytes"] > 300_000 for p in found["packages"])
    on_disk = sum(os.lstat(os.path.join(root, name)).st_blocks * 512
                  for root, folders, files in os.walk(account.store) for name in [".", *files])
    assert found["bytes"] == on_disk
    assert found["bytes"] < 600_000, "the file that both have is stored once"
    assert "one==1.0" in account.fusepkg("store", "du").out


def test_verify_of_a_whole_store(account, venv):
    assert account.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
    account.fusepkg("store", "verify")


@pytest.mark.parametrize("kind", ["corrupt", "truncated", "missing"])
def test_verify_names_what_is_hit(account, venv, kind):
    victim = next(p for p in (account.store / "objects").rglob("*") if p.is_file())
    data = victim.read_bytes()
    victim.chmod(0o600)
    if kind == "corrupt":
        victim.write_bytes(data[:1000] + bytes([data[1000] ^ 1]) + data[1001:])
    elif kind == "truncated":
        victim.write_bytes(data[:1000])
    else:
        victim.unlink()
    result = account.fusepkg("store", "verify", "--json", status=1).json()
    assert result["ok"] is False
    assert {p for e in result["errors"] for p in e["packages"]} == {"one==1.0", "two==2.0"}
    assert all(set(e) >= {"path", "kind", "packages"} for e in result["errors"])
    assert kind in {e["kind"] for e in result["errors"]}
    assert str(victim.relative_to(account.store)) in {e["path"] for e in result["errors"]}
    text = account.fusepkg("store", "verify", status=1).out
    assert "one==1.0" in text and kind in text


@pytest.mark.parametrize("command", [["du"], ["verify"]])
def test_without_a_store_it_is_an_error(account, command):
    result = account.fusepkg("store", *command, status=1)
    assert result.out == "" and result.err.startswith("error: ")
    assert not account.store.exists()


def test_wrong_usage(account):
    account.fusepkg("store", status=2)
    account.fusepkg("store", "shrink", status=2)
    account.fusepkg("store", "path", "extra", status=2)


@pytest.mark.parametrize("group", ["store", "debug"])
def test_help_of_a_group_names_its_commands(account, group):
    assert f"`fusepkg {group} " in account.fusepkg(group, "--help").out
    assert f"`fusepkg {group} " in account.fusepkg(group, status=2).err


def test_a_recorded_store_that_is_gone_is_not_called_another_one(account, new_venv, make_wheel, folder):
    venv = new_venv(account)
    wheel = make_wheel("demo")
    venv.fusepkg("add", "--no-mount", wheel)
    store = account.fusepkg("store", "path").out.strip()
    os.rename(store, store + ".away")
    said = venv.fusepkg("add", "--no-mount", make_wheel("other"), env={"FUSEPKG_STORE": store}, status=1).err
    assert store in said and "another" not in said
    os.rename(store + ".away", store)
