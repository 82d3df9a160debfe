"""verify: a mounted venv against what was installed."""
from support.seen import shell


def kinds(result):
    return {(line.split(" ", 1)[0], line.split(" ", 1)[1].split(":")[0]) for line in result.out.splitlines()}


def test_each_kind_of_difference(account, new_venv, make_wheel):
    venv = new_venv(account)
    files = {"demo/__init__.py": "", "demo/a.py": "a = 1\n", "demo/b.py": "b\n", "demo/c.py": "c\n", "shared/x.py": "1"}
    venv.fusepkg("add", make_wheel("demo", files=files))
    assert venv.fusepkg("verify").out == ""
    assert venv.fusepkg("verify", "--json").json() == {"ok": True, "differences": []}
    venv.fusepkg("add", make_wheel("late", files={"shared/x.py": "2"}))
    shell(venv, "echo 2 >> a.py; rm b.py; mv c.py d.py; touch -d 2001-01-01 __init__.py; mkdir __pycache__;"
                 "echo x > __pycache__/a.cpython-311.pyc", "demo")
    wanted = {("modified", "demo/a.py"), ("missing", "demo/b.py"), ("missing", "demo/c.py"), ("extra", "demo/d.py"),
              ("conflicting", "shared/x.py")}
    assert kinds(venv.fusepkg("verify", status=1)) == wanted
    venv.fusepkg("umount")
    assert kinds(venv.fusepkg("verify", status=1)) == wanted
    found = venv.fusepkg("verify", "--json", status=1).json()
    assert not found["ok"] and {(d["kind"], d["path"]) for d in found["differences"]} == wanted
    assert kinds(venv.fusepkg("verify", "late", status=0)) == set()
    assert kinds(venv.fusepkg("verify", "demo/a.py", status=1)) == {("modified", "demo/a.py")}


def test_what_pip_did_as_a_whole_is_no_difference(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"), make_wheel("gone"))
    account.pip("--python", venv.python, "install", "--quiet", "--no-deps", make_wheel("more"))
    account.pip("--python", venv.python, "uninstall", "--quiet", "-y", "gone")
    said = venv.fusepkg("verify")
    assert (said.out, said.err) == ("", "1 package: all as installed; 1 brought by pip or uv\n")


def test_deep_reads_every_byte(venv, store, make_wheel):
    venv.fusepkg("add", make_wheel("demo", files={"demo.py": "x" * 5000, "big.bin": bytes(range(256)) * 8000}))
    assert venv.fusepkg("verify", "--deep").out == ""
    large = max((p for p in store.rglob("*") if p.is_file() and p.stat().st_size > 1_000_000), key=lambda p: p.stat().st_size)
    large.chmod(0o644)
    with open(large, "r+b") as file:
        file.seek(100_000)
        file.write(b"damaged")
    assert venv.fusepkg("verify").out == ""
    assert kinds(venv.fusepkg("verify", "--deep", status=1)) == {("damaged", "big.bin")}


def test_what_was_written_again_as_it_was_is_no_difference(demo):
    """By sed that finds nothing, which writes another file, and in place; another mode is one."""
    demo.account.run(["sh", "-c", 'cd "$1" && sed -i s/nothing/x/ demo/a.py && cat demo/big.bin > ../copy && cat ../copy > demo/big.bin', "sh", demo.site])
    assert demo.fusepkg("verify", "--json").json() == {"ok": True, "differences": []}
    assert demo.fusepkg("diff", "--exit-code").out == "" and demo.fusepkg("diff", "--json").json()["files"] == []
    demo.account.run(["chmod", "700", demo.site / "demo/a.py"])
    assert demo.fusepkg("diff", "--name-only").out == "demo/a.py\n"
    demo.account.run(["sh", "-c", 'printf X | dd of="$1" conv=notrunc bs=1 seek=700000 2>&1', "sh", demo.site / "demo/big.bin"])
    found = demo.fusepkg("verify", "--json", status=1).json()["differences"]
    assert [(d["kind"], d["path"]) for d in found] == [("modified", "demo/a.py"), ("modified", "demo/big.bin")]


def test_a_name_cannot_break_its_line(account, new_venv, make_wheel):
    """Nor speak to the terminal: whatever says it quotes it as git does; JSON has the name itself."""
    name, said = "demo/two\nlines\x1b[2J\u202e", '"demo/two\\nlines\\033[2J\\342\\200\\256"'
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "", "demo/a.py": "a = 1\n"}))
    write = "import sys; open(sys.argv[1], 'w').write('x')"
    account.run(["/usr/bin/python3", "-c", write, venv.site / name])
    account.run(["ln", venv.site / "demo/a.py", venv.site / (name + "2")])
    assert venv.fusepkg("diff", "--name-only").out.splitlines() == [said, said[:-1] + '2"']
    assert venv.fusepkg("verify", status=1).out.splitlines() == [f"extra {said}", f'extra {said[:-1]}2": demo/a.py']
    found = venv.fusepkg("verify", "--json", status=1).json()["differences"]
    assert [d["path"] for d in found] == [name, name + "2"]
    account.run(["mv", venv.site / name, venv.site / "demo/plain"])
    venv.fusepkg("revert", "demo/plain")
    account.run(["/usr/bin/python3", "-c", write, venv.site / name])
    reverted = venv.fusepkg("revert", venv.site / name)
    kept = '".fusepkg/kept/1/' + said[1:]
    assert reverted.out == said + "\n" and f"  {kept}\n" in reverted.err
    assert f"kept: {kept}\n" in venv.fusepkg("diff").err
    assert f"  kept: {kept}\n" in venv.fusepkg("status").out
    for told in (venv.fusepkg("diff", "--json").json()["kept"], venv.fusepkg("status", "--json").json()[0]["kept"]):
        assert ".fusepkg/kept/1/" + name in told  # as revert has it
    account.run(["/usr/bin/python3", "-c", write, venv.site / name])
    assert venv.fusepkg("revert", "--json", venv.site / name).json()["reverted"] == [name]


def test_the_bare_folder_conflicts_as_well(account, new_venv, make_wheel):
    venv = new_venv(account)
    shell(venv, "echo old > demo.py")
    venv.fusepkg("add", make_wheel("demo"))
    wanted = ["conflicting demo.py: site-packages, demo"]
    assert venv.fusepkg("verify", status=1).out.splitlines() == wanted
    venv.fusepkg("umount")
    assert venv.fusepkg("verify", status=1).out.splitlines() == wanted


def test_a_new_folder_is_extra_when_nothing_in_it_is(account, new_venv, make_wheel):
    """Named as diff names it; one of bytecode is not."""
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo", files={"demo/__init__.py": "", "demo/a.py": "a = 1\n"}))
    shell(venv, "mkdir demo/__pycache__")
    assert venv.fusepkg("verify").out == "" and venv.fusepkg("diff").out == ""
    shell(venv, "mkdir -p demo/mk0 new/deep; mkdir other; echo x > other/x")
    wanted = ["demo/mk0", "new/deep", "other/x"]
    for _ in range(2):
        assert venv.fusepkg("diff", "--name-only").out.splitlines() == wanted
        assert venv.fusepkg("verify", status=1).out.splitlines() == [f"extra {path}" for path in wanted]
        venv.fusepkg("umount")


SPOIL = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as edits:
    edits.execute("UPDATE node SET links = 3 WHERE id >= 1 << 62")
"""


def test_what_has_no_path_is_a_sentence(account, new_venv, make_wheel):
    venv = new_venv(account)
    venv.fusepkg("add", make_wheel("demo"))
    shell(venv, "echo x > demo_x")
    venv.fusepkg("umount")
    account.run([account.tools / "bin/python", "-c", SPOIL, venv.state / "edits.db"])
    found = venv.fusepkg("verify", "--json", status=1).json()["differences"]
    bad = [d["detail"] for d in found if d["kind"] == "bad" and d["path"] == ""]
    assert bad and venv.fusepkg("verify", status=1).out.splitlines() == [*(f"bad: {sentence}" for sentence in bad), "extra demo_x"]
