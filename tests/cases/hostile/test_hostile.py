"""Hostile and odd wheels: each is refused or accepted as it should be, and a refusal leaves nothing behind."""
import hashlib
import os

import pytest

from wheels import CASES

from support.venvs import OWN_FILES


def everything(folder, skip):
    """path -> kind, mode and bytes of all that is below FOLDER, but for what is in SKIP."""
    found = {}
    for where, folders, files in os.walk(folder):
        folders[:] = [f for f in folders if os.path.join(where, f) not in skip]
        for name in [*folders, *files]:
            path = os.path.join(where, name)
            if path in skip:
                continue
            mode = os.lstat(path).st_mode
            if os.path.islink(path):
                found[path] = (mode, os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[path] = (mode, hashlib.sha256(file.read()).hexdigest())
            else:
                found[path] = (mode, None)
    return found


def files_below(*folders):
    return [os.path.join(where, name) for folder in folders for where, _, files in os.walk(folder) for name in files]


def litter(store):
    return files_below(store / "objects", store / "images", store / "staging") + os.listdir(store / "staging")


def in_bytes(data):
    return data.encode() if isinstance(data, str) else data


@pytest.mark.parametrize("case", [c for c in CASES if not c.accepted], ids=lambda case: case.name)
def test_refused(case, fusepkg, venv, store, folder):
    wheel = case.write(folder)
    before = everything(folder, skip={str(store)})
    result = fusepkg("add", "--no-mount", *case.options, "--venv", venv, wheel, status=1)

    assert result.out == ""
    assert len(result.err.splitlines()) == 1, "one sentence, one line"
    assert result.err.startswith("error: ") and case.file_name in result.err
    assert case.words in result.err
    assert result.err.rstrip("\n").isprintable(), "nothing that a terminal would act upon"
    assert everything(folder, skip={str(store)}) == before, "a refusal changes nothing"
    if store.exists():
        assert litter(store) == []
        assert fusepkg("store", "verify", "--json").json()["ok"]


@pytest.mark.parametrize("case", [c for c in CASES if c.accepted], ids=lambda case: case.name)
def test_accepted(case, fusepkg, venv, store, folder):
    wheel = case.write(folder)
    bare = everything(venv.site, skip=())
    outside = everything(folder, skip={str(store), str(venv)})
    result = fusepkg("add", "--no-mount", *case.options, "--venv", venv, wheel, status=0)

    assert case.words in result.err
    assert ("warning" in result.err) == bool(case.words), result
    assert everything(venv.site, skip={str(venv.site / name) for name in OWN_FILES}) == bare, "the bare site-packages stay as they are"
    assert everything(folder, skip={str(store), str(venv)}) == outside, "nothing is written outside of the venv"
    assert os.listdir(store / "staging") == []
    assert fusepkg("store", "verify", "--json").json()["ok"]

    exported = folder / "exported"
    fusepkg("export", "--venv", venv, "--to", exported)
    site = next(exported.glob("lib/python3.*/site-packages"), exported)
    for path, data in (case.has or {}).items():
        assert (site / path).is_file(), path
        assert data is None or (site / path).read_bytes() == in_bytes(data), path
    for path in case.lacks:
        assert not (site / path).exists(), path
    for name in ("INSTALLER", "direct_url.json"):
        for file in site.glob(f"demo-1.0.dist-info/{name}"):
            assert b"evil" not in file.read_bytes()


@pytest.mark.parametrize("good_first", [True, False], ids=["good-first", "bad-first"])
def test_one_bad_wheel_among_good_ones_changes_nothing(good_first, fusepkg, venv, store, folder, make_wheel):
    case = next(c for c in CASES if c.name == "checksum_wrong")
    bad, good = case.write(folder), make_wheel("good", "1.0")
    before = everything(folder, skip={str(store)})
    wheels = (good, bad) if good_first else (bad, good)
    result = fusepkg("add", "--no-mount", "--venv", venv, *wheels, status=1)
    assert case.file_name in result.err and "good" not in result.err
    assert everything(folder, skip={str(store)}) == before
    assert fusepkg("store", "verify", "--json").json()["ok"]
    assert os.listdir(store / "staging") == []


@pytest.mark.parametrize("make, words", [(os.mkdir, "is a folder"), (os.mkfifo, "not a regular file")])
def test_what_is_no_file_is_refused_and_not_waited_for(make, words, fusepkg, venv, store, folder):
    path = folder / "demo-1.0-py3-none-any.whl"
    make(path)
    result = fusepkg("add", "--no-mount", "--venv", venv, path, status=1)
    assert path.name in result.err and words in result.err
    assert not store.exists() or litter(store) == []


def test_there_are_a_hundred_of_them_with_names_of_their_own():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 100
