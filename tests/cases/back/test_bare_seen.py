"""What appears in the bare site-packages while it is not mounted."""
import pytest

from support.venvs import GUARD_FILE


def uv(venv, command, *args, status=0):
    """uv knows the interpreter from its cache, and starts no Python."""
    return venv.account.uv("pip", command, "--quiet", "--python", venv.python, "--offline", *args, status=status)


def appear(venv, *wheels):
    """What starts no Python of the venv, and does not look at what is there."""
    venv.account.pip("install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target", venv.site, *wheels)


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


def everything(venv):
    return sorted(venv.account.run(["find", venv.site]).out.splitlines())


def test_uv_gives_up(venv, make_wheel):
    """root, too; and says what to do."""
    before = everything(venv)
    new = make_wheel("new")
    for command, *args in (["install", "--no-index", new], ["uninstall", "demo"], ["list"], ["freeze"]):
        said = uv(venv, command, *args, status=2).err
        assert str(venv.site / GUARD_FILE) in said and "run_fusepkg_mount" in said
    assert everything(venv) == before and not venv.is_mounted
    assert "warning" not in venv.fusepkg("mount").err
    uv(venv, "install", "--no-deps", "--no-index", new)
    assert versions(venv) == {"demo": "1.0", "new": "1.0"}


def test_what_keeps_uv_out_is_no_package(venv, make_wheel):
    assert versions(venv) == {"demo": "1.0"}
    assert status(venv)["appeared"] == []
    venv.fusepkg("add", "--no-mount", make_wheel("new"))
    assert versions(venv) == {"demo": "1.0", "new": "1.0"}


BROKEN = {"FUSEPKG_MOUNT_PROGRAM": "/bin/false"}
NAMES = "import importlib.metadata as m; print([d.metadata['Name'] for d in m.distributions()], len(m.entry_points()))"


def test_python_s_own_tools_bear_it(venv):
    """Where mounting has failed."""
    assert venv.run_python(NAMES, env=BROKEN).out == "['fusepkg-is-not-mounted'] 0\n"
    pip = ["--python", venv.python, "--disable-pip-version-check"]
    out = venv.account.pip(*pip, "list", "--format=freeze", env=BROKEN).out
    assert out == "fusepkg-is-not-mounted==0\n"
    assert "No broken" in venv.account.pip(*pip, "check", env=BROKEN).out


def test_what_appears_is_told_and_shown(venv, make_wheel):
    appear(venv, make_wheel("new"))
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
    appear(venv, make_wheel("new"))
    assert venv.run_python("import new").err == ""
    assert "new.py" in status(venv)["appeared"]
    said = venv.fusepkg("add", make_wheel("third")).err
    assert "warning:" in said and "new.py" in said
    assert status(venv)["appeared"] == []
    assert versions(venv) == {"demo": "1.0", "new": "1.0", "third": "1.0"}


@pytest.mark.parametrize("command", ["mount", "add"])
def test_a_newer_one_takes_the_place_of_ours(venv, make_wheel, command):
    appear(venv, make_wheel("demo", "2.0"))
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
    uv(venv, "install", "--no-deps", "--no-index", make_wheel("before"))
    assert "warning" not in venv.fusepkg("add", make_wheel("demo")).err
    venv.fusepkg("umount")
    assert "warning" not in venv.fusepkg("mount").err


def test_an_unmounted_venv_can_be_deleted(account, venv, make_wheel):
    """The bare folder keeps its owner's rights."""
    appear(venv, make_wheel("new"))
    account.run(["rm", "-rf", venv.path])
    assert not venv.path.exists()
