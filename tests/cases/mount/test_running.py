"""A package that is added while an interpreter runs is importable at once, with no cache to clear."""
import subprocess

import pytest

# Tries each module before it is there, so that Python and the kernel have every reason to believe in its absence.
LOADER = """
import importlib, sys
for line in sys.stdin:
    command, name = line.split()
    try:
        print(importlib.import_module(name).value, flush=True)
    except ModuleNotFoundError:
        print('absent', flush=True)
"""


class Loader:
    def __init__(self, venv):
        self.process = venv.account.start([venv.python, "-c", LOADER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          text=True)

    def load(self, name):
        self.process.stdin.write(f"import {name}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0
        self.process.stdout.close()


def rounds(venv, make_wheel, count):
    """Adds COUNT packages, now a module of its own, now one in a namespace package that all share."""
    venv.fusepkg("add", make_wheel("first", files={"first.py": "value = 'first'\n", "shared/first.py": "value = 1\n"}))
    loader = Loader(venv)
    try:
        assert loader.load("first") == "first"
        for n in range(count):
            module, path = (f"m{n}", f"m{n}.py") if n % 2 else (f"shared.m{n}", f"shared/m{n}.py")
            assert loader.load(module) == "absent"
            venv.fusepkg("add", "-q", make_wheel(f"p{n}", files={path: f"value = {n}\n"}))
            assert loader.load(module) == str(n), f"round {n}"
    finally:
        loader.close()


def test_a_hundred_times_in_a_row(account, new_venv, make_wheel):
    rounds(new_venv(account), make_wheel, 100)


@pytest.mark.long
def test_a_thousand_times_in_a_row(account, new_venv, make_wheel):
    rounds(new_venv(account), make_wheel, 1000)
