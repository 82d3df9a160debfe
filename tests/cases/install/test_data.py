"""Data and headers: reached by the fewest symlinks, which come and go with their packages."""
import os


def links(venv):
    found = {}
    for where, folders, files in os.walk(venv.path):
        folders[:] = [f for f in folders if not os.path.samefile(os.path.join(where, f), venv.site)]
        for name in folders + files:
            path = os.path.join(where, name)
            if os.path.islink(path) and ".fusepkg-data" in os.readlink(path):
                found[os.path.relpath(path, venv.path)] = os.readlink(path)
    return found


def test_one_link_carries_all_of_a_folder(venv, make_wheel):
    a = make_wheel("aa", files={"{data}/data/share/one/a": "a", "{data}/data/share/two/a": "a"})
    b = make_wheel("bb", files={"{data}/data/share/one/b": "b", "{data}/data/top.txt": "t"})
    venv.fusepkg("add", a, b)
    prefix = os.path.relpath(venv.site, venv.path)
    assert links(venv) == {"share": f"{prefix}/.fusepkg-data/data/share",
                           "top.txt": f"{prefix}/.fusepkg-data/data/top.txt"}
    assert (venv.path / "share/one/b").read_text() == "b"
    venv.fusepkg("remove", "bb")
    assert list(links(venv)) == ["share"] and not (venv.path / "share/one/b").exists()
    venv.fusepkg("remove", "aa")
    assert links(venv) == {} and not os.path.lexists(venv.path / "share")


def test_a_folder_of_the_user_is_gone_into(venv, make_wheel):
    (venv.path / "etc/jupyter").mkdir(parents=True)
    (venv.path / "etc/jupyter/mine").write_text("m")
    venv.fusepkg("add", make_wheel("demo", files={"{data}/data/etc/jupyter/conf.d/x.json": "x",
                                                  "{data}/data/etc/other/y": "y"}))
    assert sorted(links(venv)) == ["etc/jupyter/conf.d", "etc/other"]
    assert (venv.path / "etc/jupyter/conf.d/x.json").read_text() == "x"
    venv.fusepkg("remove", "demo")
    assert links(venv) == {} and (venv.path / "etc/jupyter/mine").read_text() == "m"


def test_a_file_of_the_user_is_kept(venv, make_wheel):
    (venv.path / "share").mkdir()
    (venv.path / "share/demo").write_text("mine")
    assert "warning" in venv.fusepkg("add", make_wheel("demo", files={"{data}/data/share/demo/x": "x"})).err
    assert (venv.path / "share/demo/x").read_text() == "x"
    assert (venv.state / "kept/1/share/demo").read_text() == "mine"


def test_headers(venv, make_wheel):
    venv.fusepkg("add", make_wheel("my-demo", files={"{data}/headers/sub/x.h": "x"}))
    site = next((venv.path / "include/site").glob("python3.*"))
    assert (site / "my-demo/sub/x.h").read_text() == "x"
    venv.fusepkg("remove", "my-demo")
    assert not (venv.path / "include/site").exists()


def test_headers_after_data_that_took_include_whole(venv, make_wheel):
    """uv makes no include/: a link that stands for it gives way to a real folder."""
    if (venv.path / "include").exists():
        for below in sorted((venv.path / "include").rglob("*"), reverse=True):
            below.rmdir() if below.is_dir() else below.unlink()
        (venv.path / "include").rmdir()
    venv.fusepkg("add", make_wheel("aa", files={"{data}/data/include/a.h": "a"}))
    assert list(links(venv)) == ["include"]
    venv.fusepkg("add", make_wheel("bb", files={"{data}/headers/b.h": "b"}))
    assert (venv.path / "include/a.h").read_text() == "a"
    assert next((venv.path / "include/site").glob("python3.*/bb/b.h")).read_text() == "b"


def test_unmounted_they_lead_nowhere_and_come_back(venv, make_wheel):
    venv.fusepkg("add", make_wheel("demo", files={"{data}/data/share/x": "x"}))
    venv.fusepkg("umount")
    assert not (venv.path / "share").exists() and (venv.path / "share").is_symlink()
    venv.fusepkg("mount")
    assert (venv.path / "share/x").read_text() == "x"
