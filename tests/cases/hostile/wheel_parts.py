"""What the cases_*.py build wheels from.  A case is a function that returns the bytes of a wheel; its name is the
case's, its decorator the verdict.  By default it is demo-1.0, and its file name says so."""
import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from archive_bytes import Member, archive

FILE_NAME = "demo-1.0-py3-none-any.whl"
INFO = "demo-1.0.dist-info"
DATA = "demo-1.0.data"
METADATA = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
MODULE = "value = 'demo'\n" * 20

CASES = []


@dataclass
class Case:
    """WORDS: what the error (or, when it is accepted, the warning) has to say.  HAS, LACKS: paths below site-packages
    after it was added, HAS with their bytes."""
    name: str
    make: object
    accepted: bool
    words: str = ""
    file_name: str = FILE_NAME
    options: tuple = ()
    has: dict = None
    lacks: tuple = ()

    def write(self, folder):
        path = Path(folder) / self.file_name
        path.write_bytes(self.make())
        return path


def refuse(words, **more):
    def decorate(function):
        CASES.append(Case(function.__name__, function, False, words, **more))
        return function
    return decorate


def accept(words="", **more):
    def decorate(function):
        CASES.append(Case(function.__name__, function, True, words, **more))
        return function
    return decorate


def digest(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def record_of(members, info=INFO):
    """The correct RECORD of MEMBERS."""
    rows = [f"{m.name.decode(errors='replace')},{digest(m.data)},{len(m.data)}" for m in members
            if m.listed and not m.name.endswith(b"/")]
    return "\n".join([*rows, f"{info}/RECORD,,", ""])


def parts(*more, info=INFO, metadata=METADATA, wheel=WHEEL, record=None, module=None, without=()):
    """The members of a correct wheel and MORE.  RECORD: its text, or a function of the correct text."""
    members = [module or Member("demo.py", MODULE), *more]
    members += [Member(f"{info}/{name}", text) for name, text in (("METADATA", metadata), ("WHEEL", wheel))
                if name not in without]
    if "RECORD" not in without:
        text = record_of(members, info)
        if record is not None:
            text = record(text) if callable(record) else record
        members.append(Member(f"{info}/RECORD", text))
    return members


def wheel(*more, end=None, **options):
    return archive(parts(*more, **options), end)


def module(**options):
    """The module demo.py with other headers."""
    return Member("demo.py", MODULE, **options)


def replaced(data, old, new):
    assert data.count(old) == 1, (old, data.count(old))
    return data.replace(old, new)
