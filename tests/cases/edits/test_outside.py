"""Links outside of site-packages to folders of the data tree: the mount removes them and brings them back with those."""
import os
import shutil

CONF = {"{data}/data/etc/outer/conf/a.json": "{}"}


def test_below_a_folder_that_is_a_link(root_demo, make_wheel):
    """VENV/etc leads into the mount: looking for VENV/etc/outer/conf there, the mount would wait for itself."""
    venv = root_demo
    venv.fusepkg("add", "-q", make_wheel("outer", files=CONF))
    assert (venv.path / "etc").is_symlink()
    fd = os.open(venv.site / ".fusepkg-data/data/etc/outer", os.O_RDONLY)
    try:
        os.unlink("conf/a.json", dir_fd=fd)
        # From now on the kernel has to ask about the folders that lead there.
        venv.fusepkg("add", "-q", make_wheel("further"))
        os.rmdir("conf", dir_fd=fd)
        assert os.listdir(fd) == []
    finally:
        os.close(fd)


def test_a_link_comes_and_goes(root_demo, make_wheel):
    venv = root_demo
    folder, link = venv.site / ".fusepkg-data/data/opt/outer", venv.path / "opt/outer"
    (venv.path / "opt").mkdir()
    venv.fusepkg("add", "-q", make_wheel("outer", files={"{data}/data/opt/outer/a.json": "{}"}))
    before = os.readlink(link)
    folder.rename(venv.site / "away")
    assert not os.path.lexists(link)
    (venv.site / "away").rename(folder)
    assert os.readlink(link) == before and (link / "a.json").read_text() == "{}"


def test_no_link_that_a_symlink_leads_to(root_demo, make_wheel, folder):
    venv = root_demo
    (venv.path / "opt").mkdir()
    venv.fusepkg("add", "-q", make_wheel("outer", files={"{data}/data/opt/outer/a.json": "{}"}))
    assert (venv.path / "opt/outer").is_symlink()
    (venv.path / "opt").rename(folder / "elsewhere")
    (venv.path / "opt").symlink_to(folder / "elsewhere")
    shutil.rmtree(venv.site / ".fusepkg-data/data/opt/outer")
    assert (folder / "elsewhere/outer").is_symlink()
