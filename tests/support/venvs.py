"""Virtual environments for tests, made by any of the three tools."""
import os
import subprocess

from support import guard

SYSTEM_PYTHON = os.environ.get("FUSEPKG_TEST_PYTHON", "/usr/bin/python3")
# What fusepkg itself has in the bare site-packages: it mounts when Python starts, and keeps uv out.
START_FILE = "fusepkg.pth"
GUARD_FILE = "fusepkg_is_not_mounted-run_fusepkg_mount.egg-info"
OWN_FILES = (START_FILE, GUARD_FILE)


class Venv:
    """A venv at PATH that belongs to ACCOUNT; `str()` is the path."""

    def __init__(self, path, account):
        self.path, self.account = path, account
        self.python = path / "bin/python"
        self.bin = path / "bin"
        self.site = next(path.glob("lib/python3.*")) / "site-packages"
        self.state = path / ".fusepkg"

    def __str__(self):
        return str(self.path)

    def __fspath__(self):
        return str(self.path)

    @property
    def is_mounted(self):
        return bool(guard.mounts(self.site, "fuse.fusepkg"))

    @property
    def log(self):
        return (self.state / "log").read_text(errors="replace")

    def run_python(self, code, *args, **kwargs):
        """Runs CODE with the venv's interpreter; keywords as for Account.run()."""
        return self.account.run([self.python, "-c", code, *args], **kwargs)

    def fusepkg(self, command, *args, **kwargs):
        """`fusepkg COMMAND --venv <this one> ARGS...`"""
        return self.account.fusepkg(*command.split(), "--venv", self.path, *args, **kwargs)

    def requests(self):
        """FUSE requests since the mount: {opcode: count}."""
        return self.fusepkg("debug requests", "--json").json()

    def close(self):
        """Unmounts as a user would; a refusal fails the test."""
        if self.is_mounted:
            self.fusepkg("umount")


def make_venv(account, path, tool="venv", python=SYSTEM_PYTHON):
    """A new venv at PATH by `python -m venv`, `uv venv` or virtualenv."""
    argv = {
        "venv": [python, "-m", "venv", "--without-pip", path],
        "uv": [account.tools / "bin/uv", "venv", "--quiet", "--python", python, path],
        "virtualenv": [account.tools / "bin/python", "-m", "virtualenv", "--quiet", "--no-seed", "--no-periodic-update",
                       "--python", python, path],
    }[tool]
    account.run(argv)
    return Venv(path, account)


def interpreter_tag(python=SYSTEM_PYTHON):
    """"cp311" of an interpreter."""
    code = "import sys; print('cp%d%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
