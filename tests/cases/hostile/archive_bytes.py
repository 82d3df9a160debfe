"""ZIP archives, field by field: every value that a header holds can be given, so that they can contradict each other.

Written with struct alone: zipfile writes correct archives only, and the reader under test must not be its own
oracle."""
import struct
import zlib
from dataclasses import dataclass, field

STORED, DEFLATED = 0, 8
DESCRIPTOR, UTF8 = 1 << 3, 1 << 11
REGULAR = 0o100644
SENTINEL16, SENTINEL32 = 0xFFFF, 0xFFFFFFFF


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def extra(tag, body):
    """One extra field."""
    return struct.pack("<HH", tag, len(body)) + body


def zip64(*values):
    return extra(0x0001, b"".join(struct.pack("<Q", v) for v in values))


def unicode_path(name, raw):
    return extra(0x7075, b"\1" + struct.pack("<I", zlib.crc32(raw)) + name)


@dataclass
class Member:
    """A member; LOCAL and CENTRAL override fields of the two headers: name, flags, method, crc, stored, size, needed,
    extra; CENTRAL also comment, mode, offset, disk.  PAYLOAD: what stands for the compressed data.  BEFORE, AFTER:
    bytes around it that belong to nobody.  DESCRIPTOR: a function of (crc, stored, size) that gives its bytes."""
    name: object
    data: bytes = b""
    method: int = DEFLATED
    mode: int = REGULAR
    flags: int = 0
    payload: bytes = None
    local: dict = field(default_factory=dict)
    central: dict = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""
    descriptor: object = None
    listed: bool = True      # in the directory

    def __post_init__(self):
        if isinstance(self.name, str):
            if not self.name.isascii():
                self.flags |= UTF8
            self.name = self.name.encode()
        if isinstance(self.data, str):
            self.data = self.data.encode()
        if self.payload is None:
            self.payload = deflate(self.data) if self.method == DEFLATED else self.data
        if self.descriptor:
            self.flags |= DESCRIPTOR

    def fields(self, overrides):
        values = dict(name=self.name, flags=self.flags, method=self.method, crc=zlib.crc32(self.data),
                      stored=len(self.payload), size=len(self.data), needed=20, extra=b"", comment=b"", mode=self.mode,
                      disk=0)
        values.update(overrides)
        return values

    def local_bytes(self):
        f = self.fields(self.local)
        crc, stored, size = f["crc"], f["stored"], f["size"]
        if self.descriptor and not self.local.keys() & {"crc", "stored", "size"}:
            crc = stored = size = 0
        header = struct.pack("<4sHHHIIIIHH", b"PK\3\4", f["needed"], f["flags"], f["method"], 0x58221000, crc, stored,
                             size, len(f["name"]), len(f["extra"]))
        tail = self.descriptor(zlib.crc32(self.data), len(self.payload), len(self.data)) if self.descriptor else b""
        return header + f["name"] + f["extra"] + self.payload + tail

    def central_bytes(self, offset):
        f = self.fields(self.central)
        return struct.pack("<4sHHHHIIIIHHHHHII", b"PK\1\2", 3 << 8 | 20, f["needed"], f["flags"], f["method"],
                           0x58221000, f["crc"], f["stored"], f["size"], len(f["name"]), len(f["extra"]),
                           len(f["comment"]), f["disk"], 0, f["mode"] << 16 & SENTINEL32,
                           f.get("offset", offset)) + f["name"] + f["extra"] + f["comment"]


@dataclass
class End:
    """The end records; None: the true value."""
    count: int = None
    size: int = None
    start: int = None
    disk: int = 0
    comment: bytes = b""
    comment_length: int = None
    gap: bytes = b""          # between the directory and the end records
    zip64: bool = False
    zip64_fields: dict = field(default_factory=dict)
    locator_fields: dict = field(default_factory=dict)


def end_bytes(end, count, start, size):
    out = end.gap
    if end.zip64:
        f = dict(magic=b"PK\6\6", body=44, needed=45, disk=0, start_disk=0, here=count, count=count, size=size,
                 start=start, extra=b"")
        f.update(end.zip64_fields)
        at = dict(disk=0, offset=start + size + len(end.gap), disks=1)
        at.update(end.locator_fields)
        out += struct.pack("<4sQHHIIQQQQ", f["magic"], f["body"], 45, f["needed"], f["disk"], f["start_disk"],
                           f["here"], f["count"], f["size"], f["start"]) + f["extra"]
        out += struct.pack("<4sIQI", b"PK\6\7", at["disk"], at["offset"], at["disks"])
    count = count if end.count is None else end.count
    return out + struct.pack("<4sHHHHIIH", b"PK\5\6", end.disk, end.disk, count, count,
                             size if end.size is None else end.size, start if end.start is None else end.start,
                             len(end.comment) if end.comment_length is None else end.comment_length) + end.comment


def archive(members, end=None, prefix=b"", shift=True):
    """The bytes of an archive.  PREFIX stands before it, and the offsets know of it when SHIFT."""
    out = bytearray(prefix)
    base = 0 if shift else len(prefix)
    directory = bytearray()
    listed = 0
    for member in members:
        out += member.before
        if member.listed:
            directory += member.central_bytes(len(out) - base)
            listed += 1
        out += member.local_bytes() + member.after
    start = len(out) - base
    return bytes(out + directory + end_bytes(end or End(), listed, start, len(directory)))
