"""Which venv a command works on, and whose."""
import os


def test_the_order_of_choice(root, new_venv, make_wheel, folder):
    wheel = make_wheel("demo")
    named, active, found = (new_venv(root, name=n) for n in ("named", "active", "found"))
    here = folder / "project/src"
    here.mkdir(parents=True)
    (folder / "project/.venv").symlink_to(found.path)

    def add(*args, **env):
        root.fusepkg("add", "--no-mount", wheel, *args, cwd=here, env=env)

    add("--venv", named, VIRTUAL_ENV=active)
    assert named.state.exists() and not active.state.exists()
    add(VIRTUAL_ENV=active)
    assert active.state.exists() and not found.state.exists()
    add()
    assert found.state.exists()


def test_by_interpreter_and_by_a_file_that_names_it(root, new_venv, make_wheel, folder):
    one, two, three = (new_venv(root, name=n) for n in ("one", "two", "three"))
    wheel = make_wheel("demo")
    root.fusepkg("add", "--no-mount", "-p", one.python, wheel)
    root.fusepkg("add", "--no-mount", "--python", two.path, wheel)
    project = folder / "project"
    project.mkdir()
    (project / ".venv").write_text(os.path.relpath(three.path, project) + "\n")
    root.fusepkg("add", "--no-mount", wheel, cwd=project)
    assert all(v.state.exists() for v in (one, two, three))


def test_none_at_all(root, make_wheel, folder):
    assert "no virtual environment found" in root.fusepkg("add", make_wheel("demo"), cwd="/", status=1).err
    assert "not a virtual environment" in root.fusepkg("add", "--venv", folder, make_wheel("demo"), status=1).err
    assert "'/nonexistent'" in root.fusepkg("add", "--venv", "/nonexistent", make_wheel("demo"), status=1).err


def test_root_does_not_touch_a_users_venv_unasked(root, user, new_venv, make_wheel):
    venv = new_venv(user)
    wheel = make_wheel("demo", files={"demo.py": "", "{data}/data/share/x": ""},
                       entry_points={"console_scripts": {"demo": "demo:x"}})
    assert "--allow-root" in root.fusepkg("add", "--venv", venv, wheel, status=1).err
    assert not venv.state.exists()
    root.fusepkg("add", "--allow-root", "--no-mount", "--venv", venv, wheel)
    foreign = [p for p in venv.path.rglob("*") if p.lstat().st_uid != user.uid]
    assert foreign == []


def test_one_that_was_found_must_belong_to_the_caller(root, user, new_venv, make_wheel, folder):
    venv = new_venv(root)
    project = user.make_folder(folder / "project")
    (project / ".venv").symlink_to(venv.path)
    assert "found by searching" in user.fusepkg("add", make_wheel("demo"), cwd=project, status=1).err


def test_another_store_is_refused_by_both_names(root, venv, new_venv, make_wheel, folder):
    wheel = make_wheel("demo")
    venv.fusepkg("add", wheel)
    other = folder / "other-store"
    said = venv.fusepkg("add", make_wheel("more"), status=1, env={"FUSEPKG_STORE": other}).err
    assert str(root.store) in said and str(other) in said
    root.fusepkg("add", "--venv", new_venv(root, name="elsewhere"), wheel, env={"FUSEPKG_STORE": other})
    said = venv.fusepkg("add", make_wheel("more"), status=1, env={"FUSEPKG_STORE": other}).err
    assert str(root.store) in said and str(other) in said and "id " in said
    # Without the variable the recorded one is used, whatever the home.
    venv.fusepkg("add", make_wheel("more"), env={"FUSEPKG_STORE": None, "HOME": folder})
    assert [p["name"] for p in venv.fusepkg("list", "--json").json()] == ["demo", "more"]
