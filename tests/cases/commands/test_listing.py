"""list, freeze and show say what pip says of the same venv."""
import json

import pytest


def bare_install(venv, *wheels):
    venv.account.pip("--python", venv.python, "install", "--quiet", "--no-deps", "--no-compile", *wheels)


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """Bare: Old.Name 0.9 (from a path) and leaf 1.0; by fusepkg: top, which requires leaf and more, and My_Pkg by name."""
    venv = new_venv(account)
    bare_install(venv, make_wheel("Old.Name", "0.9"), make_wheel("leaf"))
    top = make_wheel("top", "2.0.1", requires=[
        "leaf>=1", "My-Pkg[test] (>=1) ; python_version >= '3.6'", "absent ; python_version < '3.0'",
        "pytest ; extra == 'test'", "zeta @ https://example.org/z;x.whl ; sys_platform == 'linux'"],
        metadata="Summary: The top one\nAuthor: Ann\nAuthor-email: Ann <ann@example.org>\nLicense: MIT\nHome-page: https://example.org\n",
        entry_points={"console_scripts": {"top": "top:main"}})
    venv.fusepkg("add", top)
    folder = make_wheel("My_Pkg", "1.0.post1", folder=venv.account.work / "found").parent
    venv.fusepkg("add", "-f", folder, "My_Pkg==1.0.post1")
    return venv


def pip(venv, *args):
    return venv.account.pip("--python", venv.python, *args).out


def test_json_is_a_list_of_names_and_versions(venv):
    found = venv.fusepkg("list", "--json").json()
    assert found == [{"name": "leaf", "version": "1.0"}, {"name": "My_Pkg", "version": "1.0.post1"},
                     {"name": "Old.Name", "version": "0.9"}, {"name": "top", "version": "2.0.1"}]
    assert venv.fusepkg("list", "--format", "json").json() == found
    assert json.loads(pip(venv, "list", "--format", "json")) == found


def test_verbose_json_tells_where_and_by_whom(venv):
    found = {p["name"]: p for p in venv.fusepkg("list", "--json", "-v").json()}
    assert found["leaf"]["installer"] == "pip"
    assert found["top"]["installer"] != "pip"
    assert found["top"]["location"] == str(venv.site)


@pytest.mark.parametrize("args", [["list"], ["list", "--format", "freeze"], ["freeze"], ["freeze", "--all"]])
def test_it_prints_what_pip_prints(venv, args):
    assert venv.fusepkg(*args).out == pip(venv, *args)


def test_unmounted_it_lists_the_same(venv):
    before = [venv.fusepkg(*a).out for a in (["list"], ["freeze"], ["show", "-f", "top"])]
    venv.fusepkg("umount")
    assert [venv.fusepkg(*a).out for a in (["list"], ["freeze"], ["show", "-f", "top"])] == before


def test_an_empty_venv_has_an_empty_list(account, new_venv):
    venv = new_venv(account)
    assert venv.fusepkg("list", "--json").json() == []
    assert venv.fusepkg("list").out == ""
    assert venv.fusepkg("freeze").out == ""


def test_an_unknown_format_is_wrong_usage(venv):
    assert "columns" in venv.fusepkg("list", "--format", "xml", status=2).err


def fields(text):
    """The fields of one package, its files under "Files"."""
    found = {}
    for line in text.splitlines():
        if line.startswith("  "):
            found.setdefault("Files", []).append(line.strip())
        else:
            name, _, value = line.partition(":")
            if name != "Files":
                found[name] = value.strip()
    return found


@pytest.mark.parametrize("name", ["top", "leaf", "my.pkg", "old-name"])
def test_show_agrees_with_pip(venv, name):
    ours, theirs = fields(venv.fusepkg("show", "-f", name).out), fields(pip(venv, "show", "-f", name))
    for field in ("Name", "Version", "Summary", "Author", "Author-email", "License", "Home-page", "Location", "Requires", "Required-by"):
        assert ours[field] == theirs[field], field
    assert ours["Files"] == theirs["Files"]


def test_an_order_of_names_that_pip_has_in_freeze_alone(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", *[make_wheel(name) for name in ("a_b", "a-c", "A.a", "ab")])
    assert venv.fusepkg("freeze").out == pip(venv, "freeze")
    assert venv.fusepkg("list").out == pip(venv, "list")


@pytest.mark.parametrize("args", [[], ["--all"]])
def test_freeze_leaves_out_what_pip_leaves_out_for_this_python(account, new_venv, make_wheel, args):
    venv = new_venv(account)
    bare_install(venv, make_wheel("setuptools"), make_wheel("demo"))
    venv.fusepkg("add", make_wheel("wheel"), make_wheel("pip"), make_wheel("distribute"))
    assert venv.fusepkg("freeze", *args).out == pip(venv, "freeze", *args)


@pytest.mark.parametrize("metadata", [
    "Project-URL: Docs, https://example.org/docs\nProject-URL: Home-Page , https://example.org/home\n",
    "Project-URL: Docs, https://example.org/docs\n",
    "License: MIT\nHome-page:\nproject-url: homepage,https://example.org\n",
    "License: one\n        two\n         three\n\nHome-page: https://body.example.org\n",
], ids=["label", "no-home", "empty-home", "folded"])
def test_show_reads_metadata_as_pip_does(account, new_venv, make_wheel, metadata):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", metadata=metadata))
    ours = venv.fusepkg("show", "demo").out.splitlines()
    assert [line for line in ours if not line.startswith("Installer: ")] == pip(venv, "show", "demo").splitlines()


def test_show_leaves_out_what_is_not_required_here(venv):
    found = fields(venv.fusepkg("show", "top").out)
    assert found["Requires"] == "leaf, My-Pkg, zeta"
    assert fields(venv.fusepkg("show", "leaf").out)["Required-by"] == "top"


def test_show_of_several_separates_them(venv):
    result = venv.fusepkg("show", "top", "nothing", "leaf")
    assert [part.split()[1] for part in result.out.split("---\n")] == ["top", "leaf"]
    assert "nothing" in result.err


def test_show_of_none_exits_with_1(venv):
    result = venv.fusepkg("show", "nothing", status=1)
    assert result.out == "" and "nothing" in result.err
    venv.fusepkg("show", status=2)
