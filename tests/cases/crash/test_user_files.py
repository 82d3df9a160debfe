"""What is the user's, or pip's, survives odd orders of commands."""
import os
import stat

from support.make_wheel import executable


def bare(venv, name="demo", scripts=("tool", "other")):
    """A distribution that somebody has put into the bare site-packages, with scripts."""
    info = venv.site / f"{name}-0.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.5\n")
    rows = [f"{info.name}/METADATA", f"{info.name}/RECORD", *(f"../../../bin/{s}" for s in scripts)]
    (info / "RECORD").write_text("".join(f"{row},,\n" for row in rows))
    for script in scripts:
        (venv.bin / script).write_text(f"bare {script}\n")


def demo(make_wheel, version="1.0"):
    return make_wheel("demo", version, {"demo.py": "", "{data}/scripts/tool": executable("#!/bin/sh\necho ours\n")})


def test_a_file_in_the_place_of_a_link_is_kept(venv, make_wheel):
    """bin/tool was a symlink of ours; the user has put a file there; then a package comes with a script of that name."""
    venv.fusepkg("add", "--no-mount", make_wheel("linked", files={"{data}/data/bin/tool": "x"}))
    (venv.bin / "tool").unlink()
    (venv.bin / "tool").write_text("mine\n")
    said = venv.fusepkg("add", "--no-mount", demo(make_wheel)).err
    assert (venv.state / "kept/2/bin/tool").read_text() == "mine\n"
    assert f"'{venv.bin}/tool' was in the way" in said and "kept/2/bin/tool'" in said


def test_what_is_kept_twice_is_named_as_it_lies_there(venv, make_wheel):
    venv.fusepkg("add", "--no-mount", demo(make_wheel))
    (venv.bin / "tool").write_text("first\n")
    (venv.state / "kept/2/bin").mkdir(parents=True)
    (venv.state / "kept/2/bin/tool").write_text("there\n")
    said = venv.fusepkg("add", "--no-mount", demo(make_wheel, "2.0")).err
    assert "kept/2/bin/tool.1'" in said and (venv.state / "kept/2/bin/tool.1").read_text() == "first\n"


def test_scripts_whose_names_begin_with_a_dot_go_with_their_package(venv, make_wheel):
    venv.fusepkg("add", "--no-mount", make_wheel("dots", files={
        "{data}/scripts/.hidden": "#!/bin/sh\n", "{data}/data/share/x": ""}))
    assert (venv.bin / ".hidden").exists() and (venv.path / "share").is_symlink()
    venv.fusepkg("remove", "dots")
    assert not (venv.bin / ".hidden").exists() and not (venv.path / "share").is_symlink()


def test_a_wheel_cannot_replace_the_lock(venv, make_wheel):
    said = venv.fusepkg("add", "--no-mount", make_wheel("locks", files={"{data}/data/.lock": "x"}), status=1).err
    assert ".lock' has a name that is reserved" in said
    venv.fusepkg("add", "--no-mount", demo(make_wheel))


def test_a_refused_add_leaves_bare_scripts_where_they_are(venv, make_wheel):
    bare(venv)
    venv.fusepkg("add", "--no-mount", demo(make_wheel))
    assert (venv.bin / "tool").read_text() == "bare tool\n"
    for name in "ab":
        wheel = make_wheel(name, files={"same.py": name})
        venv.fusepkg("add", "--no-mount", "--strict", wheel, status=0 if name == "a" else 1)
        assert (venv.bin / "tool").read_text() == "bare tool\n"
        assert (venv.bin / "other").read_text() == "bare other\n"


def test_a_refused_first_add_leaves_no_state(venv, make_wheel):
    bare(venv)
    wheels = [demo(make_wheel)] + [make_wheel(name, files={"same.py": name}) for name in "ab"]
    venv.fusepkg("add", "--no-mount", "--strict", *wheels, status=1)
    assert not venv.state.exists()


def test_what_is_in_the_place_of_generated_files_is_not_opened(venv, make_wheel, folder):
    """A FIFO would hang root, a hard link would cost somebody a file."""
    (folder / "precious").write_text("precious")
    venv.state.mkdir()
    os.mkfifo(venv.state / "generated.1")
    os.link(folder / "precious", venv.state / "generated.2")
    for version in ("1.0", "2.0"):
        venv.fusepkg("add", "--no-mount", demo(make_wheel, version))
    assert (folder / "precious").read_text() == "precious"
    assert stat.S_ISREG((venv.state / "generated.2").lstat().st_mode)


def test_root_mounts_over_nothing_but_what_is_the_users(root, user, new_venv, make_wheel, folder):
    """His venv's lib/python3.X is a symlink to a folder of root's."""
    venv = new_venv(user)
    place = folder / "system"
    (place / "site-packages").mkdir(parents=True)
    inside = venv.site.parent
    inside.rename(folder / "away")
    inside.symlink_to(place)
    said = root.fusepkg("add", "--allow-root", "--venv", venv.path, demo(make_wheel), status=1).err
    assert "belongs to another user" in said
    assert os.listdir(place / "site-packages") == [] and not venv.state.exists()
    inside.unlink()
    (folder / "away").rename(inside)
    root.fusepkg("add", "--allow-root", "--venv", venv.path, demo(make_wheel))
    assert venv.state.stat().st_uid == user.uid and (venv.bin / "tool").stat().st_uid == user.uid
    root.fusepkg("umount", "--allow-root", "--venv", venv.path)
