"""Starting the venv's Python mounts the environment."""
import fcntl
import os
import shutil
import subprocess

import pytest

from support.account import Account
from support.venvs import OWN_FILES
from support.venvs import START_FILE as PTH
FACTS = "import demo, sys; print(demo.version, [p for p in sys.path if 'site-packages' in p])"


@pytest.fixture
def venv(account, new_venv, make_wheel):
    """demo, with a console script, is installed and unmounted, as after a reboot."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", entry_points={"console_scripts": {"demo-tool": "demo:main"}},
                                   files={"demo.py": "version = '1.0'\ndef main():\n    print('tool')\n"}))
    venv.fusepkg("umount")
    return venv


def quiet(result):
    assert result.err == "", result
    return result.out


@pytest.mark.parametrize("argv", [
    ["python", "-c", "import demo; demo.main()"],
    ["demo-tool"],
    ["python", "-m", "demo"],
    ["python", "-c", "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', 'import demo; demo.main()']))"],
    ["python", "-I", "-c", "import demo; demo.main()"],
])
def test_a_start_mounts(account, venv, argv):
    out = quiet(account.run([venv.bin / argv[0], *argv[1:]]))
    assert out == ("" if "-m" in argv else "tool\n")
    assert venv.is_mounted


def test_sixteen_starts_at_once_mount_once(account, venv):
    started = [account.start([venv.python, "-c", "import demo; demo.main()"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for _ in range(16)]
    assert [p.communicate() for p in started] == [("tool\n", "")] * 16
    assert venv.is_mounted
    venv.fusepkg("umount")
    assert not venv.is_mounted


def test_starts_beside_umounts(account, venv):
    """A mount that is on its way is waited for, and a new one not taken for the old one that does not end."""
    starts = account.start(["sh", "-c", 'seq 60 | xargs -P4 -I{} "$1" -c "import sys"', "sh", venv.python],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    while starts.poll() is None:
        said.append(venv.fusepkg("umount", "-q", status=None).err)
    starts.communicate()
    assert starts.returncode == 0
    assert not [text for text in said if text and "is in use by" not in text]


def test_a_start_waits_for_no_command(account, venv):
    """uv holds the venv's lock while it runs Python."""
    with open(venv.path / ".lock", "r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert quiet(venv.run_python("import demo; demo.main()", timeout=60)) == "tool\n"


def test_the_mount_keeps_no_descriptor_of_the_starter(account, venv):
    """A pipe of the caller's ends with Python, though the mount goes on."""
    ends = os.pipe()
    account_process = account.start([venv.python, "-c", "import demo"], pass_fds=[ends[1]], stdout=subprocess.PIPE)
    os.close(ends[1])
    assert account_process.wait() == 0
    assert os.read(ends[0], 1) == b""
    assert account_process.stdout.read() == b""
    os.close(ends[0])
    account_process.stdout.close()
    assert venv.is_mounted


def test_pth_files_of_the_mount_count(account, venv, make_wheel):
    venv.fusepkg("add", make_wheel("hooks", files={
        "hooks.pth": "more\nimport sys; sys.hooked = True\n", "more/far.py": "", "hooks.py": ""}))
    facts = "import sys, far, demo; print(sys.hooked, sorted(p for p in sys.path if 'site-packages' in p))"
    mounted = quiet(venv.run_python(facts))
    venv.fusepkg("umount")
    assert quiet(venv.run_python(facts)) == mounted


def test_what_was_looked_for_before_is_found(account, venv):
    """An earlier .pth makes importlib read the bare folder."""
    (venv.site / "aaa.pth").write_text(
        "import importlib.util, sys; sys.__dict__.setdefault('first', importlib.util.find_spec('demo'))\n")
    assert quiet(venv.run_python("import sys, demo; print(sys.first)")) == "None\n"


@pytest.mark.parametrize("name", OWN_FILES)
def test_it_is_hidden_in_the_mount(account, venv, name):
    assert (venv.site / name).exists()
    venv.fusepkg("mount")
    assert name not in account.run(["ls", "-a", venv.site]).out
    account.run(["test", "!", "-e", venv.site / name])
    venv.fusepkg("umount")
    out = account.tmp / "out"
    venv.fusepkg("export", "--to", out)
    assert not list(out.rglob(name))


def test_add_without_mounting_is_shown_by_a_start(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", "--no-mount", make_wheel("demo"))
    assert not venv.is_mounted
    quiet(venv.run_python("import demo"))


def broken(venv, env=None):
    """Starts Python and returns what it says when mounting does not work: one line."""
    result = venv.run_python("print('on')", env=env)
    assert result.out == "on\n"
    assert result.err.count("\n") == 1 and result.err.startswith("fusepkg: "), result
    assert not venv.is_mounted
    return result.err


def test_a_missing_or_broken_fusepkg_is_one_line(account, new_venv, make_wheel, folder, installed, tools):
    copy = folder / "copy"
    shutil.copytree(installed, copy)
    other = Account(account.name, folder, account.mark, copy, tools)
    venv = new_venv(other)
    venv.fusepkg("add", make_wheel("demo"))
    venv.fusepkg("umount")
    program = copy / "bin/fusepkg"
    for damage in (lambda: program.chmod(0o644), lambda: program.write_bytes(b"\x7fELF"), lambda: os.truncate(program, 0),
                   lambda: program.write_text("#!/bin/sh\nkill -SEGV $$\n"), program.unlink, lambda: shutil.rmtree(copy)):
        damage()
        said = broken(venv)
        assert str(program) in said and "install fusepkg" in said and str(venv.site / PTH) in said
        if program.exists():
            program.chmod(0o755)


def test_a_failure_says_which_command_to_run(venv):
    said = broken(venv, env={"FUSEPKG_MOUNT_PROGRAM": "/bin/false"})
    assert f"fusepkg mount --venv '{venv}'" in said


def test_only_the_owner_mounts(user, root, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    venv.fusepkg("umount")
    result = root.run([venv.python, "-c", "print('on')"])
    assert result.out == "on\n" and "only its owner" in result.err and result.err.count("\n") == 1
    assert not venv.is_mounted


def test_a_deleted_state_is_one_line(account, venv):
    account.run(["rm", "-r", venv.state])
    said = broken(venv)
    assert str(venv.state) in said and str(venv.site / PTH) in said


def test_no_process_to_be_had_does_not_send_for_an_installer(user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", make_wheel("demo"))
    venv.fusepkg("umount")
    result = user.with_prefix("prlimit", "--nproc=1").run([venv.python, "-c", "print('on')"])
    assert result.out == "on\n" and "temporarily unavailable" in result.err and "install fusepkg" not in result.err
    assert result.err.count("\n") == 1


# Starts argv[1:] with all that can be ignored and blocked.
DEAF = """
import os, signal, sys
for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_a_starter_that_ignores_its_children(account, venv, make_wheel):
    deaf = ["/usr/bin/python3", "-c", DEAF]
    quiet(account.run([*deaf, venv.python, "-c", "import demo"]))
    fusepkg = account.installed / "bin/fusepkg"
    account.run([*deaf, fusepkg, "add", "--venv", venv, make_wheel("other")])
    account.run([*deaf, fusepkg, "umount", "--venv", venv])
    account.run([*deaf, fusepkg, "mount", "--venv", venv])
    quiet(venv.run_python("import demo, other"))
    account.run([*deaf, fusepkg, "umount", "--force", "--venv", venv])
    assert not venv.is_mounted


def test_the_starter_s_limits_end_no_worker(account, venv):
    """A file that grows over the limit is an error to its writer: no signal to who serves it."""
    quiet(account.run(["sh", "-c", 'ulimit -f 4000; ulimit -S -n 16; exec "$1" -c "import demo"', "sh", venv.python]))
    written = account.run(["/usr/bin/python3", "-c", "import sys; open(sys.argv[1], 'wb').write(bytes(4 << 20))", venv.site / "big"],
                          status=1)
    assert "File too large" in written.err
    assert venv.fusepkg("status", "--json").json()[0]["restarts"] == 0


def test_too_few_open_files_are_named(account, venv):
    said = account.with_prefix("prlimit", "--nofile=32").fusepkg("mount", "--venv", venv, status=1).err
    assert "open" in said and "32" in said and "ulimit -n" in said
    quiet(venv.run_python("import demo"))


@pytest.mark.parametrize("limit", [64, 100, 200, 320])
def test_a_mount_that_comes_up_has_files_enough(account, venv, limit):
    """As few as they are, it writes and reads more than it can have open."""
    mounted = account.with_prefix("prlimit", f"--nofile={limit}").fusepkg("mount", "--venv", venv, status=None)
    assert (mounted.status == 0) == venv.is_mounted
    if mounted.status:
        assert f"only {limit} files may be open" in mounted.err
        return
    account.run(["sh", "-c", f'cd "{venv.site}" && for i in $(seq 400); do echo $i > own$i || exit; done && cat own* > /dev/null'])


def test_whatever_the_umask(account, new_venv, make_wheel):
    for mask in ("777", "000"):
        venv = new_venv(account)
        account.run(["sh", "-c", f'umask {mask}; "$@"', "sh", account.installed / "bin/fusepkg", "add", "--venv", venv,
                     make_wheel("demo")])
        assert venv.state.stat().st_mode & 0o722 == 0o700
        venv.fusepkg("umount")
        quiet(account.run(["sh", "-c", f'umask {mask}; exec "$1" -c "import demo"', "sh", venv.python]))


def test_strange_paths(account, new_venv, make_wheel):
    venv = new_venv(account, name="it's a \\ venv")
    venv.fusepkg("add", make_wheel("demo"))
    venv.fusepkg("umount")
    quiet(venv.run_python("import demo"))
    assert venv.is_mounted
