"""What appears in the bare site-packages while it is not mounted."""
import pytest


def uv_install(venv, *wheels):
    """uv knows the interpreter from its cache, and starts no Python."""
    venv.account.uv("pip", "install", "--quiet", "--python", venv.python, "--offline", "--no-deps", "--no-index", *wheels)


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """demo 1.0, unmounted; uv has asked the interpreter what it is."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    account.uv("pip", "list", "--python", venv.python)
    venv.fusepkg("umount")
    return venv


def versions(venv):
    return {p["name"]: p["version"] for p in venv.fusepkg("list", "--json").json()}


def status(venv):
    return venv.fusepkg("status", "--json").json()[0]


def test_pip_installs_into_the_mount(venv, make_wheel):
    """It starts Python, which mounts."""
    assert status(venv)["appeared"] == []
    venv.account.pip("--python", venv.python, "install", "--quiet", "--no-deps", make_wheel("new"))
    assert venv.is_mounted
    assert versions(venv) == {"demo": "1.0", "new": "1.0"}
    assert status(venv)["appeared"] == []


def test_what_uv_installs_is_told_and_shown(venv, make_wheel):
    uv_install(venv, make_wheel("new"))
    assert not venv.is_mounted and (venv.site / "new.py").exists()
    assert status(venv)["appeared"] == ["new-1.0.dist-info", "new.py"] or \
        sorted(status(venv)["appeared"]) == ["new-1.0.dist-info", "new.py"]
    said = venv.fusepkg("mount").err
    assert "warning:" in said and "new.py" in said
    assert venv.run_python("import demo, new; print(new.version)").out == "1.0\n"
    assert versions(venv) == {"demo": "1.0", "new": "1.0"}
    assert status(venv)["appeared"] == []
    assert "warning" not in venv.fusepkg("umount").err


def test_what_a_python_mounted_is_told_by_the_next_command(venv, make_wheel):
    uv_install(venv, make_wheel("new"))
    assert venv.run_python("import new").err == ""
    assert "new.py" in status(venv)["appeared"]
    said = venv.fusepkg("add", make_wheel("third")).err
    assert "warning:" in said and "new.py" in said
    assert status(venv)["appeared"] == []
    assert versions(venv) == {"demo": "1.0", "new": "1.0", "third": "1.0"}


@pytest.mark.parametrize("command", ["mount", "add"])
def test_a_newer_one_takes_the_place_of_ours(venv, make_wheel, command):
    uv_install(venv, make_wheel("demo", "2.0"))
    said = venv.fusepkg(command, *([make_wheel("third")] if command == "add" else [])).err
    assert " - demo==1.0" in said and "demo-2.0.dist-info" in said
    out = venv.run_python("import demo, importlib.metadata as m; print(demo.version, m.version('demo'))").out
    assert out == "2.0 2.0\n"
    assert versions(venv)["demo"] == "2.0"
    venv.fusepkg("remove", "-y", "demo")
    assert "demo" not in versions(venv)
    assert "ModuleNotFoundError" in venv.run_python("import demo", status=1).err


def test_nothing_is_said_of_what_was_there_before(account, new_venv, make_wheel):
    venv = new_venv(account)
    uv_install(venv, make_wheel("before"))
    assert "warning" not in venv.fusepkg("add", make_wheel("demo")).err
    venv.fusepkg("umount")
    assert "warning" not in venv.fusepkg("mount").err


def test_an_unmounted_venv_can_be_deleted(account, venv, make_wheel):
    """The bare folder keeps its owner's rights."""
    uv_install(venv, make_wheel("new"))
    account.run(["rm", "-rf", venv.path])
    assert not venv.path.exists()
