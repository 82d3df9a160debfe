"""What happens when the result cannot be written: one line that says why, and status 2; nothing when nobody reads on."""
import os
import subprocess

import pytest

COMMANDS = ["diff", "diff --json", "diff --stat", "diff --name-only", "verify", "verify --json", "verify --deep", "list", "list -v", "list --json",
            "freeze", "show demo", "status", "status --json", "doctor", "doctor --json", "store path", "store du", "store du --json",
            "store verify", "store verify --json", "store gc --dry-run --json", "debug requests", "help"]
LARGE = ["diff", "diff --json", "diff --stat", "diff --name-only", "verify", "verify --json"]  # more than stdio keeps for the end


@pytest.fixture(scope="module")
def names():
    return {f"demo/a_name_that_is_long_enough_to_fill_a_buffer_{n}.py": f"n = {n}\n" * 20 for n in range(400)}


@pytest.fixture
def edited(root, new_venv, make_wheel, names):
    venv = new_venv(root)
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "", **names}))
    root.run(["sh", "-c", 'rm "$0"/demo/a_name*', venv.site])
    return venv


def run(venv, command, stdout):
    process = venv.account.start([venv.account.installed / "bin/fusepkg", *command.split()], env={"VIRTUAL_ENV": venv.path},
                                 stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True)
    err = process.communicate()[1]
    return process.returncode, [line for line in err.splitlines() if not line.startswith("hint: ")]


def test_a_full_disk_is_one_line(edited):
    for command in COMMANDS:
        with open("/dev/full", "w") as full:
            assert (command, *run(edited, command, full)) == (command, 2, ["error: cannot write the result: No space left on device"])


def test_a_reader_that_left_is_no_word(edited):
    for command in COMMANDS:
        reader, writer = os.pipe()
        os.close(reader)
        assert (command, *run(edited, command, writer)) == (command, 2, [])
        os.close(writer)


def test_a_reader_that_leaves_in_the_middle(edited):
    for command in LARGE:
        done = edited.account.run(["sh", "-c", f"{{ fusepkg {command}; echo $? >&2; }} | head -c 10"], env={"VIRTUAL_ENV": edited.path})
        assert len(done.out) == 10 and done.err == "2\n", done


def test_all_of_it_arrives(edited, names):
    assert edited.fusepkg("diff", "--name-only").out.splitlines() == sorted(names)
    assert len(edited.fusepkg("verify", "--json", status=1).json()["differences"]) == len(names)
    patch = edited.fusepkg("diff").out
    assert patch.count("deleted file mode") == len(names) and patch.count("\n-n = ") == 20 * len(names)
