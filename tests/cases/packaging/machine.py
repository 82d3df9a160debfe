"""Another Debian in a folder, which commands are run in as on a machine of their own: pivot_root, processes, /dev/fuse."""
import subprocess

# Its own mounts and processes end with the shell that started them.
ENTER = """
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /dev dev
pivot_root . mnt
umount --lazy /mnt
shift
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive PYTHONDONTWRITEBYTECODE=1 "$@"
"""


def debootstrap(suite, tree):
    subprocess.run(["debootstrap", "--variant=minbase", suite, tree], check=True, capture_output=True, timeout=1800)


def copy(tree, to):
    subprocess.run(["cp", "-a", tree, to], check=True)


def run(tree, script, *args):
    """Runs the shell SCRIPT in TREE; its output, or an error with it."""
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", ENTER, "sh", tree,
                           "sh", "-exc", script, "sh", *args], capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, f"status {done.returncode}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout
