"""Random generations under random readers: after each switch the whole mounted tree equals a model, and what stays
stays."""
import os
import random
import subprocess
import time

import pytest

from support import stress_reader, world

BARE = {
    "ns/bare.py": "bare-one", "bareone/__init__.py": "bare-one", "bareone/deep/x.py": "bare-one", "bare_mod.py": "bare-one",
    "bareone/ns/y.py": "bare-two", "ns/other.py": "bare-two", "other_mod.py": "bare-two", "clash": None, "plain/z.txt": None,
    "__pycache__/bare_mod.cpython-311.pyc": None, "__pycache__/other_mod.cpython-311.pyc": None,
}


def write_bare(site):
    """Two bare distributions that share folders, and what belongs to nobody.  Returns the arguments of World()."""
    bare, dists = {}, {}
    for n, path in enumerate(BARE):
        bare[path] = world.contents(path, n)
    for name in ("bare-one", "bare-two"):
        info = f"{name.replace('-', '_')}-1.0.dist-info"
        paths = [p for p, who in BARE.items() if who == name] + [f"{info}/METADATA", f"{info}/RECORD"]
        bare[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode()
        bare[f"{info}/RECORD"] = "".join(f"{p},,\n" for p in paths).encode()
        dists[info] = paths
    for path, data in bare.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
    # Not in RECORD, but of the module that is: it goes with it.
    dists["bare_one-1.0.dist-info"].append("__pycache__/bare_mod.cpython-311.pyc")
    dists["bare_two-1.0.dist-info"].append("__pycache__/other_mod.cpython-311.pyc")
    return bare, dists


class Stress:
    def __init__(self, venv, make_wheel, seed):
        self.venv, self.make_wheel, self.chance = venv, make_wheel, random.Random(seed)
        self.world = world.World(*write_bare(venv.site))
        self.versions = {}
        self.before = self.seen = None
        self.last = ""      # what was done last, for the report
        self.may_move = set()

    def slots(self):
        """{name: slot number}: who came later wins, and the order within one command is fusepkg's own affair."""
        rows = [line.split() for line in (self.venv.state / "environment").read_text().splitlines()]
        return {row[5]: int(row[1]) for row in rows if row[0] == "slot"}

    def add(self, names):
        wheels, made = [], {}
        self.last = f"add {names}"
        for name in names:
            version = self.versions[name] = self.versions.get(name, 1) + 1
            files = world.random_files(self.chance, name, self.old_paths(name))
            wheels.append(self.make_wheel(name, str(version), files))
            made[name] = (str(version), files, ("METADATA", "WHEEL") + world.GENERATED)
        self.venv.fusepkg("add", "-q", *wheels)
        slots = self.slots()
        for name, (version, files, info) in made.items():
            self.world.install(name, slots[name], version, files, info)
            self.hide(name)

    def hide(self, name):
        """A bare distribution that was upgraded or removed is not seen again."""
        info = f"{name.replace('-', '_')}-1.0.dist-info"
        if info in self.world.bare_dists and info not in self.world.hidden:
            self.world.hidden.add(info)
            # All folders that lead to what is hidden get a new time stamp, if only something below them went, too.
            self.may_move |= {path[:n] for path in self.world.bare_dists[info] for n in range(len(path)) if path[n] == "/"}

    def old_paths(self, name):
        """Where the bare one had files: an upgrade mostly has them, too."""
        return [path for path, who in BARE.items() if who == name and path.endswith(".py")]

    def remove(self, names):
        self.last = f"remove {names}"
        self.venv.fusepkg("remove", "-q", "-y", *names)
        for name in names:
            self.world.installed.pop(name, None)
            self.hide(name)

    def act(self):
        have = list(self.world.installed)
        bare = [n for n in ("bare-one", "bare-two")
                if f"{n.replace('-', '_')}-1.0.dist-info" not in self.world.hidden and n not in have]
        self.may_move = set()
        what = self.chance.random()
        if bare and what < 0.06:
            self.remove([self.chance.choice(bare)])
        elif have and what < 0.4:
            self.remove(self.chance.sample(have, min(len(have), self.chance.randrange(1, 4))))
        else:
            self.add(self.chance.sample([f"p{n}" for n in range(9)] + ["bare-one", "bare-two"], self.chance.randrange(1, 4)))

    def check(self, remounted=False):
        after = self.world.tree()
        seen = world.look(self.venv.site)
        wrong = world.compare(after, seen)
        if self.before and not remounted:
            wrong += world.compare_step(self.before, self.seen, after, seen, self.may_move)
            for path in self.before.keys() - after.keys():
                if os.path.lexists(self.venv.site / path):
                    wrong.append(f"{path}: can still be looked up")
        self.before, self.seen = after, seen
        return wrong


def start_readers(accounts, venv, seed):
    return [account.start(["/usr/bin/python3", "-B", stress_reader.__file__, venv.site, str(seed + n)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for n, account in enumerate(accounts)]


def stop_readers(readers):
    for reader in readers:
        out, err = reader.communicate("", 60)
        assert reader.returncode == 0, err
        assert int(out) > 0


def run(root, user, new_venv, make_wheel, seconds, seed, rounds=1 << 30):
    venv = new_venv(root, on="ext4")
    stress = Stress(venv, make_wheel, seed)
    stress.add(["p0"])
    assert not stress.check()
    readers = start_readers([root, root, user], venv, seed)
    end = time.monotonic() + seconds
    n = 0
    try:
        while time.monotonic() < end and n < rounds:
            n += 1
            stress.act()
            wrong = stress.check()
            assert not wrong, f"seed {seed}, round {n}, {stress.last}: {wrong}"
            assert all(r.poll() is None for r in readers), f"seed {seed}, round {n}"
    finally:
        stop_readers(readers)


@pytest.mark.parametrize("seed", [1, 2])
def test_every_generation_equals_the_model_under_readers(root, user, new_venv, make_wheel, seed):
    run(root, user, new_venv, make_wheel, 12, seed, 40)


@pytest.mark.long
def test_every_generation_equals_the_model_for_ten_minutes(root, user, new_venv, make_wheel):
    run(root, user, new_venv, make_wheel, 600, random.randrange(1 << 30))
