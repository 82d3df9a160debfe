"""kill -9 of the mount's processes at random moments: what was answered is there, what was not is there whole or not at all."""
import os
import random
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

import pytest

import kills
import writer
from support.twin import scan

FILES = {f"pkg/{folder}f{n}.py": f"n = {n}\n" * (n * 20) for folder in ("", "sub/", "sub/deep/") for n in range(4)}
ROUND_SECONDS = 0.5  # a kill comes somewhere within


def seeded():
    seed = int(os.environ.get("FUSEPKG_TEST_SEED", time.time_ns() % 1_000_000))
    print("FUSEPKG_TEST_SEED =", seed)
    return random.Random(seed)


def visible(site):
    """What is seen but the times of folders; and mtime of files that were given one."""
    found, wrong = scan(site, (".fusepkg",))
    assert not wrong, wrong
    return {path: seen.visible() for path, seen in found.items()}


def is_between(before, found, after):
    """FOUND is AFTER; or, of a write that the kill has cut short, as long as AFTER is up to somewhere, and BEFORE from there on."""
    if found == after:
        return True
    if not (before and found and after) or not all(isinstance(x["content"], bytes) for x in (before, found, after)):
        return False
    old, now, new = before["content"], found["content"], after["content"]
    cut = len(os.path.commonprefix([now, new]))
    return now[cut:] == old[cut:] and {**found, "size": 0, "content": b""} == {**after, "size": 0, "content": b""}


def difference(path, before, found, after):
    """What is wrong with PATH, short enough to be read."""
    def show(seen):
        if not seen:
            return "absent"
        content = seen["content"]
        return str({**seen, "content": f"{len(content)} bytes"} if isinstance(content, bytes) else seen)

    contents = [x.get(path) and x[path]["content"] for x in (before, found, after)]
    first = [next((i for i, (a, b) in enumerate(zip(contents[1], c)) if a != b), min(len(contents[1]), len(c)))
             if isinstance(c, bytes) and isinstance(contents[1], bytes) else None for c in (contents[0], contents[2])]
    return f"{path}: before {show(before.get(path))}, found {show(found.get(path))}, after {show(after.get(path))}; first difference at {first}"


class Follower:
    """A plain copy to which the same changes are made."""

    def __init__(self, site, plain, seed):
        subprocess.run(["cp", "-a", site, plain], check=True)  # hard links stay such
        (plain / ".fusepkg").unlink()
        self.plain, self.writer = plain, writer.Writer(plain, seed)

    def follow(self, count):
        while self.writer.count < count:
            self.writer.step()


def check_rows(venv):
    """fusepkg's own check of what it keeps."""
    bad = [d for d in venv.fusepkg("verify", "--json", status=None).json()["differences"] if d["kind"] in ("bad", "damaged")]
    assert not bad, bad


def run_round(account, venv, plain, chance):
    """A program makes changes until the kill; the last of them may have been done without having been answered."""
    seed = chance.randrange(1 << 30)
    follower = Follower(venv.site, plain, seed)
    log = plain.parent / "log"
    log.write_text("")
    process = account.start([account.tools / "bin/python", writer.__file__, venv.site, seed, log], stdin=subprocess.PIPE,
                            stderr=subprocess.PIPE)
    while not log.read_text():  # on a busy machine it may take long to begin
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    time.sleep(chance.random() * ROUND_SECONDS)
    assert kills.kill_mount(venv), "there was no mount to kill"
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 0, err.decode()
    venv.fusepkg("mount", "-q")
    check_rows(venv)
    follower.follow(int(log.read_text().split("\n")[0] or 0))
    found = visible(venv.site)
    before = visible(plain)
    if found != before:
        follower.follow(follower.writer.count + 1)
        after = visible(plain)
        wrong = [p for p in sorted(found.keys() | after.keys()) if not is_between(before.get(p), found.get(p), after.get(p))]
        assert not wrong, "\n".join(difference(p, before, found, after) for p in wrong[:5])
    shutil.rmtree(plain)
    return follower.writer.count


def run_rounds(account, venv, make_wheel, plain, rounds):
    chance = seeded()
    venv.fusepkg("add", "-q", make_wheel("pkg", files={**FILES, "pkg/lib.so": b"L" * 400_000}))
    done = sum(run_round(account, venv, plain, chance) for _ in range(rounds))
    assert done > 10 * rounds, "the program hardly did anything"


def test_what_was_answered_is_there_after_a_kill(root, new_venv, places, make_wheel):
    run_rounds(root, new_venv(root), make_wheel, places.get("ext4") / "plain", 8)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs"])
def test_what_was_answered_is_there_after_fifty_kills(root, new_venv, places, make_wheel, kind):
    run_rounds(root, new_venv(root, on=kind), make_wheel, places.get("ext4") / "plain", 50)


@pytest.mark.parametrize("killed", [False, True])
def test_no_file_lies_about_that_was_made_for_later(root, new_venv, make_wheel, killed):
    """A mount makes the next data file while nobody asks for anything."""
    venv = new_venv(root)
    venv.fusepkg("add", "-q", make_wheel("pkg", files=FILES))
    data = venv.state / "edits.data"
    count = 0
    while count < 20 or count < 500 and len(os.listdir(data)) == count: # on a busy machine there may be no such moment
        (venv.site / f"file{count}").write_text(f"{count}\n")
        count += 1
        time.sleep(0.001)
    if killed:
        assert kills.kill_mount(venv), "there was no mount to kill"
        venv.fusepkg("mount", "-q")
    else:
        venv.fusepkg("umount", "-q")
    assert len(os.listdir(data)) == count
    venv.fusepkg("mount", "-q")
    assert all((venv.site / f"file{n}").read_text() == f"{n}\n" for n in range(count))


# pip in a loop.

PIP_LOOP = """
import subprocess, sys
pip, python, wheels = sys.argv[1], sys.argv[2], sys.argv[3:]
n = 0
while True:
    n += 1
    one = [pip, '-I', '-m', 'pip', '--python', python]
    done = subprocess.run([*one, 'install', '-qq', '--no-deps', '--force-reinstall', wheels[n % len(wheels)]])
    if done.returncode:
        break
    if n % 3 == 0 and subprocess.run([*one, 'uninstall', '-qq', '-y', 'loop']).returncode:
        break
"""


def wheel_files(wheels):
    """{path: the bytes that any of the WHEELS has there}"""
    found = {}
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                found.setdefault(info.filename, set()).add(archive.read(info))
    return found


def check_pips_state(site, files):
    """All can be read, and each file of the package is what a wheel has, or the beginning of it: pip writes as it unpacks."""
    found, wrong = scan(site, (".fusepkg",))
    assert not wrong, wrong
    for path, seen in found.items():
        if path in files and not path.endswith("/RECORD"):
            assert any(whole.startswith(seen.content) for whole in files[path]), f"{path}: not what a wheel has: {seen.content[:60]}"


def dist_infos(site):
    """{name: {file: size}} of all of the package that could be taken for a distribution, or was one."""
    return {path.name: {file.name: file.stat().st_size for file in path.iterdir()} for path in site.glob("?oop*.dist-info")}


def cut_off(site):
    """What a pip that was cut off has left, on any file system: dist-infos without a RECORD, or with nothing but `INSTALLERxyz.tmp`, which no
    RECORD has.  The first pip does not uninstall (it says so, and how to go on), the second it takes for the distribution."""
    return [name for name, files in dist_infos(site).items()
            if name.startswith("loop-") and ("RECORD" not in files or "METADATA" not in files)]


def pip_round(account, venv, wheels, files, chance):
    process = account.start(["/usr/bin/python3", "-c", PIP_LOOP, account.tools / "bin/python", venv.python, *wheels],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.5 + 3 * chance.random())
    assert kills.kill_mount(venv), "there was no mount to kill"
    process.wait(120)
    venv.fusepkg("mount", "-q")
    check_rows(venv)
    check_pips_state(venv.site, files)
    left = dist_infos(venv.site)
    last = chance.choice(wheels)
    account.pip("--python", venv.python, "install", "-q", "--no-deps", "--force-reinstall",
                *["--ignore-installed"] * bool(cut_off(venv.site)), last)
    for path, data in wheel_files([last]).items():
        if not path.endswith("/RECORD"):
            assert (venv.site / path).read_bytes() == data.pop(), path
    for name in cut_off(venv.site):
        shutil.rmtree(venv.site / name)
    listed = account.pip("--python", venv.python, "list", "--format=freeze").out.split()
    assert [line for line in listed if line.startswith("loop==")] == [f"loop=={last.name.split('-')[1]}"], \
        f"before: {left}; now: {dist_infos(venv.site)}"


def run_pip(account, venv, make_wheel, rounds):
    chance = seeded()
    venv.fusepkg("add", "-q", make_wheel("pkg", files=FILES))
    wheels = [make_wheel("loop", version, {f"loop/{folder}m{n}.py": f"v = {version}\n" * 50 * n for folder in ("", "sub/") for n in range(30)}
                         | {"loop/lib.so": bytes([version[0] == "1"]) * 300_000, f"loop/only{version[0]}.py": ""}) for version in ("1.0", "2.0")]
    for number in range(rounds):
        print("round", number)
        pip_round(account, venv, [Path(w) for w in wheels], wheel_files(wheels), chance)


def test_pip_goes_on_after_a_kill(root, new_venv, make_wheel):
    run_pip(root, new_venv(root), make_wheel, 3)


@pytest.mark.long
def test_pip_goes_on_after_two_hundred_kills(root, new_venv, make_wheel):
    run_pip(root, new_venv(root), make_wheel, 200)
