"""Two wheels that claim one path."""


def read(venv):
    return venv.run_python("import shared.thing; print(shared.thing.value)").out.strip()


def wheels(make_wheel, second="'b'"):
    return (make_wheel("pkg-a", files={"shared/thing.py": "value = 'a'\n", "shared/a.py": ""}),
            make_wheel("pkg-b", files={"shared/thing.py": f"value = {second}\n", "shared/b.py": ""}))


def test_the_later_wins_with_a_warning_and_removing_it_uncovers_the_other(account, new_venv, make_wheel):
    venv = new_venv(account)
    a, b = wheels(make_wheel)
    venv.fusepkg("add", a)
    said = venv.fusepkg("add", b).err
    assert "warning" in said and "shared/thing.py" in said and "pkg-a" in said and "pkg-b" in said
    assert read(venv) == "b"
    venv.fusepkg("remove", "-y", "pkg-b")
    assert read(venv) == "a"


def test_the_same_bytes_are_silent(account, new_venv, make_wheel):
    venv = new_venv(account)
    a, b = wheels(make_wheel, second="'a'")
    assert "warning" not in venv.fusepkg("add", a, b).err
    venv.fusepkg("remove", "-y", "pkg-a")
    assert read(venv) == "a"


def test_folders_as_deep_as_a_path_can_be(account, new_venv, make_wheel):
    """Shared at every level, under a mount: merging them must not end the mount."""
    venv = new_venv(account)
    deep = "a/" * 480
    for name in ("one", "two", "three"):
        venv.fusepkg("add", "-q", make_wheel(name, files={f"{deep}{name}.py": f"value = '{name}'\n"}))
    venv.fusepkg("remove", "-q", "-y", "two")
    look = "import os, sys; print(*sorted(os.listdir(sys.argv[1])))"
    assert account.run(["/usr/bin/python3", "-c", look, venv.site / deep]).out.split() == ["one.py", "three.py"]
