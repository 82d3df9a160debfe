"""A mounted venv as its account sees it: nobody else, root among them, sees what an ordinary user has mounted."""
import json

WALK = """
import json, os, sys
found = {}
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        path = os.path.join(folder, name)
        text = os.readlink(path) if os.path.islink(path) else open(path, encoding="latin-1").read()
        found[os.path.relpath(path, sys.argv[1])] = text
print(json.dumps(found))
"""


def shell(venv, script, folder=""):
    """Runs SCRIPT in a folder of site-packages, and gives what it prints."""
    return venv.account.run(["sh", "-ec", 'cd "$0"; ' + script, venv.site / folder]).out


def files(venv, folder=""):
    """{path: text} of all files below a folder of site-packages."""
    return json.loads(venv.account.run(["/usr/bin/python3", "-I", "-c", WALK, venv.site / folder]).out)


def stat(venv, path):
    """Inode, size, mtime, mode, links."""
    return venv.account.run(["stat", "-c", "%i %s %.9Y %a %h", venv.site / path]).out.split()
