"""Accounts: who runs a command in a test, with an environment that holds nothing of the developer's."""
import json
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

COMMAND_SECONDS = 240  # a command that takes longer hangs; not a measurement


class Result:
    """What a command answered: status, out, err."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        command = " ".join(str(a) for a in self.argv)
        return f"<{command}\n status {self.status}\n stdout: {self.out}\n stderr: {self.err}>"


class Account:
    """root or an ordinary user, with a home, a store and a temporary folder below FOLDER.

    `prefix` is put before every command, e.g. ["unshare", "-Urm"].  Every process it starts carries FUSEPKG_TEST=MARK in its
    environment, by which support.guard finds those that stay behind."""

    def __init__(self, name, folder, mark, installed, tools, prefix=()):
        entry = pwd.getpwnam(name)
        self.name, self.uid, self.gid = name, entry.pw_uid, entry.pw_gid
        self.mark, self.installed, self.tools, self.prefix = mark, installed, tools, list(prefix)
        self.folder = folder
        self.home = self.make_folder(folder / f"home-{name}")
        self.tmp = self.make_folder(folder / f"tmp-{name}")
        self.store = self.home / "store"
        self.work = self.make_folder(folder / f"work-{name}")
        self.give(self.work)

    @property
    def is_root(self):
        return self.uid == 0

    def with_prefix(self, *prefix):
        """The same account, its commands run by PREFIX."""
        return Account(self.name, self.folder, self.mark, self.installed, self.tools, prefix)

    def make_folder(self, path, mode=0o755):
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, self.uid, self.gid)
        path.chmod(mode)
        return path

    def give(self, path):
        """Makes PATH, and what is below it, this account's."""
        if not self.is_root:
            subprocess.run(["chown", "-hR", f"{self.uid}:{self.gid}", path], check=True)

    def environment(self, **more):
        env = {
            "HOME": str(self.home),
            "USER": self.name,
            "LOGNAME": self.name,
            "PATH": f"{self.installed / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.tmp),
            "FUSEPKG_STORE": str(self.store),
            "FUSEPKG_TEST": self.mark,
            "PYTHONDONTWRITEBYTECODE": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INDEX": "1",
            "UV_OFFLINE": "1",
            "UV_LINK_MODE": "copy",
            "UV_CACHE_DIR": str(self.home / "uv-cache"),
            "UV_NO_CONFIG": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "ASAN_OPTIONS": "abort_on_error=0:exitcode=99:detect_leaks=1",
            "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=98",
        }
        for name, value in more.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = str(value)
        return env

    def argv(self, argv):
        """ARGV as this account runs it."""
        become = []
        if not self.is_root and os.geteuid() == 0:
            become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--init-groups", "--inh-caps=-all", "--"]
        return [str(a) for a in [*become, *self.prefix, *argv]]

    def start(self, argv, env=None, cwd=None, **kwargs):
        """subprocess.Popen as this account, in a process group of its own."""
        return subprocess.Popen(self.argv(argv), env=self.environment(**(env or {})), cwd=cwd or self.work,
                                start_new_session=True, **kwargs)

    def run(self, argv, env=None, cwd=None, status=0, input=None, timeout=COMMAND_SECONDS):
        """Runs ARGV to its end and expects STATUS (None: any)."""
        process = self.start(argv, env, cwd, stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="surrogateescape")
        try:
            out, err = process.communicate(input, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"no end after {timeout} s: {Result(argv, None, out, err)}") from None
        result = Result(argv, process.returncode, out, err)
        assert status is None or result.status == status, f"expected status {status}: {result}"
        return result

    def fusepkg(self, *args, **kwargs):
        """Runs fusepkg with ARGS; keywords as for run()."""
        return self.run([self.installed / "bin/fusepkg", *args], **kwargs)

    def pip(self, *args, **kwargs):
        return self.run([self.tools / "bin/python", "-I", "-m", "pip", *args], **kwargs)

    def uv(self, *args, **kwargs):
        return self.run([self.tools / "bin/uv", *args], **kwargs)


def remove_tree(path):
    """shutil.rmtree for folders without w, as a store or a hostile wheel may leave them."""
    def retry(function, name, _error):
        os.chmod(os.path.dirname(name), 0o700)
        if os.path.isdir(name) and not os.path.islink(name):
            os.chmod(name, 0o700)
            shutil.rmtree(name)
        else:
            os.unlink(name)

    if Path(path).exists():
        shutil.rmtree(path, onerror=retry)
