"""Headers, descriptors, extra fields, names (rules 3 to 6 of store/archive.h)."""
import struct

from archive_bytes import DEFLATED, DESCRIPTOR, STORED, UTF8, Member, archive, extra, unicode_path, zip64
from wheel_parts import MODULE, accept, module, parts, refuse, wheel

LINK, DEVICE, FOLDER = 0o120777, 0o020644, 0o040755


# Local header and directory.

@refuse("another name in its local header")
def local_name_differs():
    return wheel(module=module(local={"name": b"evil.py"}))


@refuse("another name in its local header")
def local_name_is_longer():
    return wheel(module=module(local={"name": b"demo.py.evil"}))


@refuse("another compression method in its local header")
def local_method_differs():
    return wheel(module=module(local={"method": STORED}))


@refuse("other flags in its local header")
def local_flags_differ():
    return wheel(module=module(local={"flags": UTF8}))


@refuse("other flags in its local header")
def local_header_without_the_descriptor_flag():
    return wheel(module=module(central={"flags": DESCRIPTOR}))


@refuse("another checksum in its local header")
def local_checksum_differs():
    return wheel(module=module(local={"crc": 1}))


@refuse("other sizes in its local header")
def local_stored_size_differs():
    return wheel(module=module(local={"stored": 5}))


@refuse("other sizes in its local header")
def local_size_differs():
    return wheel(module=module(local={"size": 5}))


@refuse("other sizes in its local header")
def local_sizes_are_zero_without_a_descriptor():
    return wheel(module=module(local={"size": 0, "stored": 0}))


@refuse("no local header")
def local_header_missing():
    data = wheel()
    return b"PK\3\5" + data[4:]


@refuse("overlaps what follows it")
def local_extra_field_reaches_into_the_next_member():
    members = parts()
    data = bytearray(archive(members))
    struct.pack_into("<H", data, 28, 2000)
    return bytes(data)


@refuse("overlaps what follows it")
def local_extra_field_made_of_the_data():
    """The header takes the first nine bytes of the data for an extra field, and they pass for one."""
    field = extra(0x5455, b"\1\0\0\0\0")
    data = bytearray(wheel(module=Member("demo.py", field + b"x = 1\n", method=STORED)))
    struct.pack_into("<H", data, 28, len(field))
    return bytes(data)


@refuse("overlaps what follows it")
def local_header_with_less_room_than_its_name():
    return wheel(module=Member("d", b"", method=STORED, central={"name": b"d" * 200 + b".py"}))


# Data descriptors.

def with_magic(crc, stored, size):
    return struct.pack("<4sIII", b"PK\7\10", crc, stored, size)


def without_magic(crc, stored, size):
    return struct.pack("<III", crc, stored, size)


@accept(has={"demo.py": MODULE})
def descriptor():
    return wheel(module=module(descriptor=with_magic))


@accept(has={"demo.py": MODULE})
def descriptor_without_signature():
    return wheel(module=module(descriptor=without_magic))


@accept(has={"demo.py": MODULE})
def descriptor_of_eight_byte_sizes():
    m = module(descriptor=lambda crc, stored, size: struct.pack("<4sIQQ", b"PK\7\10", crc, stored, size))
    m.local = {"crc": 0, "size": 0xFFFFFFFF, "stored": 0xFFFFFFFF, "extra": zip64(0, 0)}
    return wheel(module=m)


@refuse("data descriptor that contradicts the directory")
def descriptor_with_another_checksum():
    return wheel(module=module(descriptor=lambda crc, stored, size: with_magic(crc ^ 1, stored, size)))


@refuse("data descriptor that contradicts the directory")
def descriptor_with_another_size():
    return wheel(module=module(descriptor=lambda crc, stored, size: with_magic(crc, stored, size + 1)))


@refuse("data descriptor that contradicts the directory")
def descriptor_with_another_stored_size():
    return wheel(module=module(descriptor=lambda crc, stored, size: with_magic(crc, stored + 1, size)))


@refuse("malformed data descriptor")
def descriptor_with_another_signature():
    return wheel(module=module(descriptor=lambda crc, stored, size: b"PK\7\7" + without_magic(crc, stored, size)))


@refuse("no data descriptor")
def descriptor_missing():
    return wheel(module=module(descriptor=lambda *values: b""))


@refuse("bytes of no member")
def descriptor_with_more_behind_it():
    return wheel(module=module(descriptor=lambda *values: with_magic(*values) + b"more"[:2]))


@refuse("other sizes in its local header")
def descriptor_after_sizes_that_differ():
    return wheel(module=module(descriptor=with_magic, local={"size": 7, "stored": 7}))


# Flags, versions, methods.

def flagged(bits):
    return wheel(module=module(flags=bits))


@refuse("is encrypted")
def encrypted():
    return flagged(1 << 0)


@refuse("is encrypted")
def strongly_encrypted():
    return flagged(1 << 6)


@refuse("patched data")
def patched_data():
    return flagged(1 << 5)


@refuse("masked headers")
def masked_headers():
    return flagged(1 << 13)


@refuse("newer ZIP version")
def version_needed_too_new():
    return wheel(module=module(central={"needed": 64}))


@refuse("newer ZIP version")
def version_needed_too_new_in_the_local_header():
    return wheel(module=module(local={"needed": 64}))


def method(number):
    return wheel(module=module(local={"method": number}, central={"method": number}))


@refuse("method 12")
def compressed_by_bzip2():
    return method(12)


@refuse("method 93")
def compressed_by_zstd():
    return method(93)


@refuse("method 99")
def encrypted_by_aes():
    return method(99)


@accept(has={"demo.py": MODULE})
def stored():
    return wheel(module=module(method=STORED))


@refuse("its two sizes differ")
def stored_with_two_sizes():
    sizes = {"size": len(MODULE) + 1}
    return wheel(module=module(method=STORED, local=sizes, central=sizes))


@accept(has={"demo.py": MODULE, "empty.py": ""})
def empty_members():
    return wheel(Member("empty.py"), Member("stored.py", method=STORED))


# Extra fields and comments.

def with_extra(data):
    return wheel(module=module(local={"extra": data}, central={"extra": data}))


@accept(has={"demo.py": MODULE})
def extra_field_of_another_kind():
    return with_extra(extra(0x5455, b"\1\0\0\0\0"))


@accept(has={"demo.py": MODULE})
def extra_field_with_three_bytes_left():
    return with_extra(extra(0x5455, b"\1\0\0\0\0") + b"\0\0\0")


@refuse("malformed extra field")
def extra_field_longer_than_its_room():
    return with_extra(struct.pack("<HH", 0x5455, 100) + b"short")


@refuse("malformed extra field")
def extra_field_malformed_in_the_local_header():
    return wheel(module=module(local={"extra": struct.pack("<HH", 0x5455, 100)}))


@accept(has={"demo.py": MODULE})
def unicode_path_that_repeats_the_name():
    return with_extra(unicode_path(b"demo.py", b"demo.py"))


@refuse("gives another name")
def unicode_path_with_another_name():
    return with_extra(unicode_path(b"../../evil.py", b"demo.py"))


@refuse("gives another name")
def unicode_path_with_another_name_in_the_local_header():
    return wheel(module=module(local={"extra": unicode_path(b"evil.py", b"demo.py")}))


@refuse("0x7075 twice")
def unicode_path_twice():
    return with_extra(unicode_path(b"demo.py", b"demo.py") * 2)


@accept(has={"demo.py": MODULE})
def member_comment():
    return wheel(module=module(central={"comment": b"a comment"}))


@refuse("comment with control characters")
def member_comment_with_control_characters():
    return wheel(module=module(central={"comment": b"\3\4"}))


# Names.

def named(name, **more):
    return wheel(Member(name, "evil = True\n", **more))


@refuse("'..' in its name")
def name_that_escapes():
    return named("../../evil.py")


@refuse("'..' in its name")
def name_that_escapes_from_within():
    return named("demo/../../../evil.py")


@refuse("'..' in its name")
def name_that_only_wanders():
    return named("demo/../evil.py")


@refuse("'..' in its name")
def name_that_is_the_parent():
    return named("..")


@refuse("absolute name")
def name_absolute():
    return named("/tmp/evil.py")


@refuse("backslash")
def name_with_backslash():
    return named("..\\..\\evil.py")


@refuse("U+0000")
def name_with_nul():
    return named("evil.py\0.txt")


@refuse("U+000A")
def name_with_line_feed():
    return named("evil\nfusepkg: all is well.py")


@refuse("U+001B")
def name_with_escape():
    return named("evil\x1b[2J.py")


@refuse("U+007F")
def name_with_delete():
    return named("evil\x7f.py")


@refuse("U+0085")
def name_with_c1_control():
    return named("evil\x85.py")


@refuse("U+202E")
def name_that_turns_the_direction():
    return named("evil\u202eyp.txt")


@refuse("U+200D")
def name_with_zero_width_joiner():
    return named("ev\u200dil.py")


@refuse("U+FEFF")
def name_with_byte_order_mark():
    return named("\ufeffevil.py")


@refuse("U+E000")
def name_with_private_character():
    return named("evil\ue000.py")


@refuse("U+FFFE")
def name_with_noncharacter():
    return named("evil\ufffe.py")


@refuse("not UTF-8")
def name_with_surrogate():
    return named(b"evil\xed\xa0\x80.py", flags=UTF8)


@refuse("not UTF-8")
def name_overlong():
    return named(b"evil\xc0\xaf.py", flags=UTF8)


@refuse("not UTF-8")
def name_in_latin_1_marked_as_utf_8():
    return named(b"caf\xe9.py", flags=UTF8)


@refuse("not marked as UTF-8")
def name_not_marked_as_utf_8():
    return named("café.py".encode())


@accept(has={"café.py": "evil = True\n"})
def name_in_utf_8():
    return named("café.py")


@refuse("longer than 255 bytes")
def name_part_too_long():
    return named("a" * 253 + ".py")


@accept(has={"a" * 252 + ".py": "evil = True\n"})
def name_part_as_long_as_may_be():
    return named("a" * 252 + ".py")


@refuse("longer than 1024 bytes")
def name_too_long():
    return named("/".join(["a" * 200] * 6) + ".py")


@refuse("too long")
def name_too_long_where_it_is_installed():
    return named("/".join(["a" * 204] * 5))


@refuse("has no name")
def name_empty():
    return named("")


@refuse("has no name")
def name_of_dots_and_slashes():
    return named("./.")


@accept(has={"pkg/a.py": "evil = True\n"})
def name_with_dot():
    return named("./pkg/./a.py")


@accept(has={"pkg/a.py": "evil = True\n"})
def name_with_two_slashes():
    return named("pkg//a.py")


@refuse("is there twice")
def name_twice():
    return wheel(Member("demo.py", "value = 'other'\n"))


@refuse("is there twice")
def name_twice_by_another_spelling():
    return wheel(Member("./demo.py", "value = 'other'\n"))


@refuse("a file and a folder")
def file_that_is_a_folder_too():
    return wheel(Member("demo.py/evil.py", "x = 1\n"))


@refuse("a file and a folder")
def file_that_is_an_empty_folder_too():
    return wheel(Member("demo.py/", mode=FOLDER, method=STORED))


@accept(has={"Demo.py": "x = 1\n", "demo.py": MODULE})
def names_that_differ_in_case():
    return wheel(Member("Demo.py", "x = 1\n"))


# Types.

@refuse("symbolic link")
def symlink():
    return wheel(Member("link.py", "/etc/passwd", mode=LINK))


@refuse("symbolic link")
def symlink_and_a_file_behind_it():
    return wheel(Member("link", "/tmp", mode=LINK), Member("link/evil.py", "x = 1\n"))


@refuse("neither a file nor a folder")
def device():
    return wheel(Member("device", mode=DEVICE))


@refuse("folder by its mode")
def folder_without_a_slash():
    return wheel(Member("folder", mode=FOLDER))


@refuse("folder that has data")
def folder_with_data():
    return wheel(Member("folder/", "hidden", mode=FOLDER))


@refuse("folder that has data")
def folder_with_stored_data_alone():
    return wheel(Member("folder/", b"", mode=FOLDER, method=DEFLATED, payload=b"hidden bytes"))


@accept(has={"pkg/a.py": "x = 1\n"}, lacks=("empty",))
def folders():
    return wheel(Member("pkg/", mode=FOLDER, method=STORED), Member("pkg/a.py", "x = 1\n"),
                 Member("empty/", mode=FOLDER))


@accept(has={"demo.py": MODULE})
def modes_of_all_kinds():
    return wheel(Member("setuid.py", "x = 1\n", mode=0o106755), Member("none.py", "x = 1\n", mode=0),
                 Member("bits.py", "x = 1\n", mode=0o755))
