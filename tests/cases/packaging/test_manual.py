"""The man pages."""
import re
import subprocess

import pytest
import said

PAGES = ["man1/fusepkg.1", "man5/fusepkg-environment.5", "man5/fusepkg-store.5", "man8/mount.fusepkg.8"]
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "200"}


@pytest.mark.parametrize("page", PAGES)
def test_formatters_have_nothing_to_say(installed, page):
    path = installed / "share/man" / page
    done = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path], capture_output=True,
                          env={**ENVIRONMENT, "MANWIDTH": "80"})
    assert (done.returncode, done.stderr) == (0, b"")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "style", path], capture_output=True, text=True)
    assert [line for line in done.stdout.splitlines() if "referenced manual not found" not in line] == []


def test_every_command_and_option_is_described(installed):
    done = subprocess.run(["man", "-E", "UTF-8", "-l", installed / "share/man/man1/fusepkg.1"], capture_output=True,
                          text=True, check=True, env=ENVIRONMENT)
    text = re.sub(".\x08", "", done.stdout)
    _, *entries = re.split(r"^     (?=[a-z-]+(?: [a-z]+)?(?: \[OPTIONS\].*| [A-Z].*)?$)", text, flags=re.MULTILINE)
    entries = {re.match(r"[a-z -]*[a-z](?= |$)", e, re.MULTILINE).group(): e for e in entries}
    common = {"--quiet", "--verbose", "--color", "--help"}
    for name in said.commands(installed):
        listed = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", entries[name], re.MULTILINE))
        assert listed == said.options(installed, name) - common, name
