"""`fusepkg store path`, `du` and `verify` on a store that is as it should be."""
import os

from support.venvs import make_venv

LARGE = 300_000  # bytes; an object


def large(seed):
    return bytes((i * seed + (i >> 8)) & 255 for i in range(LARGE))


def fill(venv, make_wheel):
    venv.fusepkg("add", "--no-mount", make_wheel("demo", "1.0", {"demo.py": "x = 1\n", "demo_lib.so": large(7)}),
                 make_wheel("other", "2.0"))


def test_path_is_the_one_that_is_used(root, folder, fusepkg):
    assert fusepkg("store", "path").out == f"{root.store}\n"
    data = {"FUSEPKG_STORE": None, "XDG_DATA_HOME": folder / "data"}
    assert fusepkg("store", "path", env=data).out == f"{folder}/data/fusepkg\n"
    assert fusepkg("store", "path", env={"FUSEPKG_STORE": None}).out == f"{root.home}/.local/share/fusepkg\n"


def test_du_names_what_is_there(venv, make_wheel, fusepkg, store):
    fill(venv, make_wheel)
    answer = fusepkg("store", "du", "--json").json()
    packages = {(p["name"], p["version"]): p["bytes"] for p in answer["packages"]}
    assert set(packages) == {("demo", "1.0"), ("other", "2.0")}
    assert packages["demo", "1.0"] > LARGE > packages["other", "2.0"] > 0
    assert answer["bytes"] >= LARGE
    text = fusepkg("store", "du").out
    assert "demo==1.0" in text and "other==2.0" in text


def test_a_file_of_two_packages_is_stored_once(venv, make_wheel, fusepkg, store):
    data = large(3)
    wheels = [make_wheel(name, files={f"{name}.so": data}) for name in ["one", "two"]]
    venv.fusepkg("add", "--no-mount", *wheels)
    assert len([p for p in (store / "objects").rglob("*") if p.is_file()]) == 1
    assert len([p for p in (store / "images").rglob("*") if p.is_file()]) == 2


def test_the_store_is_private_and_its_files_read_only(venv, make_wheel, store):
    fill(venv, make_wheel)
    for name in ["objects", "images"]:
        for path in [store / name, *(store / name).rglob("*")]:
            assert path.stat().st_mode & 0o7777 == (0o700 if path.is_dir() else 0o444), path
    assert store.stat().st_mode & 0o7777 == 0o700
    assert os.listdir(store / "staging") == []


def test_verify_says_that_a_whole_store_is_whole(venv, make_wheel, fusepkg):
    fill(venv, make_wheel)
    assert fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
    fusepkg("store", "verify")


def test_without_a_store_there_is_a_clear_error(fusepkg, store):
    for command in ["du", "verify"]:
        result = fusepkg("store", command, status=1)
        assert str(store) in result.err and "no store" in result.err
    assert not store.exists()


def test_a_store_of_another_user_is_refused(root, user, venv, make_wheel):
    fill(venv, make_wheel)
    root.store.chmod(0o755)
    for name in ["objects", "images", "staging"]:
        (root.store / name).chmod(0o755)
    wheel = make_wheel("third")
    theirs = make_venv(user, user.work / "venv")
    result = theirs.fusepkg("add", "--no-mount", wheel, env={"FUSEPKG_STORE": root.store}, status=1)
    assert str(root.store) in result.err and "belongs to user 0" in result.err


def test_a_folder_with_other_things_is_no_store(venv, make_wheel, folder):
    thesis = folder / "work"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("precious")
    result = venv.fusepkg("add", "--no-mount", make_wheel("demo"), env={"FUSEPKG_STORE": thesis}, status=1)
    assert str(thesis) in result.err
    assert os.listdir(thesis) == ["thesis.tex"]


def test_an_index_that_was_lost_is_made_again(venv, make_wheel, fusepkg, store):
    fill(venv, make_wheel)
    for path in store.glob("index.db*"):
        path.unlink()
    names = [(p["name"], p["version"]) for p in fusepkg("store", "du", "--json").json()["packages"]]
    assert names == [("demo", "1.0"), ("other", "2.0")]
    venv.fusepkg("add", "--no-mount", make_wheel("third"))
    (store / "index.db").write_bytes(b"not a database at all" * 1000)
    names = [(p["name"], p["version"]) for p in fusepkg("store", "du", "--json").json()["packages"]]
    assert names == [("demo", "1.0"), ("other", "2.0"), ("third", "1.0")]
    venv.fusepkg("add", "--no-mount", make_wheel("fourth"))
    assert len(fusepkg("store", "du", "--json").json()["packages"]) == 4
