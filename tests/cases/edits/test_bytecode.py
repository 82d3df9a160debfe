"""Python's bytecode knows whole seconds and sizes: a source that is changed again within a second, to one of the same size, must not run as what it was."""
import pytest

CHANGE = """
import ctypes, importlib, mmap, os, sys
site, how = sys.argv[1:]
path, other = f"{site}/changing.py", f"{site}/changing.py.new"
renameat2, AT_FDCWD, EXCHANGE = ctypes.CDLL(None).renameat2, -100, 2

def write(to, text):
    with open(to, "w") as file:
        file.write(text)

def in_place(text):
    with open(path, "r+") as file:
        file.write(text)

def mapped(text):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as map:
        map[:] = text.encode()
        map.flush()

def ranges(text):
    write(other, text)
    with open(other, "rb") as source, open(path, "r+b") as file:
        os.copy_file_range(source.fileno(), file.fileno(), len(text))

def truncated(text):
    write(path, text)

def replaced(text):
    write(other, text)
    os.replace(other, path)

def removed(text):
    os.unlink(path)
    write(path, text)

def aside(text):
    os.rename(path, other)
    write(path, text)

def linked(text):
    write(other, text)
    os.unlink(path)
    os.link(other, path)
    os.unlink(other)

def exchanged(text):
    write(other, text)
    assert renameat2(AT_FDCWD, path.encode(), AT_FDCWD, other.encode(), EXCHANGE) == 0

if how == "all":
    ways = [in_place, mapped, ranges, truncated, replaced, removed, aside, linked, exchanged]
else:
    ways = [globals()[how]]
sys.path.insert(0, site)
write(path, "value = 1000\\n")
for n in range(1001, 1031):
    way = ways[n % len(ways)]
    way(f"value = {n}\\n")
    sys.modules.pop("changing", None)
    importlib.invalidate_caches()
    import changing
    assert changing.value == n, (n, changing.value, way.__name__)
assert os.listdir(f"{site}/__pycache__")
"""


@pytest.mark.parametrize("how", ["in_place", "mapped", "ranges", "truncated", "replaced", "removed", "aside", "linked", "exchanged", "all"])
def test_what_was_changed_last_runs(root_demo, how):
    root_demo.run_python(CHANGE, root_demo.site, how, env={"PYTHONDONTWRITEBYTECODE": None})


def test_also_an_ordinary_users(user, new_venv, make_wheel):
    venv = new_venv(user)
    venv.fusepkg("add", "-q", make_wheel("demo"))
    venv.run_python(CHANGE, venv.site, "all", env={"PYTHONDONTWRITEBYTECODE": None})
