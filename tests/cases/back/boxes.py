"""Containers of podman with runc, as root's or an ordinary user's.  Their root is made of this system's own /usr."""
import os
import shutil
import subprocess
from pathlib import Path

LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
MAY = ["--device", "/dev/fuse", "--cap-add", "SYS_ADMIN"]
ENTRYPOINT = "/opt/fusepkg/libexec/fusepkg/fusepkg-entrypoint"
PATH = "/venv/bin:/opt/fusepkg/bin:/usr/bin:/bin:/usr/sbin:/sbin"
# What comes from the system into the root's /etc.
ETC = ["passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fuse.conf"]


def make_root(tree, installed):
    """/usr is bound by whoever runs a container on it; fusepkg is in /opt."""
    for name in ("etc", "usr", "opt", "proc", "sys", "dev", "run", "store", "base", "venv", "wheels", "upper", "tmp"):
        (tree / name).mkdir(parents=True)
    (tree / "tmp").chmod(0o1777)
    for path in Path("/").iterdir():
        if path.is_symlink() and str(path.readlink()).lstrip("/").startswith("usr/"):
            (tree / path.name).symlink_to(path.readlink())
    for name in ETC:
        if (Path("/etc") / name).exists():
            subprocess.run(["cp", "-a", Path("/etc") / name, tree / "etc"], check=True)
    shutil.copytree(installed, tree / "opt/fusepkg")


class Podman:
    """ACCOUNT's containers on TREE; `options` come before the job, which the entry point runs with FOLDER/venv at /venv."""

    def __init__(self, account, tree, folder):
        self.account, self.tree, self.folder = account, tree, folder
        self.names = []

    def command(self, *args):
        # An ordinary user's podman needs a place of its own for what a login would have made.
        return ["env", f"XDG_RUNTIME_DIR={self.account.tmp}", "podman", "--runtime", "runc", *args]

    def __call__(self, *args, **kwargs):
        return self.account.run(self.command(*args), **kwargs)

    def argv(self, job, options=(), env=None, venv="venv", name=None, entrypoint=True):
        path = self.account.make_folder(self.folder / venv)
        env = {"FUSEPKG_STORE": "/store", "VIRTUAL_ENV": "/venv", "PATH": PATH, "FUSEPKG_TEST": self.account.mark, **(env or {})}
        named = ["--name", name] if name else ["--rm"]
        root = f"{self.tree}:O" if self.account.is_root else self.tree
        return self.command("run", *named, "--network", "none", *LIMITS, *options, "-v", "/usr:/usr:ro", "-v", f"{path}:/venv",
                            *(x for k, v in env.items() for x in ("-e", f"{k}={v}")), "--rootfs", root,
                            *([ENTRYPOINT, "--"] if entrypoint else []), *job)

    def run(self, *job, status=0, **how):
        return self.account.run(self.argv(job, **how), status=status)

    def start(self, *job, **how):
        return self.account.start(self.argv(job, **how), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def name(self):
        """For a container that is spoken to; removed in the end."""
        self.names.append(f"fusepkg-{os.getpid()}-{len(self.names)}")
        return self.names[-1]

    def close(self):
        for name in self.names:
            self("rm", "--force", "--time", "0", name, status=None)
        if not self.account.is_root:
            self("system", "migrate", status=None)  # ends the process that keeps its user namespace
