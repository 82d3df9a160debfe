"""The Debian package, built from this tree by the documented command and unpacked beside the system."""
import subprocess
from pathlib import Path

import pytest

from support import guard
from support.venvs import make_venv

TOP = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def package(session_folder):
    """The .deb."""
    folder = session_folder / "built"
    done = subprocess.run([TOP / "packaging/build-deb", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return next(p for p in folder.glob("fusepkg_*.deb"))


@pytest.fixture(scope="session")
def installed(package, session_folder):
    """What the package holds, instead of what `cmake --install` lays down."""
    subprocess.run(["dpkg-deb", "--extract", package, session_folder / "unpacked"], check=True)
    return session_folder / "unpacked/usr"


def field(package, name):
    return subprocess.run(["dpkg-deb", "--field", package, name], check=True, capture_output=True, text=True).stdout.strip()


def test_it_holds_what_an_installation_has(package, installed):
    files = {str(p.relative_to(installed)) for p in installed.rglob("*") if not p.is_dir()}
    assert files == {
        "bin/fusepkg",
        "lib/systemd/user/fusepkg-mount@.service",
        "libexec/fusepkg/fusepkg-entrypoint",
        "libexec/fusepkg/fusepkg-mount",
        "sbin/mount.fuse.fusepkg",
        "sbin/mount.fusepkg",
        "share/bash-completion/completions/fusepkg",
        "share/doc/fusepkg/FORMAT.md.gz",
        "share/doc/fusepkg/README.md.gz",
        "share/doc/fusepkg/changelog.gz",
        "share/doc/fusepkg/copyright",
        "share/fish/vendor_completions.d/fusepkg.fish",
        "share/man/man1/fusepkg.1.gz",
        "share/man/man5/fusepkg-environment.5.gz",
        "share/man/man5/fusepkg-store.5.gz",
        "share/man/man8/mount.fuse.fusepkg.8.gz",
        "share/man/man8/mount.fusepkg.8.gz",
        "share/zsh/vendor-completions/_fusepkg",
    }
    assert [p.name for p in installed.parent.iterdir()] == ["usr"]


def test_nothing_of_it_runs_when_it_comes_or_goes(package, folder):
    subprocess.run(["dpkg-deb", "--control", package, folder / "control"], check=True)
    assert {p.name for p in (folder / "control").iterdir()} == {"control", "md5sums"}


def test_it_depends_on_the_libfuse_that_is_here(package, installed):
    linked = subprocess.run(["ldd", installed / "libexec/fusepkg/fusepkg-mount"], check=True, capture_output=True,
                            text=True).stdout
    soname = next(word for word in linked.split() if word.startswith("libfuse3.so."))
    names = {part.split()[0] for part in field(package, "Depends").split(",")}
    assert f"libfuse3-{soname.rpartition('.')[2]}" in names
    assert "fuse3" in names  # fusermount3


def test_the_programs_say_the_package_s_version(root, package):
    assert root.fusepkg("--version").out == f"fusepkg {field(package, 'Version')}\n"


def test_the_session_of_the_readme(account, new_venv, make_wheel):
    venv = new_venv(account, on="tmpfs")
    demo = make_wheel("demo", entry_points={"console_scripts": {"demo": "demo:main"}},
                      files={"demo.py": "def main():\n    print('it runs')\n"})
    said = venv.fusepkg("add", demo, make_wheel("other"))
    assert "Installed 2 packages" in said.err and "+ demo==1.0" in said.err
    assert venv.run_python("import demo, other; demo.main()").out == "it runs\n"
    assert account.run([venv.bin / "demo"]).out == "it runs\n"
    status = venv.fusepkg("status", "--json").json()[0]
    assert (status["mounted"], status["packages"]) == (True, 2)
    venv.fusepkg("remove", "other")
    assert venv.run_python("import other", status=1).err.endswith("No module named 'other'\n")
    venv.fusepkg("umount")
    assert not venv.is_mounted


class Dpkg:
    """dpkg on a folder of its own as the system, into which packages are installed without what they depend on."""

    def __init__(self, tree):
        self.tree = tree
        for name in ("info", "updates", "triggers"):
            (tree / "var/lib/dpkg" / name).mkdir(parents=True)
        (tree / "var/lib/dpkg/status").touch()

    def __call__(self, *args):
        done = subprocess.run(["dpkg", f"--root={self.tree}", "--force-depends", "--log=/dev/null", *args],
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def next_version(package, folder):
    """The same package, as a later one."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, folder / "next"], check=True)
    control = folder / "next/DEBIAN/control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 9:"))
    subprocess.run(["dpkg-deb", "--build", folder / "next", folder / "next.deb"], check=True, capture_output=True)
    return folder / "next.deb"


def tree_of(path):
    return {str(p.relative_to(path)): p.lstat().st_mtime_ns for p in path.rglob("*")}


def test_an_upgrade_and_a_removal_leave_mounts_and_data_alone(root, package, folder, make_wheel):
    dpkg = Dpkg(folder / "system")
    dpkg("--install", package)
    root.installed = folder / "system/usr"
    venv = make_venv(root, folder / "venv")
    venv.fusepkg("add", make_wheel("demo"))
    before = tree_of(root.store)

    for change in (["--install", next_version(package, folder)], ["--remove", "fusepkg"], ["--purge", "fusepkg"]):
        dpkg(*change)
        assert venv.is_mounted
        assert venv.run_python("import demo; print(demo.version)").out == "1.0\n", change
        assert tree_of(root.store) == before
    assert not (folder / "system/usr/bin/fusepkg").exists()
    assert (venv.state / "environment").exists()

    dpkg("--install", package)
    venv.fusepkg("umount")
    assert guard.mounts(venv.path) == []
