"""Listings: each name once, whatever happens meanwhile."""
import json
import subprocess

LIST = """
import json, os, sys
site = sys.argv[1]
scan = os.scandir(os.path.join(site, 'shared'))
names = [next(scan).name]
print('begun', flush=True)
sys.stdin.readline()
names += [e.name for e in scan]
print(json.dumps(names))
"""


def many(prefix, count):
    return {f"shared/{prefix}_{n:05}_{'x' * 40}.py": "" for n in range(count)}


def test_what_was_there_all_along_is_listed_once_across_a_change(account, new_venv, make_wheel):
    venv = new_venv(account)
    stay = many("stay", 3000)
    venv.fusepkg("add", make_wheel("stay", files=stay), make_wheel("goes", files=many("goes", 500)))
    process = account.start(["/usr/bin/python3", "-c", LIST, venv.site], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    venv.fusepkg("add", make_wheel("comes", files=many("comes", 500)))
    venv.fusepkg("remove", "-y", "goes")
    out, _ = process.communicate("go\n", 60)
    names = json.loads(out)
    stayed = sorted(n for n in names if n.startswith("stay"))
    assert stayed == sorted(p.partition("/")[2] for p in stay)


def test_two_listings_agree(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("a", files=many("a", 700)), make_wheel("b", files=many("b", 700)))
    code = "import os, sys; a = os.listdir(sys.argv[1] + '/shared'); print(len(a), len(set(a)), a == os.listdir(sys.argv[1] + '/shared'))"
    first = account.run(["/usr/bin/python3", "-c", code, venv.site]).out.split()
    assert first == ["1400", "1400", "True"]
    order = "import os, sys; print(*os.listdir(sys.argv[1] + '/shared'))"
    before = account.run(["/usr/bin/python3", "-c", order, venv.site]).out
    venv.fusepkg("umount")
    venv.fusepkg("mount")
    assert account.run(["/usr/bin/python3", "-c", order, venv.site]).out == before
