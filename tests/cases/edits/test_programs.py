"""Programs that know nothing of fusepkg, at work in a mounted folder."""
import json
import subprocess

import pytest

SOURCE = {"git": ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main", "-c", "gc.auto=0"]}


@pytest.fixture
def git(account):
    def run(*args, cwd):
        # Only the account itself may enter what it has mounted.
        return account.run(["git", "-C", cwd, *SOURCE["git"], *args], env={"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}).out

    return run


MAKE_HISTORY = """
import os, random, subprocess, sys
chance = random.Random(1)
git = ['git', *sys.argv[1:]]
files = [f'd{n % 20}/s{n % 7}/f{n}.txt' for n in range(400)]
for commit in range(6):
    for path in files if commit == 0 else chance.sample(files, 80):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(f'{commit} {path}\\n' * chance.randrange(200))
    if commit == 3:
        os.symlink('d1', 'link')
        os.chmod(files[0], 0o755)
    subprocess.run([*git, 'add', '-A'], check=True)
    subprocess.run([*git, 'commit', '-qm', f'commit {commit}'], check=True)
    subprocess.run([*git, 'tag', f'v{commit}'], check=True)
"""


def test_git_clones_checks_out_and_packs(account, demo, git):
    origin = account.make_folder(account.work / "origin")
    git("init", "-q", cwd=origin)
    account.run(["/usr/bin/python3", "-c", MAKE_HISTORY, *SOURCE["git"]], cwd=origin)
    git("clone", "-q", "--no-local", str(origin), str(demo.site / "clone"), cwd=account.work)
    clone = demo.site / "clone"
    for tag in ("v0", "v3", "v1", "v5", "v2"):
        git("checkout", "-q", tag, cwd=clone)
        assert git("status", "--porcelain", cwd=clone) == ""
        git("checkout", "-q", tag, cwd=origin)
        sums = "cd $1 && find . -path ./.git -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"
        theirs, ours = (account.run(["sh", "-c", sums, "sh", where]).out for where in (origin, clone))
        assert len(theirs.splitlines()) == 400 and ours == theirs
    git("checkout", "-qb", "work", cwd=clone)
    account.run(["sh", "-c", "cd $1 && echo changed > d0/s0/f0.txt && rm -r d1 && mkdir new && echo new > new/file", "sh", clone])
    git("add", "-A", cwd=clone)
    git("commit", "-qm", "work", cwd=clone)
    git("merge", "-q", "-s", "ours", "-m", "merge", "v5", cwd=clone)
    git("repack", "-adq", cwd=clone)
    git("gc", "-q", "--prune=now", cwd=clone)
    demo.fusepkg("umount")
    demo.fusepkg("mount", "-q")
    assert git("fsck", "--full", "--strict", cwd=clone) == ""
    assert git("status", "--porcelain", cwd=clone) == ""
    account.run(["rm", "-r", clone])
    assert account.run(["ls", "-A", demo.site]).out.split() == [".fusepkg", "demo", "demo-1.0.dist-info"]


WRITER = """
import sqlite3, sys
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=60, isolation_level=None)
db.execute('pragma synchronous=normal')
for n in range(count):
    db.execute('begin immediate')
    (total,), = db.execute('select count(*) from t')
    db.execute('insert into t values (?, ?, ?, ?)', (name, n, total, 'x' * (n * 37 % 3000)))
    db.execute('update sum set n = n + 1')
    db.execute('commit' if n % 5 else 'rollback')
    if n % 20 == 0:
        db.execute('pragma wal_checkpoint(truncate)')
"""
CHECK = """
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
rows = db.execute('select total from t order by rowid').fetchall()
print(json.dumps({'check': db.execute('pragma integrity_check').fetchall(), 'mode': db.execute('pragma journal_mode').fetchall(),
    'order': [r[0] for r in rows] == list(range(len(rows))), 'count': len(rows), 'sum': db.execute('select n from sum').fetchall()}))
"""


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_four_writers_of_one_sqlite_database(account, demo, mode):
    path = demo.site / "demo/data.db"
    make = f"import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('pragma journal_mode={mode}'); " \
        "db.execute('create table t (name, n, total, text)'); db.execute('create table sum (n)'); " \
        "db.execute('insert into sum values (0)'); db.commit()"
    account.run(["/usr/bin/python3", "-c", make, path])
    count = 60
    writers = [account.start(["/usr/bin/python3", "-c", WRITER, path, f"w{n}", str(count)], stderr=subprocess.PIPE) for n in range(4)]
    for process in writers:
        err = process.communicate(timeout=120)[1]
        assert process.returncode == 0, err.decode()
    expected = 4 * (count - count // 5)
    wanted = {"check": [["ok"]], "mode": [[mode]], "order": True, "count": expected, "sum": [[expected]]}
    assert json.loads(account.run(["/usr/bin/python3", "-c", CHECK, path]).out) == wanted
    demo.fusepkg("umount")
    demo.fusepkg("mount", "-q")
    assert json.loads(account.run(["/usr/bin/python3", "-c", CHECK, path]).out) == wanted


# What packages write into their own folders at run time.

NUMBA = """
import os, pathlib, tempfile, uuid
import demo.a as module
# numba: an index and data files beside the bytecode, each written under another name and renamed
folder = pathlib.Path(module.__file__).parent / '__pycache__'
folder.mkdir(exist_ok=True)
tempfile.TemporaryFile(dir=folder).close()   # it asks first whether it may write here
for name in ('a.f-1.py311.nbi', 'a.f-1.py311.1.nbc'):
    temporary = folder / f'{name}.tmp.{uuid.uuid4().hex[:16]}'
    temporary.write_bytes(name.encode() * 1000)
    os.replace(temporary, folder / name)
print((folder / 'a.f-1.py311.nbi').stat().st_size)
"""
TLDEXTRACT = """
import fcntl, hashlib, json, pathlib
import demo
# tldextract: a cache of small files in a dot folder, made by whoever comes first, each with a lock file (filelock)
cache = pathlib.Path(demo.__file__).parent / '.suffix_cache' / 'publicsuffix.org-tlds'
cache.mkdir(parents=True, exist_ok=True)
for key in range(5):
    path = cache / (hashlib.md5(str(key).encode()).hexdigest() + '.tldextract.json')
    with open(str(path) + '.lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        path.write_text(json.dumps([key] * 1000))
print(len(json.loads(path.read_text())))
"""
PLAYWRIGHT = """
import os, pathlib, shutil, sys, zipfile
import demo
# playwright with PLAYWRIGHT_BROWSERS_PATH=0: unpacks a browser into its own package, marks it as complete, removes an older one
browsers = pathlib.Path(demo.__file__).parent / 'driver/package/.local-browsers'
for version in ('1', '2'):
    folder = browsers / f'chromium-{version}'
    (folder / 'chrome-linux').mkdir(parents=True)
    binary = folder / 'chrome-linux/chrome'
    with open(binary, 'wb') as file:
        file.truncate(3_000_000)
        file.write(b'#!/bin/sh\\necho browser %s\\nexit 0\\n' % version.encode())
    binary.chmod(0o755)
    os.symlink('chrome', folder / 'chrome-linux/chromium')
    (folder / 'INSTALLATION_COMPLETE').touch()
shutil.rmtree(browsers / 'chromium-1')
os.execv(folder / 'chrome-linux/chromium', ['chromium'])
"""
PARSETAB = """
import importlib, os, sys
import demo
# ply: a table module in the package, imported at once, and written again with other contents
path = os.path.join(os.path.dirname(demo.__file__), 'parsetab.py')
for n in range(3):
    with open(path, 'w') as file:
        file.write(f'table = {"9" * (n + 1)}\\n')
    importlib.invalidate_caches()
    sys.modules.pop('demo.parsetab', None)
    sys.stdout.write(str(importlib.import_module('demo.parsetab').table) + ' ')
"""
CERTIFI = """
import demo, os
# what companies do to certifi: append to the file that the package reads
path = os.path.join(os.path.dirname(demo.__file__), 'small.txt')
with open(path, 'a') as file:
    file.write('our own\\n')
print(open(path).read().count('\\n'))
"""


@pytest.mark.parametrize("code, said", [(NUMBA, "15000"), (TLDEXTRACT, "1000"), (PLAYWRIGHT, "browser 2"), (PARSETAB, "9 99 999"), (CERTIFI, "11")],
                         ids=["numba", "tldextract", "playwright", "ply", "certifi"])
def test_what_packages_write_into_their_own_folders(demo, code, said):
    assert demo.run_python(code, env={"PYTHONDONTWRITEBYTECODE": None}).out.strip().startswith(said.strip())


def test_bytecode_is_written_and_used(demo):
    code = "import demo.a, demo.sub.c; print(demo.a.__cached__)"
    cached = demo.run_python(code, env={"PYTHONDONTWRITEBYTECODE": None}).out.strip()
    assert demo.account.run(["ls", cached]).out.strip() == cached
    before = demo.requests()
    demo.run_python(code, env={"PYTHONDONTWRITEBYTECODE": None})
    after = demo.requests()
    assert after.get("WRITE", 0) == before.get("WRITE", 0) and after.get("CREATE", 0) == before.get("CREATE", 0), "it was compiled again"


def test_an_edited_module_runs_as_it_was_edited(demo):
    code = "import demo.a; print(demo.a.a)"
    env = {"PYTHONDONTWRITEBYTECODE": None}
    assert demo.run_python(code, env=env).out == "1\n"
    # Of the size that the installed one has; then, within a second perhaps, of another: Python's bytecode knows seconds and sizes.
    for old, new in ((1, 2), (2, 33)):
        demo.account.run(["sed", "-i", f"s/a = {old}/a = {new}/", demo.site / "demo/a.py"])
        assert demo.run_python(code, env=env).out == f"{new}\n"


def test_copying_archiving_and_removing_the_tree(account, demo):
    copy = account.work / "copy"
    account.run(["cp", "-a", demo.site / "demo", copy])
    account.run(["diff", "-r", copy, demo.site / "demo"])
    account.run(["tar", "-C", demo.site, "-cf", account.work / "demo.tar", "demo"])
    account.run(["rm", "-r", demo.site / "demo"])
    assert account.run(["ls", "-A", demo.site]).out.split() == [".fusepkg", "demo-1.0.dist-info"]
    account.run(["tar", "-C", demo.site, "-xf", account.work / "demo.tar"])
    account.run(["diff", "-r", copy, demo.site / "demo"])
    account.run(["cp", "-a", demo.site / "demo", demo.site / "demo2"])
    account.run(["mv", demo.site / "demo2", demo.site / "demo/inside"])
    account.run(["diff", "-r", copy, demo.site / "demo/inside"])
