"""What pip writes into a plain venv, from the same wheels, is what a venv shows after `add`."""
import csv
import json

from support import tree
from support.make_wheel import executable


def everything(make_wheel):
    """Wheels that use all that a wheel can have."""
    return [
        make_wheel("every-thing", "1.5", {
            "every_thing/__init__.py": "def main(): print('hello')\nclass Group:\n    run = staticmethod(main)\n",
            "every_thing/with space.txt": "1", "every_thing/é.txt": "2", "every_thing/Upper.py": "",
            "every_thing/tool": executable("#!/bin/sh\n"),
            "{data}/scripts/plain": executable("#!python\nprint('plain')\n"),
            "{data}/scripts/crlf": executable("#!pythonw -E\r\nprint('crlf')\r\n"),
            "{data}/scripts/shell": executable("#!/bin/sh\necho shell\n"),
            "{data}/data/share/every/a.txt": "a", "{data}/data/share/every/big": b"x" * 200_000,
            "{data}/data/etc/every.cfg": "b",
            "{data}/headers/every.h": "#define EVERY\n", "{data}/headers/sub/thing.h": "",
            "{data}/purelib/pure_one.py": "", "{data}/platlib/plat_one.py": "",
        }, entry_points={"console_scripts": {"every": "every_thing:main", "grouped": "every_thing:Group.run"},
                         "gui_scripts": {"windowed": "every_thing:main"}}),
        make_wheel("second", "2.0", {"second/__init__.py": "", "{data}/data/share/every/b.txt": "b"}),
        make_wheel("third.Name", "3.0"),
    ]


def test_the_tree_is_pips(account, new_venv, make_wheel, plain_venv):
    wheels = everything(make_wheel)
    venv = new_venv(account)
    venv.fusepkg("add", *wheels)
    shown, written = tree.snapshot_venv_as(account, venv), tree.snapshot_venv(plain_venv(wheels))
    assert tree.differences(shown, written, ("fusepkg's", "pip's")) == []
    assert "share/every/b.txt" in written and "bin/grouped" in written


def test_record_is_pips_byte_for_byte(root, new_venv, make_wheel, tools):
    """The same venv, filled by the one and then by the other: even the hashes of the scripts are equal."""
    wheels = everything(make_wheel)
    records = []
    for fill in ("pip", "fusepkg"):
        venv = new_venv(root, name="same")
        if fill == "pip":
            root.pip("--python", venv.python, "install", "--no-deps", "--no-compile", *wheels)
        else:
            venv.fusepkg("add", *wheels)
        texts = {p.parent.name: p.read_bytes() for p in venv.site.glob("*.dist-info/RECORD")}
        records.append({name: [row for row in text.split(b"\r\n") if b"/INSTALLER," not in row]
                        for name, text in texts.items()})
        venv.close()
        root.run(["rm", "-r", venv.path])
    assert len(records[0]) == 3
    assert records[0] == records[1]


def test_every_row_of_record_is_true(root, venv, make_wheel):
    venv.fusepkg("add", *everything(make_wheel))
    from support.make_wheel import record_hash
    rows = 0
    for record in venv.site.glob("*.dist-info/RECORD"):
        for path, digest, size in csv.reader(record.open(newline="")):
            data = (venv.site / path).read_bytes()
            if digest:
                assert (digest, size) == (record_hash(data), str(len(data))), path
                rows += 1
            else:
                assert path.endswith("/RECORD")
    assert rows > 20


def test_installer_requested_and_direct_url(root, venv, make_wheel):
    by_path, by_name = make_wheel("by_path"), make_wheel("by_name")
    venv.fusepkg("add", by_path, "-f", by_name.parent, "by-name")
    for name in ("by_path", "by_name"):
        info = venv.site / f"{name}-1.0.dist-info"
        assert (info / "INSTALLER").read_text() == "fusepkg\n"
        assert (info / "REQUESTED").read_bytes() == b""
    assert not (venv.site / "by_name-1.0.dist-info/direct_url.json").exists()
    said = json.loads((venv.site / "by_path-1.0.dist-info/direct_url.json").read_text())
    assert said["url"] == f"file://{by_path}"


def test_pip_and_uv_agree_on_what_is_there(account, new_venv, make_wheel, plain_venv):
    wheels = everything(make_wheel)
    venv, plain = new_venv(account), plain_venv(wheels)
    venv.fusepkg("add", *wheels)

    def answers(runner, target):
        questions = (["list"], ["check"], ["freeze"], ["show", "-f", "every-thing"])
        said = [runner.pip("--python", target.python, *words).out for words in questions]
        said += [runner.uv("pip", *words, "--python", target.python).out for words in (["list"], ["freeze"])]
        return [text.replace(str(target), "VENV") for text in said]

    ours, pips = answers(account, venv), answers(plain.account, plain)
    ours = [text.replace("Installer: fusepkg", "Installer: pip") for text in ours]
    assert ours == pips


def test_uv_finds_it_satisfied(account, new_venv, make_wheel):
    wheel = make_wheel("demo", "1.2")
    venv = new_venv(account)
    venv.fusepkg("add", "-f", wheel.parent, "demo==1.2")
    said = account.uv("pip", "install", "--python", venv.python, "--no-index", "-f", wheel.parent, "demo==1.2").err
    assert "Installed" not in said and ("Checked 1 package" in said or "Audited 1 package" in said)
