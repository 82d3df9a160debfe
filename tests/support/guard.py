"""What a test may not leave behind: mounts, processes, loop devices, temporary files."""
import ctypes
import os
import re
import signal
import subprocess
import time
from pathlib import Path

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
MNT_DETACH = 2
SETTLE_SECONDS = 10  # how long a process that was told to end may take


class Mount:
    def __init__(self, device, target, kind):
        self.device, self.target, self.kind = device, target, kind


def unescape(word):
    """A field of mountinfo: \\040 and the like are bytes."""
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), word)


def leave_mount_namespace(mark):
    """From now on in a mount namespace of our own, without what is mounted where paths have MARK in them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "cannot make a mount namespace")
    for mount in reversed(mounts("/")):
        if mark in mount.target:
            libc.umount2(os.fsencode(mount.target), MNT_DETACH)


def mounts(below, kind=None):
    """Mounts of this mount namespace at or below BELOW, deepest last; never touches their files."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        dash = fields.index("-")
        mount = Mount(fields[2], unescape(fields[4]), fields[dash + 1])
        inside = mount.target == str(below) or mount.target.startswith(f"{str(below).rstrip('/')}/")
        if inside and kind in (None, mount.kind):
            found.append(mount)
    return found


def abort(mount):
    """Ends all requests of a mount whose server does not answer."""
    control = Path("/sys/fs/fuse/connections")
    if not (control / "waiting").exists() and not any(control.iterdir()):
        subprocess.run(["mount", "-t", "fusectl", "fusectl", control], check=False)
    try:
        (control / mount.device.split(":")[1] / "abort").write_text("1")
    except OSError:
        pass


def detach(mount):
    abort(mount)
    subprocess.run(["umount", "--lazy", mount.target], check=False)


def mount_log(mount):
    """The end of the log of the mount at <venv>/lib/pythonX.Y/site-packages."""
    log = Path(mount.target).parents[2] / ".fusepkg/log"
    try:
        return log.read_text(errors="replace")[-4000:]
    except OSError:
        return "(no log)"


def processes(mark):
    """(pid, command line) of the processes whose environment carries FUSEPKG_TEST=MARK."""
    wanted = f"FUSEPKG_TEST={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            if (entry / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                continue
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found.append((int(entry.name), command.strip()))
    return found


def loop_devices(below):
    found = []
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            backing = entry.read_text().strip()
        except OSError:
            continue
        if backing.startswith(f"{below}/"):
            found.append((entry.parts[3], backing))
    return found


def wait_gone(mark):
    """The processes of MARK that are still there after a short while."""
    end = time.monotonic() + SETTLE_SECONDS
    while (left := processes(mark)) and time.monotonic() < end:
        time.sleep(0.02)
    return left


def clear(folders, mark):
    """Ends what is left of a test in FOLDERS and says what that was: a list of sentences, empty when it was clean."""
    complaints = []
    for folder in folders:
        for mount in reversed(mounts(folder, "fuse.fusepkg")):
            complaints.append(f"still mounted: {mount.target}\n{mount_log(mount)}")
            detach(mount)
    for pid, command in wait_gone(mark):
        complaints.append(f"still running: {pid} {command}")
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    for folder in folders:
        for mount in reversed(mounts(folder)):
            complaints.append(f"still mounted: {mount.target} ({mount.kind})")
            subprocess.run(["umount", "--lazy", mount.target], check=False)
        for device, backing in loop_devices(folder):
            complaints.append(f"still attached: {device} to {backing}")
            subprocess.run(["losetup", "--detach", f"/dev/{device}"], check=False)
    return complaints
