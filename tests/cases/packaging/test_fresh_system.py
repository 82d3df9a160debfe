"""Fresh systems made by debootstrap: the tree builds there, the package installs with what it depends on and nothing else,
and works.  One tree for both sonames of libfuse: libfuse3.so.3 (Debian 12) and libfuse3.so.4 (from 3.17 on, Debian 13)."""
import json
import shutil
import subprocess
from pathlib import Path

import machine
import pytest

from support import guard

TOP = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.long

BUILD = """
apt-get update -qq
/src/packaging/install-dependencies build deb
/src/packaging/build-deb /built >/dev/null
dpkg-deb --field /built/fusepkg_*.deb Depends
"""

LINT = """
apt-get install -qq --yes --no-install-recommends lintian man-db >/dev/null 2>&1
useradd --create-home lint
cd /built
exec setpriv --reuid=lint --regid=lint --clear-groups lintian --display-info --pedantic --fail-on pedantic,info,warning,error *.changes
"""

INSTALL = """
apt-get update -qq
apt-get install -qq --yes --no-install-recommends /fusepkg.deb python3-venv mount >/dev/null 2>&1
chmod 666 /dev/fuse
useradd --create-home --shell /bin/sh me
ln -sf ../proc/self/mounts /etc/mtab   # as systemd does when it boots
"""

# The README's session, then what fstab and a reboot would do; $1 is whose.
SESSION = """
cd
python3 -m venv .venv
fusepkg add wheels/*.whl
.venv/bin/python -c 'import demo, other; demo.main()'
.venv/bin/demo
for i in 1 2; do .venv/bin/python -c 'import demo, other'; done
fusepkg debug requests --json > before
.venv/bin/python -c 'import demo, other'
fusepkg debug requests --json > after
fusepkg status --venv .venv
fusepkg remove other
! .venv/bin/python -c 'import other' 2>/dev/null
fusepkg umount
! .venv/bin/python -c 'import demo' 2>/dev/null
fusepkg mount
.venv/bin/python -c 'import demo; demo.main()'
"""

GOODBYE = """
mount -t fusepkg /root/.venv /root/.venv/lib/python3.*/site-packages
apt-get remove -qq --yes fusepkg >/dev/null
! command -v fusepkg
/root/.venv/bin/python -c 'import demo; demo.main()'
dpkg --purge fusepkg
/root/.venv/bin/python -c 'import demo; demo.main()'
umount /root/.venv/lib/python3.*/site-packages
ls /root/.local/share/fusepkg/store /root/.venv/.fusepkg/environment
"""


@pytest.fixture
def wheels(make_wheel):
    return [make_wheel("demo", entry_points={"console_scripts": {"demo": "demo:main"}},
                       files={"demo.py": "def main():\n    print('it runs')\n"}), make_wheel("other")]


def copy_sources(to):
    """This tree without what was built in it."""
    shutil.copytree(TOP, to, symlinks=True,
                    ignore=lambda folder, names: [n for n in names if n == ".git" or n.startswith("build")]
                    if Path(folder) == TOP else [])


def session(tree, who):
    """Runs the session as WHO, and tells which requests a warm import sends."""
    home = tree / "root" if who == "root" else tree / "home" / who
    become = "" if who == "root" else f"setpriv --reuid={who} --regid={who} --init-groups env HOME=/home/{who} "
    shutil.copytree(tree / "wheels", home / "wheels")
    (tree / "session").write_text(SESSION)
    # The mount's processes end with the machine; a user's cannot outlive it either.
    said = machine.run(tree, f"chown -R {who}: {'/root' if who == 'root' else '/home/' + who}; {become}sh -e /session")
    assert said.splitlines().count("it runs") == 3, said
    before, after = (json.loads((home / name).read_text()) for name in ("before", "after"))
    return {opcode for opcode in after if after[opcode] != before.get(opcode, 0)}


@pytest.mark.parametrize("suite, soname", [("bookworm", "libfuse3-3"), ("trixie", "libfuse3-4")])
def test_it_builds_installs_and_works(folder, wheels, suite, soname):
    use, build = folder / "use", folder / "build"
    machine.debootstrap(suite, use)
    machine.copy(use, build)
    copy_sources(build / "src")
    assert f" {soname} (" in machine.run(build, BUILD)
    if suite == "bookworm":  # whose rules the package names
        assert machine.run(build, LINT) == ""

    shutil.copy(next((build / "built").glob("fusepkg_*.deb")), use / "fusepkg.deb")
    (use / "wheels").mkdir()
    for wheel in wheels:
        shutil.copy(wheel, use / "wheels")
    machine.run(use, INSTALL)
    for who in ("root", "me"):
        # "Is it a terminal?", asked by Python before 3.14 for each file, is all that a warm import may ask.
        assert session(use, who) <= {"IOCTL"}
    assert machine.run(use, GOODBYE).splitlines().count("it runs") == 2
    assert guard.mounts(folder) == []
    subprocess.run(["rm", "-rf", build, use], check=True)
