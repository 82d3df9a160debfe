"""What the kernel has cached it does not ask for again."""

import pytest

WALK = """
import os, sys
site = sys.argv[1]
files = [os.path.join(d, f) for d, _, names in os.walk(site) for f in names]
assert len(files) > 1000, len(files)
for path in files:
    os.stat(path)
    try:
        os.stat(path + '.absent')
    except FileNotFoundError:
        pass
    fd = os.open(path, os.O_RDONLY)
    while os.read(fd, 1 << 20):
        pass
    os.close(fd)
    os.listdir(os.path.dirname(path))
"""


def new_requests(venv, action):
    """The requests that ACTION costs, zeros left out."""
    before = venv.requests()
    action()
    after = venv.requests()
    return {op: n - before.get(op, 0) for op, n in after.items() if n != before.get(op, 0)}


def warm_requests(venv, action):
    """The same once ACTION has nothing new to ask: the kernel may drop what it likes when memory is short, so it is given
    some tries, and FORGET, its own affair, is left out."""
    for _ in range(5):
        costs = {op: n for op, n in new_requests(venv, action).items() if "FORGET" not in op.upper()}
        if set(costs) <= {"IOCTL"}:
            break
    return costs


@pytest.fixture
def filled(account, new_venv, real_wheels):
    venv = new_venv(account, on="ext4")
    venv.fusepkg("add", *real_wheels("pygments", "numpy", "rich", "markdown-it-py", "mdurl"))
    return venv


def test_names_attributes_and_contents_that_were_read_once_cost_nothing(account, filled):
    def walk():
        filled.account.run(["/usr/bin/python3", "-c", WALK, filled.site])

    assert new_requests(filled, walk), "the first walk must cost something, or nothing is counted"
    assert warm_requests(filled, walk) == {}


def test_the_second_import_costs_one_ioctl_a_file_at_most(filled):
    def load():
        filled.run_python("import numpy, rich.console, pygments.lexers.python")

    load()
    costs = warm_requests(filled, load)
    assert set(costs) <= {"IOCTL"}, costs


LOOK = """
import os, sys
for folder in sys.argv[2:]:
    folder = os.path.join(sys.argv[1], folder)
    os.stat(folder)
    for name in os.listdir(folder):
        os.stat(os.path.join(folder, name))
        with open(os.path.join(folder, name), 'rb', buffering=0) as file:
            file.read()
"""


def test_what_a_switch_did_not_change_costs_nothing_after_it(account, new_venv, make_wheel):
    venv = new_venv(account)
    wheels = [make_wheel(f"p{n}", files={f"p{n}/m.py": "", f"ns/p{n}.py": "", "both/a.py": ""}) for n in range(3)]
    venv.fusepkg("add", "-q", *wheels[:2])
    venv.fusepkg("add", "-q", make_wheel("other"))

    def look():
        account.run(["/usr/bin/python3", "-c", LOOK, venv.site, "p0", "ns", "both", "p0-1.0.dist-info"])

    look()
    # What was read has another time of access: it is asked for once more.
    assert set(warm_requests(venv, look)) <= {"IOCTL"}
    venv.fusepkg("remove", "-q", "-y", "other")
    costs = new_requests(venv, look)
    assert {op for op in costs if "FORGET" not in op.upper()} <= {"IOCTL"}, costs


def times_it_slept(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(dict(line.split(":\t") for line in file if ":\t" in line)["voluntary_ctxt_switches"])


def test_requests_wake_whoever_answers_them_alone(account, new_venv, make_wheel):
    """The keeper has the connection open: were it to wait there, it would run for each request."""
    venv = new_venv(account)
    venv.fusepkg("add", "-q", make_wheel("demo"))
    keeper = venv.fusepkg("status", "--json").json()[0]["keeper_pid"]
    account.run(["/usr/bin/python3", "-c", LOOK, venv.site, "demo-1.0.dist-info"])
    before = times_it_slept(keeper)
    costs = new_requests(venv, lambda: account.run(
        ["/usr/bin/python3", "-c", "import os, sys\nfor n in range(2000): os.path.exists(f'{sys.argv[1]}/absent{n}')", venv.site]))
    assert costs["LOOKUP"] >= 2000
    assert times_it_slept(keeper) - before < 200
