"""Other partitions: file systems on loop devices (and a tmpfs), made when first asked for, gone with the session."""
import subprocess
from pathlib import Path

# Sparse files; the sizes are the smallest at which the mkfs of each is content.
KINDS = {
    "ext4": ("512M", ["mkfs.ext4", "-q", "-E", "lazy_itable_init=0"]),
    "xfs": ("512M", ["mkfs.xfs", "-q"]),
    "btrfs": ("512M", ["mkfs.btrfs", "-q"]),
}


class Partitions:
    def __init__(self, folder):
        self.folder = folder
        self.mounted = {}

    def get(self, kind):
        """The root folder of the partition of that KIND: "tmpfs" or a key of KINDS."""
        if kind not in self.mounted:
            self.mounted[kind] = self.mount(kind)
        return self.mounted[kind]

    def mount(self, kind):
        target = self.folder / kind
        target.mkdir()
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", "size=2G,mode=755", "fusepkg-test", target]
        else:
            size, mkfs = KINDS[kind]
            image = self.folder / f"{kind}.img"
            subprocess.run(["truncate", "-s", size, image], check=True)
            subprocess.run([*mkfs, image], check=True, capture_output=True)
            command = ["mount", "-o", "loop", image, target]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"this machine cannot mount {kind}, which the tests need: {done.stderr}"
        target.chmod(0o755)
        return target

    def close(self):
        for kind, target in self.mounted.items():
            subprocess.run(["umount", target], check=True)
            image = Path(self.folder / f"{kind}.img")
            image.unlink(missing_ok=True)
        self.mounted = {}
