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
