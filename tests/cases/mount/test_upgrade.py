"""Who holds something of the old version keeps it; who opens now gets the new one."""
import subprocess

HOLDER = """
import mmap, os, sys
site = sys.argv[1]
big = os.path.join(site, 'demo/big.bin')
kept = open(big, 'rb', buffering=0)
start = kept.read(10)
mapped = mmap.mmap(kept.fileno(), 0, access=mmap.ACCESS_READ)
untouched = open(os.path.join(site, 'demo/small.txt'), 'rb', buffering=0)
os.chdir(os.path.join(site, 'demo'))
print('ready', flush=True)
sys.stdin.readline()
rest = kept.read(1 << 20)
assert start + rest == b'1' * 300_000, 'the open file changed'
assert mapped[:] == b'1' * 300_000, 'the mapping changed'
assert untouched.read() == b'one', 'a file that was open but not read changed'
assert os.getcwd() == os.path.join(site, 'demo'), os.getcwd()
assert open('small.txt').read() == 'two', 'the folder that we stand in shows the old version'
assert open(big, 'rb').read() == b'2' * 300_000
print('fine')
"""


def test_open_files_and_mappings_keep_the_old_bytes(account, new_venv, make_wheel):
    venv = new_venv(account)
    old = make_wheel("demo", "1.0", {"demo/big.bin": b"1" * 300_000, "demo/small.txt": "one", "demo/gone.txt": ""})
    new = make_wheel("demo", "2.0", {"demo/big.bin": b"2" * 300_000, "demo/small.txt": "two", "demo/came.txt": ""})
    venv.fusepkg("add", old)
    holder = account.start(["/usr/bin/python3", "-c", HOLDER, venv.site], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "ready\n"
    assert "demo==2.0" in venv.fusepkg("add", new).err
    out, err = holder.communicate("go\n", 60)
    assert out == "fine\n", err


def test_files_of_the_old_version_are_gone_at_once(account, new_venv, make_wheel):
    venv = new_venv(account)
    look = "import os, sys; print(*sorted(os.listdir(sys.argv[1] + '/demo')), os.path.exists(sys.argv[1] + '/demo/gone.txt'))"
    venv.fusepkg("add", make_wheel("demo", "1.0", {"demo/gone.txt": "", "demo/stays.txt": ""}))
    assert account.run(["/usr/bin/python3", "-c", look, venv.site]).out.split() == ["gone.txt", "stays.txt", "True"]
    venv.fusepkg("add", make_wheel("demo", "2.0", {"demo/came.txt": "", "demo/stays.txt": ""}))
    assert account.run(["/usr/bin/python3", "-c", look, venv.site]).out.split() == ["came.txt", "stays.txt", "False"]
