"""kill -9 of add and remove at random moments: the venv is the old one or the new one, and the next command makes it
whole."""
import csv
import os
import random
import signal
import subprocess
import time

import pytest

from support.make_wheel import record_hash


def wheels_of(make_wheel, n):
    name = f"pkg{n}"
    return make_wheel(name, files={
        f"{name}/__init__.py": f"n = {n}\n", f"{name}/data.bin": bytes([n]) * 200_000,
        "{data}/scripts/raw%d" % n: "#!python\n",
        "{data}/data/share/%s/x" % name: str(n), "{data}/data/share/all": str(n), "{data}/headers/x.h": "",
    }, entry_points={"console_scripts": {name: f"{name}:x", "common": f"{name}:x"}})


def check_whole(venv, names):
    """Every row of every RECORD is true, every script belongs to somebody, and nothing was taken for the user's."""
    installed = {p["name"] for p in venv.fusepkg("list", "--json").json()}
    assert installed <= names
    scripts = set()
    for name in installed:
        for path, digest, size in csv.reader((venv.site / f"{name}-1.0.dist-info/RECORD").open(newline="")):
            if path.startswith("../../../bin/"):
                scripts.add(path.rpartition("/")[2])
            if digest and not path.endswith(("/bin/common", "/share/all")):
                data = (venv.site / path).read_bytes()
                assert (digest, size) == (record_hash(data), str(len(data))), path
    ours = {p.name for p in venv.bin.iterdir() if p.name.startswith(("pkg", "raw", "common"))}
    assert ours == scripts
    assert (venv.path / "share").is_symlink() == bool(installed)
    assert not (venv.state / "kept").exists() and not (venv.state / "outside.new").exists()
    assert [p for p in venv.state.iterdir() if ".tmp-" in p.name] == []


def run_killed(account, venv, wheels, rng):
    some = rng.sample(sorted(wheels), rng.randint(1, len(wheels)))
    if rng.random() < 0.7:
        argv = ["add", "--reinstall", *(wheels[n] for n in some)]
    else:
        argv = ["remove", *some]
    process = account.start([account.installed / "bin/fusepkg", argv[0], "-q", "--venv", venv, *argv[1:]], stderr=subprocess.PIPE)
    time.sleep(rng.random() ** 2 * 0.2)
    process.send_signal(signal.SIGKILL)
    err = process.communicate()[1].decode()
    assert process.returncode in (0, -signal.SIGKILL), f"{err}\n{venv.log[-500:]}"


def run_rounds(account, venv, make_wheel, rounds):
    seed = int(os.environ.get("FUSEPKG_TEST_SEED", time.time_ns() % 1_000_000))
    print("FUSEPKG_TEST_SEED =", seed)
    rng = random.Random(seed)
    wheels = {f"pkg{n}": wheels_of(make_wheel, n) for n in range(6)}
    for _ in range(rounds):
        for _ in range(5):
            run_killed(account, venv, wheels, rng)
        assert "in the way" not in venv.fusepkg("add", wheels[rng.choice(sorted(wheels))]).err
        assert venv.is_mounted
        check_whole(venv, set(wheels))


def test_the_next_command_makes_it_whole(root, new_venv, make_wheel):
    run_rounds(root, new_venv(root), make_wheel, 4)


@pytest.mark.long
def test_two_hundred_times(root, new_venv, make_wheel):
    run_rounds(root, new_venv(root), make_wheel, 40)
