"""add: what it says, what it finds, and that it changes nothing twice."""
import os
import re
import subprocess

import pytest


def lines(result):
    return result.err.splitlines()


def test_the_lines_of_a_first_add(venv, make_wheel):
    b, a = make_wheel("b-two", "2.0"), make_wheel("A.one", "1.0")
    result = venv.fusepkg("add", b, a)
    assert result.out == ""
    said = lines(result)
    assert re.fullmatch(r"Prepared 2 packages in [\d.]+m?s", said[0])
    assert re.fullmatch(r"Installed 2 packages in [\d.]+m?s", said[1])
    assert said[2:] == [" + A.one==1.0", " + b-two==2.0"]


def test_a_known_wheel_is_not_prepared_again(root, new_venv, make_wheel):
    wheel = make_wheel("demo")
    new_venv(root).fusepkg("add", wheel)
    assert "Prepared" not in new_venv(root).fusepkg("add", wheel).err


def test_adding_again_changes_nothing(venv, make_wheel):
    wheel = make_wheel("demo")
    venv.fusepkg("add", wheel)
    before = (venv.state / "environment").read_bytes()
    said = lines(venv.fusepkg("add", wheel))
    assert len(said) == 1 and said[0].startswith("Checked 1 package in ")
    assert (venv.state / "environment").read_bytes() == before


def test_reinstall_and_other_bytes_are_a_tilde(venv, make_wheel, folder):
    wheel = make_wheel("demo")
    venv.fusepkg("add", wheel)
    assert " ~ demo==1.0" in lines(venv.fusepkg("add", "--reinstall", wheel))
    other = make_wheel("demo", files={"demo.py": "changed"}, folder=folder / "other")
    said = lines(venv.fusepkg("add", other))
    assert " ~ demo==1.0" in said
    assert (venv.site / "demo.py").read_text() == "changed"


def test_an_upgrade_and_a_downgrade(venv, make_wheel):
    def wheel(v):
        return make_wheel("demo", v, {"demo/__init__.py": f"version = '{v}'\n", f"demo/only_{v[0]}.py": ""},
                          entry_points={"console_scripts": {"demo": "demo:x", f"demo{v[0]}": "demo:x"}})

    wheels = {v: wheel(v) for v in ("1.0", "2.0")}
    venv.fusepkg("add", wheels["1.0"])
    for old, new in (("1.0", "2.0"), ("2.0", "1.0")):
        result = venv.fusepkg("add", wheels[new])
        assert lines(result)[-2:] == [f" - demo=={old}", f" + demo=={new}"]
        assert venv.run_python("import demo; print(demo.version)").out == f"{new}\n"
        assert not (venv.site / f"demo/only_{old[0]}.py").exists()
        assert (venv.bin / f"demo{new[0]}").exists() and not (venv.bin / f"demo{old[0]}").exists()
        assert not (venv.site / f"demo-{old}.dist-info").exists()


def test_by_name_from_a_folder(venv, make_wheel):
    for version in ("1.0", "1.10", "1.9", "2.0rc1"):
        wheel = make_wheel("demo-name", version)
    venv.fusepkg("add", "-f", wheel.parent, "Demo_Name")
    assert venv.fusepkg("list", "--json").json() == [{"name": "demo-name", "version": "1.10"}]
    # What is installed and fits stays, as with pip and uv.
    assert "Checked 1 package" in venv.fusepkg("add", "-f", wheel.parent, "demo-name>=1.9").err
    assert "Checked 1 package" in venv.fusepkg("add", "demo-name==1.10").err
    venv.fusepkg("add", "-f", wheel.parent, "demo-name<1.10")
    assert venv.fusepkg("list", "--json").json() == [{"name": "demo-name", "version": "1.9"}]


def test_a_requirements_file(venv, make_wheel, folder):
    a, b = make_wheel("aa", "1.0"), make_wheel("bb", "2.0")
    wanted = folder / "requirements.txt"
    wanted.write_text(f"-f {a.parent}\n# a comment\naa==1.0\n"
                      "bb==2.0 ; python_version >= '3'\ncc==3 ; python_version < '3'\n")
    venv.fusepkg("add", "-r", wanted)
    assert venv.fusepkg("freeze").out == "aa==1.0\nbb==2.0\n"


def test_hashes_of_a_requirements_file_are_binding(venv, make_wheel, folder):
    wheel = make_wheel("demo")
    right = subprocess.run(["sha256sum", wheel], check=True, capture_output=True, text=True).stdout.split()[0]
    wanted = folder / "requirements.txt"
    wanted.write_text(f"demo==1.0 --hash=sha256:{'0' * 64}\n")
    assert right in venv.fusepkg("add", "-f", wheel.parent, "-r", wanted, status=1).err
    assert venv.fusepkg("list", "--json").json() == []
    wanted.write_text(f"demo==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{right}\n")
    venv.fusepkg("add", "-f", wheel.parent, "-r", wanted)
    wanted.write_text("demo==1.0\n")
    assert "hash" in venv.fusepkg("add", "--require-hashes", "-f", wheel.parent, "-r", wanted, status=1).err


def test_a_dry_run_touches_nothing(venv, make_wheel):
    said = lines(venv.fusepkg("add", "--dry-run", make_wheel("demo")))
    assert said == ["Would install 1 package", " + demo==1.0"]
    assert not venv.state.exists()


def test_without_a_mount_it_is_complete_all_the_same(venv, make_wheel):
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    assert not venv.is_mounted
    assert venv.fusepkg("list", "--json").json() == [{"name": "demo", "version": "1.0"}]
    venv.fusepkg("mount")
    venv.run_python("import demo")


def test_a_mount_that_fails_leaves_it_installed(venv, make_wheel):
    result = venv.fusepkg("add", make_wheel("demo"), status=1, env={"FUSEPKG_MOUNT_PROGRAM": "/nonexistent/x"})
    assert "error: installed, not mounted: " in result.err and "hint: " in result.err
    assert venv.fusepkg("list", "--json").json() == [{"name": "demo", "version": "1.0"}]
    venv.fusepkg("add", make_wheel("demo"))
    venv.run_python("import demo")


def test_quiet_and_colours(venv, make_wheel):
    assert venv.fusepkg("add", "-q", make_wheel("one")).err == ""
    assert "\033[" in venv.fusepkg("add", "--color", "always", make_wheel("two")).err
    assert "\033[" not in venv.fusepkg("add", make_wheel("three")).err
    assert venv.fusepkg("add", "-qq", "nosuch", status=1).err == ""


def test_the_umask_of_the_first_add_counts(root, new_venv, make_wheel):
    venv = new_venv(root)
    wheel = make_wheel("demo", entry_points={"console_scripts": {"demo": "demo:x"}})
    root.run(["sh", "-c", f"umask 027; fusepkg add --venv {venv} {wheel}"])
    assert (venv.site / "demo.py").stat().st_mode & 0o777 == 0o640
    assert (venv.bin / "demo").stat().st_mode & 0o777 == 0o750
    venv.fusepkg("add", make_wheel("later", entry_points={"console_scripts": {"later": "later:x"}}))
    assert (venv.bin / "later").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("tool", ["venv", "uv", "virtualenv"])
def test_venvs_of_all_makers(account, new_venv, make_wheel, tool):
    venv = new_venv(account, tool=tool)
    venv.fusepkg("add", make_wheel("demo", files={"demo.py": "def main(): print('works')\n"},
                                   entry_points={"console_scripts": {"demo": "demo:main"}}))
    assert account.run([venv.bin / "demo"]).out == "works\n"


def test_its_output_can_be_captured(root, venv, make_wheel):
    """The mount keeps no descriptor of its starter."""
    script = f"x=$(fusepkg add --venv {venv} {make_wheel('demo')} 2>&1); echo \"<$x>\""
    said = root.run(["sh", "-c", script], timeout=60)
    assert said.out.startswith("<Prepared") and os.path.exists(venv.site / "demo.py")
