"""Root mounts what belongs to an ordinary user: the user goes on with it."""


def test_what_root_mounted_is_the_users(root, user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", "-q", make_wheel("demo", files={"demo/a.py": "a = 1\n"}))
    venv.fusepkg("umount")
    for path in venv.state.glob("edits*"):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    root.fusepkg("mount", "--allow-root", "--venv", venv.path, env={"FUSEPKG_STORE": venv.account.store})
    (venv.site / "demo/a.py").write_text("a = 2\n")
    (venv.site / "new.txt").write_text("root's\n")
    root.fusepkg("umount", "--allow-root", "--venv", venv.path, env={"FUSEPKG_STORE": venv.account.store})
    strangers = [path.name for path in venv.state.rglob("*") if path.lstat().st_uid != user.uid]
    assert strangers == []
    venv.fusepkg("mount")
    user.run(["/bin/sh", "-c", f"cat {venv.site}/demo/a.py > {venv.site}/copy.py"])
    assert user.run(["/bin/cat", venv.site / "copy.py", venv.site / "new.txt"]).out == "a = 2\nroot's\n"
