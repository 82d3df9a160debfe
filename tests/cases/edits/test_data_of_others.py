"""What pip and uv install behind our links into the data folder is of the distribution that they bring."""
import pytest

from support.seen import files, shell

OURS = {"outer.py": "", "{data}/data/share/outer/a.json": "{}"}
THEIRS = {"brought.py": "", "{data}/data/share/outer/b.json": "{}", "{data}/data/share/brought/b.txt": "b\n", "{data}/headers/b.h": "/* b */\n"}
BEHIND = {".fusepkg-data/data/share/outer/b.json", ".fusepkg-data/data/share/brought/b.txt"}


def everything(venv):
    """The data folder does not show itself in the list of what is at the top."""
    return {**files(venv), **{f".fusepkg-data/{path}": text for path, text in files(venv, ".fusepkg-data").items()}}


@pytest.fixture(params=["pip", "uv"])
def install(request, account):
    def run(venv, *args):
        if request.param == "pip":
            account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", *args)
        else:
            account.uv("pip", "install", "--quiet", "--no-deps", "--python", venv.python, *args)
        return f"+ brought 1.0 ({request.param})\n"

    return run


@pytest.fixture
def venv(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "-q", make_wheel("outer", files=OURS), make_wheel("six"))
    assert (venv.path / "share").is_symlink()
    return venv


def test_are_of_their_distribution(venv, make_wheel, install):
    before = everything(venv)
    line = install(venv, make_wheel("brought", files=THEIRS))
    brought = everything(venv)
    assert BEHIND <= set(brought)
    for mounted in True, False:
        if not mounted:
            venv.fusepkg("umount")
        assert venv.fusepkg("diff").out == line
        assert "all as installed; 1 brought by pip or uv" in venv.fusepkg("verify").err
        assert venv.fusepkg("revert", "--all").err == "Nothing to revert\n"
    venv.fusepkg("mount")
    assert everything(venv) == brought
    shell(venv, "echo mine > outer/mine.txt", ".fusepkg-data/data/share")
    assert venv.fusepkg("diff", "--name-only").out == line + ".fusepkg-data/data/share/outer/mine.txt\n"
    assert venv.fusepkg("revert", "--all").out == ".fusepkg-data/data/share/outer/mine.txt\n"
    assert everything(venv) == brought
    assert BEHIND <= set(venv.fusepkg("revert", "brought").out.splitlines())
    assert everything(venv) == before and venv.fusepkg("diff", "--name-only").out == ""


@pytest.mark.parametrize("mounted", [True, False])
def test_are_removed_with_it(venv, make_wheel, install, mounted):
    before = everything(venv)
    install(venv, make_wheel("brought", files=THEIRS))
    shell(venv, "echo mine >> brought/b.txt", ".fusepkg-data/data/share")
    if not mounted:
        venv.fusepkg("umount")
    assert "stays" not in venv.fusepkg("remove", "brought").err
    if not mounted:
        venv.fusepkg("mount")
    assert everything(venv) == before and venv.fusepkg("diff", "--name-only").out == ""
    assert (venv.state / "kept/2/.fusepkg-data/data/share/brought/b.txt").read_text() == "b\nmine\n"


def test_of_a_package_that_was_installed_again(account, new_venv, make_wheel, install):
    wheel = make_wheel("brought", files=THEIRS)
    venv = new_venv(account)
    venv.fusepkg("add", "-q", wheel, make_wheel("six"))
    line = install(venv, "--force-reinstall", wheel)
    brought = everything(venv)
    assert venv.fusepkg("diff").out == "- brought 1.0\n" + line
    venv.fusepkg("verify")
    assert venv.fusepkg("revert", "--all").err == "Nothing to revert\n"
    assert everything(venv) == brought
    seen = "cat share/outer/b.json share/brought/b.txt include/site/python3*/brought/b.h"
    assert account.run(["sh", "-c", "cd $0; " + seen, venv.path]).out == "{}b\n/* b */\n"
    venv.fusepkg("remove", "brought")
    assert venv.fusepkg("diff").out == "" and set(everything(venv)) & BEHIND == set()
    account.run(["sh", "-c", "cd $0; " + seen, venv.path], status=1)


@pytest.mark.parametrize("mounted", [True, False])
def test_stay_when_ours_go(venv, make_wheel, install, mounted):
    """The link stays as long as anybody has something behind it."""
    line = install(venv, make_wheel("brought", files=THEIRS))
    if not mounted:
        venv.fusepkg("umount")
    venv.fusepkg("remove", "outer")
    venv.fusepkg("mount", "-q")
    brought = everything(venv)
    assert BEHIND <= set(brought)
    assert venv.account.run(["cat", venv.path / "share/brought/b.txt"]).out == "b\n"
    assert venv.fusepkg("diff").out == line
    assert venv.fusepkg("revert", "--all").err == "Nothing to revert\n"
    assert everything(venv) == brought
    venv.fusepkg("remove", "brought")
    assert venv.fusepkg("diff").out == "" and set(everything(venv)) & BEHIND == set()
    venv.fusepkg("add", "-q", make_wheel("last"))
    assert not (venv.path / "share").is_symlink()


def test_a_link_that_leads_elsewhere_is_not_followed(venv, make_wheel, folder, install):
    """Not a user's, into another folder; and what its RECORD says is not looked for in the data folder then."""
    (folder / "elsewhere").mkdir()
    venv.account.give(folder / "elsewhere")
    venv.account.run(["sh", "-c", "cd $0; rm share; ln -s $1 share", venv.path, folder / "elsewhere"])
    line = install(venv, make_wheel("brought", files=THEIRS))
    shell(venv, "echo mine > outer/b.json", ".fusepkg-data/data/share")
    assert venv.fusepkg("diff", "--name-only").out == line + ".fusepkg-data/data/share/outer/b.json\n"
