"""mount(8), fstab and systemd's user unit."""
import subprocess

import pytest


@pytest.fixture
def in_usr(root, installed, venv, make_wheel):
    """Runs a shell script in a mount namespace where fusepkg is installed in /usr; it knows $VENV, with `demo` installed
    and not mounted, and $SITE."""
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    prefix = ["unshare", "--mount", "sh", "-ec",
              'mount -t overlay fusepkg-test -o "lowerdir=$1:/usr" /usr; shift; exec "$@"', "sh", installed]

    def run(script, **kwargs):
        return root.with_prefix(*prefix).run(["sh", "-ec", script], env={"VENV": venv, "SITE": venv.site}, **kwargs)

    return run


@pytest.mark.parametrize("kind", ["fusepkg", "fuse.fusepkg"])
def test_mount_knows_the_type(in_usr, kind):
    script = f"""
        mount -t {kind} "$VENV" "$SITE"
        findmnt --noheadings --output FSTYPE "$SITE"
        "$VENV/bin/python" -c 'import demo; print(demo.version)'
        mount -t {kind} "$VENV" "$SITE"   # again: no error, and no second one
        umount "$SITE"
        findmnt "$SITE" || echo unmounted
    """
    assert in_usr(script).out.split() == ["fuse.fusepkg", "1.0", "unmounted"]


def test_fstab(in_usr, folder):
    script = f"""
        echo "$VENV $SITE fuse.fusepkg rw,nosuid,nodev,nofail,relatime,x-systemd.automount 0 0" > {folder}/fstab
        mount --fstab {folder}/fstab "$SITE"
        "$VENV/bin/python" -c 'import demo; print(demo.version)'
        umount "$SITE"
    """
    assert in_usr(script).out == "1.0\n"


def test_the_venv_of_a_user(in_usr, user, new_venv, make_wheel):
    """Whoever may call mount as root has said that root may."""
    theirs = new_venv(user)
    theirs.fusepkg("add", "--no-mount", make_wheel("demo"))
    script = f"""
        mount -t fusepkg "{theirs}" "{theirs.site}"
        setpriv --reuid={user.uid} --regid={user.gid} --clear-groups "{theirs.python}" -c 'import demo; print(demo.version)'
        umount "{theirs.site}"
    """
    assert in_usr(script).out == "1.0\n"


@pytest.mark.parametrize("arguments, status, sentence", [
    ('"$VENV" /mnt', 32, "'/mnt' is not the folder site-packages of '"),
    ('/nowhere "$SITE"', 32, "there is no '/nowhere'"),
    ('"$VENV" "$SITE" -o colour=red', 1, "unknown option 'colour=red'"),
    ('"$VENV" "$SITE" -o store=/nowhere', 32, "/nowhere"),
    ('"$VENV"', 1, "usage: mount.fusepkg VENV DIR"),
])
def test_refusals(in_usr, arguments, status, sentence):
    said = in_usr(f'mount.fusepkg {arguments}', status=status)
    assert sentence in said.err
    assert in_usr('findmnt "$SITE"', status=1).out == ""


def test_options_of_the_helper(in_usr):
    assert in_usr('mount.fusepkg "$VENV" "$SITE" -f -o ro; findmnt "$SITE" || echo nothing').out == "nothing\n"
    script = 'mount.fusepkg "$VENV" "$SITE" -sn -o ro,colour=red -o auto -t fuse.fusepkg; findmnt -no FSTYPE "$SITE"; umount "$SITE"'
    assert in_usr(script).out == "fuse.fusepkg\n"


def test_the_user_unit(account, installed, new_venv, make_wheel):
    """Its commands, as systemd would run them for a venv whose name it had to escape."""
    venv = new_venv(account, name="a venv-1")
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    unit = dict(line.split("=", 1) for line in
                (installed / "lib/systemd/user/fusepkg-mount@.service").read_text().splitlines() if "=" in line[:24])
    for key, mounted in (("ExecStart", True), ("ExecStart", True), ("ExecStop", False), ("ExecStop", False)):
        program, *args = (str(venv) if word == "%f" else word for word in unit[key].split())
        account.run([installed / "bin" / program, *args])
        assert venv.is_mounted == mounted
    assert (unit["Type"], unit["RemainAfterExit"]) == ("oneshot", "yes")


def test_systemd_finds_no_fault_with_the_unit(installed, folder):
    unit = folder / "fusepkg-mount@home-me-venv.service"
    text = (installed / "lib/systemd/user/fusepkg-mount@.service").read_text()
    unit.write_text(text.replace("=fusepkg ", f"={installed}/bin/fusepkg "))
    done = subprocess.run(["systemd-analyze", "verify", "--user", "--man=no", unit], capture_output=True, text=True,
                          env={"XDG_RUNTIME_DIR": str(folder), "PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
