"""debug requests: what the kernel has asked the mount since it was mounted."""


def test_requests_are_counted_by_name(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files={"demo.py": "", "demo_data/one.txt": "1" * 100}))
    before = venv.fusepkg("debug requests", "--json").json()
    assert all(isinstance(n, int) and n > 0 for n in before.values())
    assert all(name == name.upper() for name in before)
    account.run(["cat", venv.site / "demo_data/one.txt"])
    after = venv.fusepkg("debug requests", "--json").json()
    assert after["LOOKUP"] > before.get("LOOKUP", 0)
    assert after["READ"] == before.get("READ", 0) + 1
    assert "LOOKUP" in venv.fusepkg("debug requests").out


def test_asking_is_not_counted(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    venv.requests()
    once = venv.requests()
    assert venv.requests() == once


def test_without_a_mount_it_is_an_error(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    assert "not mounted" in venv.fusepkg("debug requests", "--json", status=1).err
