"""`fusepkg remove` and `add`, when what is at the paths that pip's RECORD lists is something else: the user's, or another package's."""
import os
import random
import time

import pytest

import kills
from support.seen import files, shell

FILES = {"demo/__init__.py": "", "demo/file.py": "x = 1\n", "demo/other.py": "x = 1\n", "demo/same.py": "x = 1\n", "demo/sub/a.py": "",
         "demo/sub/deep/b.py": "", "demo/more/c.py": "", "single/d.py": "", "single/e.py": "e = 1\n"}
# What a user may put in the place of a file or a folder: the same to what fusepkg has installed, which says what must become of it.
REPLACE = """
rm demo/file.py; ln -s /my/target demo/file.py
rm demo/other.py; mkdir demo/other.py; echo mine > demo/other.py/x
rm -r demo/sub; echo mine > demo/sub
rm -r demo/more; ln -s /my/folder demo/more
rm -r single; echo mine > single
rm -r demo-2.0.dist-info/licenses; echo mine > demo-2.0.dist-info/licenses
"""


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account, name="venv")
    venv.fusepkg("add", make_wheel("six", "1.0"))
    return venv


def install(venv, tool, *wheels, mode="copy"):
    if tool == "pip":
        venv.account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", *wheels)
    elif tool == "uv":
        venv.account.uv("pip", "install", "--quiet", "--no-deps", "--link-mode", mode, "--python", venv.python, *wheels)
    else:
        venv.fusepkg("add", "-q", *wheels)


def kept(venv):
    """{path: bytes, or target} below kept/<generation>."""
    found = {}
    for generation in (venv.state / "kept").glob("*"):
        for path in generation.rglob("*"):
            if path.is_symlink() or path.is_file():
                found[str(path.relative_to(generation))] = os.readlink(path) if path.is_symlink() else path.read_text()
    return found


def folders(venv):
    return set(venv.account.run(["find", venv.site, "-type", "d", "-printf", "%P\n"]).out.split())


@pytest.fixture
def wheels(make_wheel):
    licenses = {"licenses/LICENSE": "free\n"}
    return {"2.0": make_wheel("demo", "2.0", FILES, extra_dist_info=licenses),
            "3.0": make_wheel("demo", "3.0", {**FILES, "demo/file.py": "x = 3\n"}, extra_dist_info=licenses)}


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize("command", ["remove", "add"])
def test_what_is_no_file_of_the_record_is_the_users(account, new_venv, make_wheel, wheels, command, mounted):
    left = {}
    for tool in ("fusepkg", "pip", "uv"):
        venv = new_venv(account, name=tool)
        venv.fusepkg("add", make_wheel("six", "1.0"))
        install(venv, tool, wheels["2.0"])
        shell(venv, REPLACE)
        if not mounted:
            venv.fusepkg("umount")
        venv.fusepkg(command, "-q", "demo" if command == "remove" else wheels["3.0"])
        if not mounted:
            venv.fusepkg("mount")
        assert sorted(venv.fusepkg("status", "--json").json()[0]["kept"]) == sorted(
            str(p.relative_to(venv.path)) for p in (venv.state / "kept").rglob("*") if p.is_symlink() or p.is_file())
        shown = {path: text for path, text in files(venv).items() if not path.startswith("demo-3.0")}
        left[tool] = shown, folders(venv), kept(venv)
        everything = [*shown.items(), *kept(venv).items()]
        for mine in ("/my/target", "/my/folder", "mine\n"):
            assert mine in [text for _, text in everything], (tool, mine)
        assert [text for _, text in everything].count("mine\n") == 4, (tool, everything)
    assert left["pip"] == left["uv"] == left["fusepkg"]


@pytest.mark.parametrize("mounted", [True, False])
def test_a_row_that_speaks_of_a_file_as_a_folder(venv, make_wheel, mounted):
    """A wheel that cannot be installed: uv leaves its dist-info all the same."""
    broken = make_wheel("demo", "9.0", {"demo/a.py": "", "six.py/inner.py": "x = 1\n"})
    before = files(venv)
    venv.account.uv("pip", "install", "--quiet", "--no-deps", "--python", venv.python, broken, status=None)
    # As an installer may leave it, whatever this uv does.
    shell(venv, "mkdir -p demo-9.0.dist-info; cd demo-9.0.dist-info; printf 'Metadata-Version: 2.1\\nName: demo\\nVersion: 9.0\\n' > METADATA; "
                "printf 'six.py/inner.py,,\\nsix.py,,\\nsix-1.0.dist-info/METADATA,,\\ndemo-9.0.dist-info/METADATA,,\\n"
                "demo-9.0.dist-info/WHEEL,,\\ndemo/a.py,,\\ndemo-9.0.dist-info/RECORD,,\\n' > RECORD")
    if not mounted:
        venv.fusepkg("umount")
    assert " - demo==9.0" in venv.fusepkg("remove", "demo").err
    venv.fusepkg("verify")
    if not mounted:
        venv.fusepkg("mount")
    assert {path: text for path, text in files(venv).items() if not path.startswith("demo")} == before
    assert venv.fusepkg("diff", "--name-only").out == "" and not (venv.state / "kept").exists()


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_file_over_which_pip_has_written_comes_back(venv, make_wheel, tool, mounted):
    before = files(venv)
    install(venv, tool, make_wheel("demo", "2.0", {"six.py": "not six\n", "demo.py": ""}))
    assert files(venv)["six.py"] == "not six\n"
    if not mounted:
        venv.fusepkg("umount")
    venv.fusepkg("remove", "demo")
    venv.fusepkg("verify")
    if not mounted:
        venv.fusepkg("mount")
    assert files(venv) == before and not (venv.state / "kept").exists()


@pytest.mark.parametrize("command", ["remove", "add"])
def test_symlinks_are_uvs_when_they_lead_to_the_bytes(venv, wheels, command):
    install(venv, "uv", wheels["2.0"], mode="symlink")
    shell(venv, "cat demo-2.0.dist-info/METADATA > m; rm demo-2.0.dist-info/METADATA; mv m demo-2.0.dist-info/METADATA")
    assert shell(venv, "readlink demo/same.py").startswith("/")
    shell(venv, "cp demo/same.py ../../twin.py; rm demo/file.py; ln -s ../../../twin.py demo/file.py; rm demo/other.py; ln -s /dev/null demo/other.py; "
                "rm demo/more/c.py; ln -s ../../../../nothing demo/more/c.py; rm single/e.py; ln -s \"$0/demo/file.py\" single/e.py")
    mine = {"demo/file.py": "../../../twin.py", "demo/other.py": "/dev/null", "demo/more/c.py": "../../../../nothing",
            "single/e.py": f"{venv.site}/demo/file.py"}
    venv.fusepkg(command, "-q", "demo" if command == "remove" else wheels["3.0"])
    if command == "remove":
        assert {path: text for path, text in files(venv).items() if not path.startswith("six") and path != ".fusepkg"} == mine
        assert not (venv.state / "kept").exists()
    else:
        assert kept(venv) == mine
        venv.fusepkg("verify")


def test_what_is_no_script_of_the_record_stays(venv, make_wheel):
    scripts = {name: "demo:x" for name in ("link", "folder", "changed", "same")}
    install(venv, "pip", make_wheel("demo", "2.0", entry_points={"console_scripts": scripts}))
    for name in ("link", "folder"):
        (venv.bin / name).unlink()
    venv.account.run(["ln", "-s", "/my/target", venv.bin / "link"])
    venv.account.run(["mkdir", venv.bin / "folder"])
    venv.account.run(["sh", "-c", 'echo mine > "$0"; chmod 0 "$0"', venv.bin / "changed"])
    venv.fusepkg("remove", "demo")
    assert os.readlink(venv.bin / "link") == "/my/target" and (venv.bin / "folder").is_dir()
    assert not (venv.bin / "same").exists() and not (venv.bin / "changed").exists()
    assert kept(venv) == {"bin/changed": "mine\n"}


def test_a_further_name_of_a_file_that_was_changed(venv, wheels):
    """Both names are the package's: neither is left."""
    install(venv, "pip", wheels["2.0"])
    shell(venv, "rm demo/other.py; ln demo/file.py demo/other.py; echo mine > demo/file.py; chmod 600 demo/file.py; rm demo/same.py; ln six.py demo/same.py")
    venv.fusepkg("remove", "-q", "demo")
    assert kept(venv) == {"demo/file.py": "mine\n", "demo/other.py": "mine\n"}
    assert {p.stat().st_mode & 0o777 for p in (venv.state / "kept").rglob("*.py")} == {0o600}
    assert files(venv, "demo") == {"same.py": "version = '1.0'\n"}


def test_folders_of_the_bare_site_packages_that_are_empty_go(account, new_venv, make_wheel):
    venv = new_venv(account, name="venv")
    install(venv, "pip", make_wheel("demo", "1.0", {"demo/a.py": "", "demo/sub/b.py": ""}))
    (venv.site / "demo/sub/mine.txt").write_text("mine\n")
    venv.fusepkg("add", make_wheel("six", "1.0"))
    install(venv, "pip", make_wheel("demo", "2.0", {"demo/a.py": "", "demo/sub/c.py": ""}))
    shell(venv, "rm demo/sub/mine.txt")
    venv.fusepkg("remove", "-q", "demo")
    assert "demo" not in folders(venv)


def test_a_kill_in_between_loses_nothing(root, new_venv, make_wheel):
    chance = random.Random(int(os.environ.get("FUSEPKG_TEST_SEED", "7")))
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("six", "1.0"))
    many = make_wheel("demo", "2.0", {**FILES, **{f"demo/many/f{n}.py": f"n = {n}\n" for n in range(150)}}, extra_dist_info={"licenses/L": ""})
    for turn in range(6):
        install(venv, "pip", many)
        shell(venv, REPLACE)
        (venv.site / "demo/many/f7.py").write_text("changed\n")
        with open(venv.site / "demo-2.0.dist-info/RECORD", "a") as record:
            record.write("six.py/inner.py,,\n")
        remove = root.start([root.installed / "bin/fusepkg", "remove", "-q", "--venv", venv.path, "demo"])
        time.sleep(chance.uniform(0, 0.15))
        kills.kill_mount(venv)
        remove.wait()
        venv.fusepkg("mount")
        if (venv.site / "demo-2.0.dist-info/METADATA").exists():
            venv.fusepkg("remove", "-q", "demo")
        assert not list(venv.site.glob("demo/many/*")) and (venv.site / "six.py").read_text() == "version = '1.0'\n"
        assert os.readlink(venv.site / "demo/file.py") == "/my/target" and os.readlink(venv.site / "demo/more") == "/my/folder"
        for path in ("demo/other.py/x", "demo/sub", "single", "demo-2.0.dist-info/licenses"):
            assert (venv.site / path).read_text() == "mine\n"
        assert "changed\n" in kept(venv).values()
        shell(venv, "rm -r demo demo-2.0.dist-info single; rm -rf ../../../.fusepkg/kept/*")
        venv.fusepkg("verify")
