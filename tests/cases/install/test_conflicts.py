"""Two packages that claim one path: the same bytes are silent, of others the later wins until it is removed."""


def pair(make_wheel):
    return [make_wheel(n, files={"shared/__init__.py": "", "shared/what.py": f"who = '{n}'\n", f"shared/{n}.py": "",
                                 "{data}/data/share/what.txt": n},
                       entry_points={"console_scripts": {"what": f"shared.{n}:main"}}) for n in ("aa", "bb")]


def owners(venv):
    return [venv.run_python("import shared.what as w; print(w.who)").out.strip(),
            (venv.path / "share/what.txt").read_text(),
            "bb" if "shared.bb" in (venv.bin / "what").read_text() else "aa"]


def test_the_later_wins_and_its_removal_uncovers_the_other(venv, make_wheel):
    a, b = pair(make_wheel)
    assert "warning" not in venv.fusepkg("add", a).err
    said = venv.fusepkg("add", b).err
    for path in ("shared/what.py", "share/what.txt", "bin/what"):
        assert (f"warning: The file `{path}` is provided by more than one package: `aa`, `bb`; the later one, `bb`, "
                "is used\n") in said
    assert said.count("warning: ") == 3, "shared/__init__.py is the same in both"
    assert owners(venv) == ["bb"] * 3
    venv.fusepkg("remove", "bb")
    assert owners(venv) == ["aa"] * 3
    assert not (venv.site / "shared/bb.py").exists()


def test_removing_the_covered_one_changes_nothing_for_the_other(venv, make_wheel):
    a, b = pair(make_wheel)
    venv.fusepkg("add", a, b)
    venv.fusepkg("remove", "aa")
    assert owners(venv) == ["bb"] * 3
    venv.run_python("import shared.bb")


def test_adding_the_loser_again_makes_it_win(venv, make_wheel):
    a, b = pair(make_wheel)
    venv.fusepkg("add", a, b)
    venv.fusepkg("add", "--reinstall", a)
    assert owners(venv) == ["aa"] * 3
