"""What fusepkg says of itself: the oracle for what is made from its table of commands."""
import re
import subprocess


def fusepkg(installed, *args):
    return subprocess.run([installed / "bin/fusepkg", *args], check=True, capture_output=True, text=True).stdout


def commands(installed):
    """The names of all commands: "add", "store du"."""
    names = re.findall(r"^  ([a-z]+(?:[ -][a-z]+)?)  ", fusepkg(installed, "help"), re.MULTILINE)
    assert {"add", "store verify"} <= set(names)
    return names


def options(installed, name):
    text = fusepkg(installed, *name.split(), "--help")
    return set(re.findall(r"^  (?:-\w, |    )(--[a-z-]+)", text, re.MULTILINE))
