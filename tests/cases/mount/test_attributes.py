"""Inodes, link counts, modes, owners and time stamps."""
import json

import pytest

STAT = """
import json, os, sys
site = sys.argv[1]
found = {}
for folder, folders, files in os.walk(site):
    for name in ['.'] + files:
        path = os.path.normpath(os.path.join(folder, name))
        st = os.lstat(path)
        found[os.path.relpath(path, site)] = dict(ino=st.st_ino, nlink=st.st_nlink, mode=st.st_mode & 0o7777,
            uid=st.st_uid, gid=st.st_gid, mtime=st.st_mtime_ns, dev=st.st_dev, subdirs=len(folders), dir=name == '.')
print(json.dumps(found))
"""
FILES = {"demo/__init__.py": "", "demo/sub/a.py": "a = 1\n", "demo/sub/b.py": "a = 1\n", "demo/other/c.py": "", "demo/big.bin": b"x" * 300_000,
         "demo/same.bin": b"x" * 300_000}


def stats(venv):
    return json.loads(venv.account.run(["/usr/bin/python3", "-c", STAT, venv.site]).out)


@pytest.fixture
def demo(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.bare = venv.site.stat()
    venv.fusepkg("add", make_wheel("demo", files=FILES))
    return venv


def test_every_path_has_an_inode_of_its_own(demo):
    found = stats(demo)
    assert len({s["ino"] for s in found.values()}) == len(found)


def test_links_are_one_for_files_and_two_and_the_subdirectories_for_directories(demo):
    for path, s in stats(demo).items():
        assert s["nlink"] == (2 + s["subdirs"] if s["dir"] else 1), path


def test_owner_is_that_of_the_bare_folder(demo):
    assert {(s["uid"], s["gid"]) for s in stats(demo).values()} == {(demo.bare.st_uid, demo.bare.st_gid)}


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_modes_follow_the_umask_of_the_first_add(account, new_venv, make_wheel, umask):
    from support.make_wheel import executable
    venv = new_venv(account)
    wheel = make_wheel("demo", files={**FILES, "demo/run": executable("#!/bin/sh\n")})
    account.run(["sh", "-c", f"umask {umask:03o}; fusepkg add --venv {venv} {wheel}"])
    for path, s in stats(venv).items():
        if path == ".fusepkg":
            continue
        full = 0o777 if s["dir"] or path == "demo/run" else 0o666
        if path != ".":
            assert oct(s["mode"]) == oct(full & ~umask), path


def test_files_of_a_wheel_bear_one_time_in_whole_seconds(demo):
    times = {s["mtime"] for path, s in stats(demo).items() if path.startswith("demo/") and not s["dir"]}
    assert len(times) == 1
    seconds, rest = divmod(times.pop(), 10**9)
    assert rest == 0
    assert 315_619_200 <= seconds < 1_609_459_200  # 1980-01-02 to the end of 2020


def test_an_upgrade_changes_the_time_of_files(demo, make_wheel):
    before = stats(demo)["demo/__init__.py"]["mtime"]
    demo.fusepkg("add", make_wheel("demo", "2.0", {**FILES, "demo/sub/a.py": "a = 2\n"}))
    assert stats(demo)["demo/__init__.py"]["mtime"] != before


def test_inodes_outlive_a_remount(demo):
    before = stats(demo)
    demo.fusepkg("umount")
    demo.fusepkg("mount")
    after = stats(demo)
    assert {p: s["ino"] for p, s in before.items()} == {p: s["ino"] for p, s in after.items()}


def test_a_directory_changes_its_time_with_its_own_entries_and_never_otherwise(demo, make_wheel):
    """"shared" gains and loses entries; "demo" and "shared/deep" do not."""
    demo.fusepkg("add", make_wheel("one", files={"shared/one.py": "", "shared/deep/one.py": ""}))
    seen = [stats(demo)]
    steps = [("add", make_wheel("two", files={"shared/two.py": ""})), ("add", make_wheel("three", files={"shared/three.py": ""})),
             ("remove", "-y", "two"), ("remove", "-y", "three")]
    for step in steps:
        demo.fusepkg(*step)
        seen.append(stats(demo))
    for path in (".", "shared"):
        times = [s[path]["mtime"] for s in seen]
        assert times == sorted(set(times)), f"{path}: {times}"
    for path in ("demo", "demo/sub", "shared/deep"):
        assert len({s[path]["mtime"] for s in seen}) == 1, path


def test_the_root_never_has_the_time_of_the_bare_folder(demo):
    assert stats(demo)["."]["mtime"] != demo.bare.st_mtime_ns
