"""Small correct wheels, written by zipfile: an oracle that shares no code with fusepkg."""
import base64
import hashlib
import stat
import zipfile
from pathlib import Path


def record_hash(data):
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


class Member:
    """Bytes of a member with the mode that its archive entry gets."""

    def __init__(self, data, mode=0o644):
        self.data = data.encode() if isinstance(data, str) else data
        self.mode = mode


def executable(data):
    return Member(data, 0o755)


def make_wheel(folder, name, version="1.0", files=None, *, tag="py3-none-any", purelib=True, entry_points=None,
               requires=(), metadata="", dist_info=None, record=None, extra_dist_info=None, compress=zipfile.ZIP_DEFLATED,
               build=None):
    """Writes FOLDER/<name>-<version>-<tag>.whl and returns its path.

    FILES: {path in the archive: str, bytes or Member}; without it, one module that knows its version.  "{data}" in a
    path stands for "<name>-<version>.data".  ENTRY_POINTS: {group: {name: "module:function"}}.  METADATA: more header
    lines.  DIST_INFO: another folder name.  RECORD: a function that gets the correct rows, [(path, hash, size)], and
    returns those to write.  EXTRA_DIST_INFO: {file name: bytes}."""
    escaped = name.replace("-", "_").replace(".", "_")
    stem = f"{escaped}-{version}"
    info = dist_info or f"{stem}.dist-info"
    if files is None:
        files = {f"{escaped}.py": f"version = {version!r}\n"}
    members = {}
    for path, data in files.items():
        member = data if isinstance(data, Member) else Member(data)
        members[path.replace("{data}", f"{stem}.data")] = member
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {r}" for r in requires]
    members[f"{info}/METADATA"] = Member("\n".join(lines) + "\n" + metadata)
    members[f"{info}/WHEEL"] = Member(
        f"Wheel-Version: 1.0\nGenerator: fusepkg-tests\nRoot-Is-Purelib: {str(purelib).lower()}\n"
        + "".join(f"Tag: {t}\n" for t in expand_tag(tag)))
    if entry_points:
        text = ""
        for group, points in entry_points.items():
            text += f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) + "\n"
        members[f"{info}/entry_points.txt"] = Member(text)
    for file_name, data in (extra_dist_info or {}).items():
        members[f"{info}/{file_name}"] = Member(data)

    rows = [(path, record_hash(m.data), str(len(m.data))) for path, m in members.items()]
    rows.append((f"{info}/RECORD", "", ""))
    if record:
        rows = record(rows)
    members[f"{info}/RECORD"] = Member("".join(",".join(row) + "\n" for row in rows))

    parts = [stem, build, tag] if build else [stem, tag]
    wheel = Path(folder) / ("-".join(parts) + ".whl")
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w", compress) as archive:
        for path, member in members.items():
            entry = zipfile.ZipInfo(path, (2024, 1, 2, 3, 4, 6))
            entry.compress_type = compress
            entry.external_attr = (stat.S_IFREG | member.mode) << 16
            entry.create_system = 3
            archive.writestr(entry, member.data)
    return wheel


def expand_tag(tag):
    """py2.py3-none-any: the two tags that it stands for."""
    pythons, abis, platforms = tag.split("-")
    return [f"{p}-{a}-{f}" for p in pythons.split(".") for a in abis.split(".") for f in platforms.split(".")]
