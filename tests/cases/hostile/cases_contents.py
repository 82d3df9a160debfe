"""What comes out when members are unpacked (rule 7 of store/archive.h), and how much."""
import random

from archive_bytes import STORED, Member, deflate
from wheel_parts import MODULE, accept, module, refuse, wheel

MIB = 1 << 20


@refuse("does not match its checksum")
def checksum_wrong():
    return wheel(module=module(local={"crc": 1}, central={"crc": 1}))


@refuse("does not match its checksum")
def checksum_wrong_of_a_stored_member():
    return wheel(module=module(method=STORED, local={"crc": 1}, central={"crc": 1}))


@refuse("more bytes than the directory says")
def unpacks_to_more():
    sizes = {"size": len(MODULE) - 1}
    return wheel(module=module(local=sizes, central=sizes))


@refuse("more bytes than the directory says")
def unpacks_to_much_more():
    sizes = {"size": 100}
    return wheel(Member("big.txt", bytes(MIB), local=sizes, central=sizes))


@refuse("more bytes than the directory says")
def unpacks_to_something_where_nothing_is_announced():
    sizes = {"size": 0, "crc": 0}
    return wheel(module=module(local=sizes, central=sizes))


@refuse("fewer bytes than the directory says")
def unpacks_to_less():
    sizes = {"size": len(MODULE) + 1}
    return wheel(module=module(local=sizes, central=sizes))


@refuse("cut short")
def compressed_data_cut_short():
    return wheel(module=module(payload=deflate(MODULE.encode())[:-3]))


@refuse("cut short")
def compressed_data_missing():
    return wheel(module=module(payload=b"", local={"size": 0, "crc": 0}, central={"size": 0, "crc": 0}))


@refuse("bytes after its compressed data")
def bytes_after_the_compressed_data():
    return wheel(module=module(payload=deflate(MODULE.encode()) + b"hidden"))


@refuse("bytes after its compressed data")
def one_byte_after_the_compressed_data():
    return wheel(module=module(payload=deflate(MODULE.encode()) + b"\0"))


@refuse("bytes after its compressed data")
def second_stream_after_the_compressed_data():
    return wheel(module=module(payload=deflate(MODULE.encode()) * 2))


@refuse("broken compressed data")
def compressed_data_of_a_reserved_kind():
    return wheel(module=module(payload=b"\7" + bytes(50)))


@refuse("broken compressed data")
def compressed_data_that_look_back_too_far():
    """A fixed block with a match before there is anything to copy."""
    return wheel(module=module(payload=bytes([0b011, 0b00000010, 0, 0])))


@refuse("member 'demo.py'")
def compressed_data_random():
    return wheel(module=module(payload=random.Random(7).randbytes(200)))


@refuse("more than 50 times its own size")
def bomb():
    return wheel(Member("zeros.bin", bytes(70 * MIB)))


@refuse("more than 50 times its own size")
def bomb_of_many_members():
    return wheel(*(Member(f"zeros{i}.bin", bytes(7 * MIB)) for i in range(10)))


@refuse("more than the limit of 1000000", options=("--max-unpacked", "1000000"))
def more_than_the_user_allows():
    return wheel(Member("zeros.bin", bytes(MIB)))


@refuse("claims to unpack to more")
def size_that_deflate_cannot_reach():
    sizes = {"size": 60 * MIB}
    return wheel(module=module(local=sizes, central=sizes))


@accept(has={"demo.py": MODULE, "zeros.bin": bytes(10 * MIB)})
def much_that_compresses_well():
    """Below 64 MiB a ratio says nothing: real wheels have members of 200 times their size."""
    return wheel(Member("zeros.bin", bytes(10 * MIB)))


@accept(has={"random.bin": random.Random(1).randbytes(MIB)})
def much_that_does_not_compress():
    return wheel(Member("random.bin", random.Random(1).randbytes(MIB)))
