"""Packages of which something is shared, and what a gc said."""
import hashlib
import json
import random

LARGE = 300_000


def wheel_of(make_wheel, name, version="1.0", shared=0):
    """A module, an object of its own, and one that all of the same SHARED have."""
    own = random.Random(f"{name} {version}").randbytes(LARGE)
    return make_wheel(name, version, {f"{name}/__init__.py": f"version = {version!r}\n", f"{name}/own.bin": own,
                                      f"{name}/shared.bin": random.Random(shared).randbytes(LARGE)})


def gc(account, *args, **kwargs):
    return account.fusepkg("store", "gc", "--json", *args, **kwargs).json()


def removed(result):
    return [p["name"] for p in result["removed"]]


def reasons(account, name):
    """{why: [generations]} for the package, by a gc that changes nothing."""
    packages = gc(account, "--dry-run", "--explain")["packages"]
    return {n["why"]: n["generations"] for p in packages if p["name"] == name for n in p["needed_by"]}


def state_of(result, path):
    return {e["venv"]: e["state"] for e in result["environments"]}.get(str(path))


def check_store(account, **kwargs):
    assert account.fusepkg("store", "verify", "--json", **kwargs).json() == {"ok": True, "errors": []}


def held(account):
    return sorted(p["name"] for p in account.fusepkg("store", "du", "--json").json()["packages"])


def check_imports(venv, *names):
    """Imports them, and reads all of their bytes."""
    own = {n: hashlib.sha256(random.Random(f"{n} 1.0").randbytes(LARGE)).hexdigest() for n in names}
    shared = [hashlib.sha256(random.Random(n).randbytes(LARGE)).hexdigest() for n in range(3)]
    venv.run_python("import hashlib, importlib, json, sys\n"
                    "own, shared = json.loads(sys.argv[1])\n"
                    "for name in own:\n"
                    "    path = importlib.import_module(name).__path__[0]\n"
                    "    digest = lambda file: hashlib.sha256(open(f'{path}/{file}', 'rb').read()).hexdigest()\n"
                    "    assert digest('own.bin') == own[name] and digest('shared.bin') in shared, name\n",
                    json.dumps([own, shared]))
