"""End records, the tiling of the file, ZIP64 (rules 1 and 2 of store/archive.h)."""
from archive_bytes import STORED, End, Member, archive, end_bytes, extra, zip64
from archive_bytes import SENTINEL16, SENTINEL32
from wheel_parts import MODULE, accept, module, parts, refuse, wheel


@accept(has={"demo.py": MODULE})
def plain():
    """If this one is refused, the others mean nothing."""
    return wheel()


@refuse("no ZIP archive")
def empty_file():
    return b""


@refuse("no ZIP archive")
def text_file():
    return b"<html>not found</html>\n" * 10


@refuse("cut short")
def cut_short():
    return wheel()[:-10]


@refuse("cut short")
def cut_in_the_middle():
    data = wheel()
    return data[:len(data) // 2]


@refuse("data after its end record")
def data_after_the_end():
    return wheel() + b"#!/bin/sh\n"


@refuse("data after its end record")
def padding_and_then_data():
    return wheel() + bytes(100) + b"x"


@accept("NUL bytes after its end", has={"demo.py": MODULE})
def padding_after_the_end():
    return wheel() + bytes(512)


@refuse("data after its end record")
def too_much_padding():
    return wheel() + bytes(200_000)


@accept(has={"demo.py": MODULE})
def archive_comment():
    return wheel(end=End(comment=b"built by a machine"))


@refuse("comment has control characters")
def archive_comment_with_control_characters():
    return wheel(end=End(comment=b"\1\2hidden"))


@refuse("cut short")
def comment_beyond_the_file():
    return wheel(end=End(comment_length=5))


@refuse("data after its end record")
def comment_longer_than_it_says():
    return wheel(end=End(comment=b"hello there", comment_length=5))


@refuse("two end records")
def end_record_in_the_comment():
    return wheel(end=End(comment=end_bytes(End(), 0, 0, 0)))


@refuse("two end records")
def whole_wheel_in_the_comment():
    """Readers that look for the last end record see this one, readers that look for the first one that."""
    inner = wheel(module=Member("demo.py", "value = 'other'\n"))
    return wheel(end=End(comment=inner))


@refuse("data before its first member")
def program_before_the_archive():
    return archive(parts(), prefix=b"#!/bin/sh\nexec evil\n")


@refuse("does not end where the end record begins")
def program_before_the_archive_and_offsets_unmoved():
    return archive(parts(), prefix=b"#!/bin/sh\nexec evil\n", shift=False)


@refuse("does not end where the end record begins")
def two_wheels_in_a_row():
    return wheel(module=Member("demo.py", "value = 'first'\n")) + wheel()


@refuse("data before its first member")
def two_wheels_in_a_row_with_offsets_moved():
    return archive(parts(), prefix=wheel(module=Member("demo.py", "value = 'first'\n")))


@refuse("bytes that belong to no member")
def gap_between_members():
    members = parts()
    members[0].after = b"hidden bytes"
    return archive(members)


@refuse("bytes that belong to no member")
def gap_before_the_directory():
    members = parts()
    members[-1].after = b"hidden bytes"
    return archive(members)


@refuse("bytes that belong to no member")
def member_that_the_directory_does_not_list():
    """Readers from front to back see it, others do not."""
    return wheel(Member("evil.py", "import os\n", listed=False))


@refuse("does not end where the end record begins")
def gap_behind_the_directory():
    return wheel(end=End(gap=b"hidden bytes"))


@refuse("overlaps what follows it")
def two_members_over_the_same_bytes():
    members = parts()
    offset = len(members[0].local_bytes())
    return archive([*members, Member("again.py", "", payload=b"", listed=True, central={"offset": offset})])


@refuse("overlaps what follows it")
def member_that_quotes_the_next_header():
    """The overlap of zip bombs: the first member's data are the next member, header and all."""
    inner = Member("inner.py", "x = 1\n" * 100)
    whole = inner.local_bytes()
    outer = Member("outer.py", whole, method=STORED, payload=b"")
    outer.local = {"stored": len(whole), "size": len(whole)}
    outer.central = {"stored": len(whole), "size": len(whole)}
    return archive([outer, inner, *parts()])


@refuse("overlaps what follows it")
def member_that_reaches_into_the_directory():
    members = parts()
    last = members[-1]
    last.method, last.payload = STORED, last.data
    last.local = last.central = {"stored": len(last.data) + 40, "size": len(last.data) + 40}
    return archive(members)


@refuse("more headers than the end record counts")
def directory_with_more_headers_than_counted():
    return wheel(end=End(count=3))


@refuse("fewer headers than the end record counts")
def directory_with_fewer_headers_than_counted():
    return wheel(end=End(count=5))


@refuse("does not end where the end record begins")
def directory_size_wrong():
    return wheel(end=End(size=46))


@refuse("does not end where the end record begins")
def directory_offset_wrong():
    return wheel(end=End(start=0))


@refuse("does not end where the end record begins")
def directory_offset_beyond_the_file():
    return wheel(end=End(start=0xFFFFFF00))


@refuse("several disks")
def several_disks():
    return wheel(end=End(disk=1))


@refuse("lies on another disk")
def member_on_another_disk():
    return wheel(module=module(central={"disk": 1}))


@refuse("beyond the end of its directory")
def directory_header_that_reaches_beyond_the_directory():
    data = bytearray(wheel())
    last = data.rindex(b"PK\1\2")
    data[last + 32:last + 34] = b"\x10\0"   # a comment that is not there
    return bytes(data)


@refuse("dist-info")
def no_members():
    return archive([])


@accept(has={"inner.zip": None, "demo.py": MODULE})
def archive_as_a_member():
    """Data are data, even where they look like an archive."""
    return wheel(Member("inner.zip", wheel(), method=STORED))


# ZIP64

def members_and_end(**more):
    return archive(parts(), End(zip64=True, **more))


@accept(has={"demo.py": MODULE})
def zip64_end_record():
    return members_and_end(count=SENTINEL16, size=SENTINEL32, start=SENTINEL32)


@accept(has={"demo.py": MODULE})
def zip64_end_record_that_agrees():
    return members_and_end()


@refuse("disagree")
def zip64_end_record_with_another_count():
    return members_and_end(zip64_fields={"count": 3, "here": 3})


@refuse("disagree")
def zip64_end_record_with_another_start():
    return members_and_end(zip64_fields={"start": 0}, size=SENTINEL32)


@refuse("several disks")
def zip64_end_record_with_two_counts():
    return members_and_end(zip64_fields={"here": 1}, count=SENTINEL16)


@refuse("more than 1048576 members")
def zip64_with_too_many_members():
    return members_and_end(zip64_fields={"count": (1 << 20) + 1, "here": (1 << 20) + 1}, count=SENTINEL16)


@refuse("too small for its number of members")
def zip64_with_more_members_than_fit():
    return members_and_end(zip64_fields={"count": 1000, "here": 1000}, count=SENTINEL16)


@refuse("does not end where the locator begins")
def zip64_locator_that_points_elsewhere():
    return members_and_end(locator_fields={"offset": 0})


@refuse("does not end where the locator begins")
def zip64_locator_beyond_the_file():
    return members_and_end(locator_fields={"offset": 1 << 63})


@refuse("something else than a ZIP64 end record")
def zip64_locator_without_a_record():
    return members_and_end(zip64_fields={"magic": b"PK\1\2"})


@refuse("something else than a ZIP64 end record")
def zip64_end_record_with_more_in_it():
    return members_and_end(zip64_fields={"body": 60})


@refuse("does not end where the locator begins")
def zip64_end_record_with_data_behind_it():
    return members_and_end(zip64_fields={"body": 60, "extra": bytes(16)})


@refuse("several disks")
def zip64_end_record_on_another_disk():
    return members_and_end(zip64_fields={"disk": 1})


@refuse("several disks")
def zip64_directory_on_another_disk():
    return members_and_end(zip64_fields={"start_disk": 1})


@refuse("newer ZIP version")
def zip64_end_record_of_a_newer_version():
    return members_and_end(zip64_fields={"needed": 64})


@refuse("several disks")
def zip64_locator_of_several_disks():
    return members_and_end(locator_fields={"disks": 2})


@accept(has={"demo.py": MODULE})
def zip64_sizes():
    m = module()
    sizes = zip64(len(m.data), len(m.payload))
    m.local = m.central = {"size": SENTINEL32, "stored": SENTINEL32, "extra": sizes}
    return wheel(module=m)


@accept(has={"demo.py": MODULE})
def zip64_offset():
    m = module()
    m.central = {"offset": SENTINEL32, "extra": zip64(0)}
    return wheel(module=m)


@accept(has={"demo.py": MODULE})
def zip64_field_with_all_values():
    """As Go's archive/zip writes it: three values, though the offset is no sentinel."""
    m = module()
    m.central = {"size": SENTINEL32, "stored": SENTINEL32, "extra": zip64(len(m.data), len(m.payload), 0)}
    return wheel(module=m)


@refuse("ZIP64 field of the wrong size")
def zip64_field_too_short():
    m = module()
    m.central = {"size": SENTINEL32, "stored": SENTINEL32, "extra": zip64(len(m.data))}
    return wheel(module=m)


@refuse("ZIP64 field of the wrong size")
def zip64_field_too_long():
    m = module()
    values = zip64(len(m.data), len(m.payload), 0)
    m.central = {"size": SENTINEL32, "stored": SENTINEL32,
                 "extra": extra(0x0001, values[4:] + bytes(4) + b"more")}
    return wheel(module=m)


@refuse("ZIP64 field that contradicts its header")
def zip64_field_with_other_values():
    m = module()
    m.central = {"extra": zip64(len(m.data) + 1, len(m.payload))}
    return wheel(module=m)


@refuse("ZIP64 field that contradicts its header")
def zip64_field_that_can_be_read_in_two_ways():
    """Only the offset is open: readers take the first value of the field for it, or the third."""
    m = module()
    m.central = {"offset": SENTINEL32, "extra": zip64(len(m.data), len(m.payload), 0)}
    return wheel(module=m)


@refuse("0x0001 twice")
def zip64_field_twice():
    m = module()
    m.central = {"size": SENTINEL32, "stored": SENTINEL32,
                 "extra": zip64(len(m.data), len(m.payload)) + zip64(1, 1)}
    return wheel(module=m)


@refuse("other sizes in its local header")
def zip64_local_field_with_other_sizes():
    m = module()
    m.local = {"size": SENTINEL32, "stored": SENTINEL32, "extra": zip64(len(m.data) + 1, len(m.payload))}
    return wheel(module=m)


@refuse("local ZIP64 field of the wrong size")
def zip64_local_field_with_one_size():
    m = module()
    m.local = {"size": SENTINEL32, "extra": zip64(len(m.data))}
    return wheel(module=m)


@refuse("claims to unpack to more")
def zip64_size_of_an_exabyte():
    m = module()
    sizes = {"size": SENTINEL32, "stored": len(m.payload)}
    m.central = {**sizes, "extra": zip64(1 << 60)}
    m.local = {"size": SENTINEL32, "stored": SENTINEL32, "extra": zip64(1 << 60, len(m.payload))}
    return wheel(module=m)
