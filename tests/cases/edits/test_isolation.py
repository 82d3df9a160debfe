"""Ten venvs on one store, each changed at random: what is written in one is seen in no other, and never in the store."""
import hashlib
import mmap
import os
import random
import time

import pytest

import writer
from support import syscalls
from support.twin import scan

FILES = {f"pkg/{folder}f{n}.py": f"n = {n}\n" * (n * 20) for folder in ("", "sub/", "sub/deep/") for n in range(6)}
LARGE = {"pkg/lib.so": b"L" * 700_000, "pkg/sub/lib2.so": b"M" * 300_000}


def visible(site):
    """{path: what is seen of it} but times, which the mount of another generation may change."""
    found, wrong = scan(site, (".fusepkg",))
    assert not wrong, wrong
    return {path: seen.visible() for path, seen in found.items()}


def hashes(folder):
    """{path: hash of the bytes} of a store, but its index and locks, which reading changes."""
    found = {}
    for where, _, files in os.walk(folder):
        for name in files:
            path = os.path.join(where, name)
            if not name.startswith("index") and "lock" not in name:
                with open(path, "rb") as file:
                    found[os.path.relpath(path, folder)] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def change(site, other_site, chance):
    """Some of everything that writes: single calls, whole folders, mappings, clones, copies from another venv."""
    made = writer.Writer(site, chance.randrange(1 << 30))
    for _ in range(chance.randrange(5, 30)):
        made.step()
    files = [os.path.join(site, p) for p, kind in writer.walk(site) if kind == 0o100000 and os.path.getsize(os.path.join(site, p))]
    for path in chance.sample(files, min(3, len(files))):
        with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[chance.randrange(len(mapped))] = chance.randrange(256)
    if chance.random() < 0.2:
        writer.remove_some(site, chance)
    theirs = [os.path.join(other_site, p) for p, kind in writer.walk(other_site) if kind == 0o100000]
    if files and theirs:
        with open(chance.choice(theirs), "rb") as source, open(os.path.join(site, "copied"), "w+b") as target:
            while os.copy_file_range(source.fileno(), target.fileno(), 1 << 20):
                pass
            try:
                syscalls.clone(target.fileno(), source.fileno())
            except OSError:
                pass
            target.write(b"after the copy")
        try:
            os.link(chance.choice(theirs), os.path.join(site, "linked"))
            raise AssertionError("a link from one venv into another was made")
        except OSError:
            pass


def run(root, new_venv, make_wheel, kinds, rounds):
    seed = int(os.environ.get("FUSEPKG_TEST_SEED", time.time_ns() % 1_000_000))
    print("FUSEPKG_TEST_SEED =", seed)
    chance = random.Random(seed)
    wheels = [make_wheel("pkg", files={**FILES, **LARGE}), make_wheel("more", files={f"more/{n}.bin": bytes([n]) * 200_000 for n in range(4)})]
    venvs = [new_venv(root, on=kinds[n % len(kinds)], name=f"venv{n}") for n in range(10)]
    for venv in venvs:
        venv.fusepkg("add", "-q", *wheels)
    stored = hashes(root.store)
    assert len(stored) >= 4
    expected = {venv: visible(venv.site) for venv in venvs}
    original = expected[venvs[0]]
    for _ in range(rounds):
        venv, other = chance.sample(venvs, 2)
        change(str(venv.site), str(other.site), chance)
        expected[venv] = visible(venv.site)
        assert visible(other.site) == expected[other]
    assert sum(expected[v] != original for v in venvs) > 5, "next to nothing was changed"
    for venv in venvs:
        venv.fusepkg("umount", "-q")
        venv.fusepkg("mount", "-q")
    for venv in venvs:
        assert visible(venv.site) == expected[venv], f"{venv} changed, which nobody wrote to"
    assert hashes(root.store) == stored
    assert root.fusepkg("store", "verify", "--json").json() == {"ok": True, "errors": []}
    fresh = new_venv(root, on=kinds[0], name="fresh")
    fresh.fusepkg("add", "-q", *wheels)
    assert visible(fresh.site) == original


def test_ten_venvs_and_their_store_do_not_see_each_other(root, new_venv, make_wheel):
    run(root, new_venv, make_wheel, [None], 30)


@pytest.mark.long
def test_ten_venvs_on_all_kinds_of_partitions(root, new_venv, make_wheel):
    run(root, new_venv, make_wheel, [None, "ext4", "xfs", "btrfs", "tmpfs"], 1000)
