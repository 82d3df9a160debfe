"""dist-info, METADATA, WHEEL, RECORD, and the file name (store/wheel.h, store/record.h)."""
import base64
import hashlib

from archive_bytes import Member, archive
from wheel_parts import CASES, INFO, METADATA, MODULE, WHEEL, Case, accept, refuse, replaced, wheel


# dist-info

@refuse("no dist-info")
def no_dist_info():
    return archive([Member("demo.py", MODULE)])


@refuse("two dist-info")
def two_dist_infos():
    return wheel(Member("evil-2.0.dist-info/METADATA", METADATA))


@refuse("two dist-info")
def two_dist_infos_one_in_capitals():
    return wheel(Member("EVIL-2.0.DIST-INFO/METADATA", METADATA))


@accept(has={"demo.py": MODULE})
def dist_info_of_a_vendored_package():
    return wheel(Member("demo_vendor/other-2.0.dist-info/METADATA", METADATA))


@refuse("another distribution or version")
def dist_info_of_another_distribution():
    return wheel(info="other-1.0.dist-info")


@refuse("another distribution or version")
def dist_info_of_another_version():
    return wheel(info="demo-2.0.dist-info")


@accept(has={"demo.py": MODULE}, file_name="Demo-1.0.0-py3-none-any.whl")
def file_name_by_another_spelling():
    return wheel()


@accept(has={"demo.py": MODULE}, file_name="demo-1.0+local.1-py3-none-any.whl")
def file_name_with_a_local_version():
    return wheel()


@refuse("another distribution or version", file_name="demo-1.1-py3-none-any.whl")
def file_name_of_another_version():
    return wheel()


@refuse("another distribution or version", file_name="numpy-1.0-py3-none-any.whl")
def file_name_of_another_distribution():
    return wheel()


@refuse("not the file name of a wheel", file_name="demo-1.0.whl")
def file_name_without_tags():
    return wheel()


@refuse("build number", file_name="demo-1.0-x86-py3-none-any.whl")
def file_name_with_a_bad_build_number():
    return wheel()


@refuse("not the file name of a wheel", file_name="demo__x-1.0-py3-none-any.whl")
def file_name_with_two_underscores():
    return wheel()


@refuse("no demo-1.0.dist-info/METADATA")
def metadata_missing():
    return wheel(without=("METADATA",))


@refuse("no demo-1.0.dist-info/WHEEL")
def wheel_file_missing():
    return wheel(without=("WHEEL",))


@refuse("no demo-1.0.dist-info/RECORD")
def record_missing():
    return wheel(without=("RECORD",))


# METADATA

@refuse("METADATA is that of 'other'")
def metadata_of_another_distribution():
    return wheel(metadata=METADATA.replace("Name: demo", "Name: other"))


@refuse("METADATA gives version 2.0")
def metadata_of_another_version():
    return wheel(metadata=METADATA.replace("Version: 1.0", "Version: 2.0"))


@refuse("two fields Name")
def metadata_with_two_names():
    return wheel(metadata=METADATA + "Name: evil\n")


@refuse("no Name")
def metadata_without_a_name():
    return wheel(metadata="Metadata-Version: 2.1\nVersion: 1.0\n")


@refuse("no Version")
def metadata_with_the_version_in_the_description():
    return wheel(metadata="Metadata-Version: 2.1\nName: demo\n\nVersion: 1.0\n")


@refuse("malformed Name")
def metadata_with_a_malformed_name():
    return wheel(metadata=METADATA.replace("Name: demo", "Name: ../demo"))


@refuse("malformed Version")
def metadata_with_a_malformed_version():
    return wheel(metadata=METADATA.replace("Version: 1.0\n", "Version: 1.0/../x\n"))


@refuse("NUL")
def metadata_with_nul():
    return wheel(metadata=METADATA + "Summary: a\0b\n")


@accept(has={"demo.py": MODULE})
def metadata_in_another_encoding():
    return wheel(metadata=METADATA.encode() + b"Author: Ren\xe9\n")


# WHEEL

@refuse("Wheel-Version is 2.0")
def wheel_version_2():
    return wheel(wheel=WHEEL.replace("Wheel-Version: 1.0", "Wheel-Version: 2.0"))


@refuse("below 1.0")
def wheel_version_0():
    return wheel(wheel=WHEEL.replace("Wheel-Version: 1.0", "Wheel-Version: 0.1"))


@accept("Wheel-Version is 1.9", has={"demo.py": MODULE})
def wheel_version_1_9():
    return wheel(wheel=WHEEL.replace("Wheel-Version: 1.0", "Wheel-Version: 1.9"))


@refuse("no Wheel-Version")
def wheel_version_missing():
    return wheel(wheel="Generator: tests\n")


@refuse("malformed Wheel-Version")
def wheel_version_garbage():
    return wheel(wheel=WHEEL.replace("Wheel-Version: 1.0", "Wheel-Version: one"))


@accept(has={"demo.py": MODULE})
def wheel_version_twice():
    """The first counts, as for all readers of mail headers."""
    return wheel(wheel=WHEEL + "Wheel-Version: 2.0\n")


# RECORD

def lies(words):
    """A wheel whose RECORD disagrees with its files: accepted with a warning, refused by --strict."""
    def decorate(function):
        CASES.append(Case(function.__name__, function, True, words, has={"demo.py": MODULE}))
        CASES.append(Case(function.__name__ + "_and_strict", function, False, words, options=("--strict",)))
        return function
    return decorate


def module_row():
    data = MODULE.encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"demo.py,sha256={digest},{len(data)}\n"


@lies("another hash for")
def record_with_a_wrong_hash():
    return wheel(record=lambda text: replaced(text, module_row(), f"demo.py,sha256={'A' * 43},{len(MODULE)}\n"))


@lies("another size for")
def record_with_a_wrong_size():
    return wheel(record=lambda text: replaced(text, f",{len(MODULE)}\n", ",1\n"))


@lies("does not list a file")
def record_without_a_row():
    return wheel(record=lambda text: replaced(text, module_row(), ""))


@lies("lists a file that the archive lacks")
def record_with_a_row_too_many():
    return wheel(record=lambda text: text + "absent.py,,\n")


@lies("lists a file that the archive lacks")
def record_that_escapes():
    return wheel(record=lambda text: text + "../../../../etc/passwd,,\n")


@lies("no SHA-256")
def record_with_md5():
    return wheel(record=lambda text: replaced(text, module_row(), "demo.py,md5=rL0Y20zC-Fzt72VPzMSk2A,240\n"))


@lies("no SHA-256")
def record_without_hashes():
    return wheel(record=lambda text: replaced(text, module_row(), "demo.py,,\n"))


@lies("lists a file twice")
def record_with_two_rows_for_one_file():
    return wheel(record=lambda text: text + f"demo.py,sha256={'A' * 43},{len(MODULE)}\n")


@lies("lists a file that the archive lacks")
def record_with_control_characters():
    return wheel(record=lambda text: text + '"evil\x1b[2J\nfusepkg: fine",,\n')


@refuse("more than three columns")
def record_with_four_columns():
    return wheel(record=lambda text: text + "demo.py,,,evil\n")


@refuse("not UTF-8")
def record_in_latin_1():
    return wheel(record=lambda text: text.encode() + b"caf\xe9.py,,\n")


@refuse("NUL bytes")
def record_with_nul():
    return wheel(record=lambda text: text + "a\0b,,\n")


@refuse("never closed")
def record_with_an_open_quotation_mark():
    return wheel(record=lambda text: text + '"demo.py,,\n')


@refuse("after a closing quotation mark")
def record_with_text_after_a_quotation_mark():
    return wheel(record=lambda text: text + '"demo.py"evil,,\n')


@refuse("broken SHA-256")
def record_with_a_broken_hash():
    return wheel(record=lambda text: replaced(text, module_row(), "demo.py,sha256=short,240\n"))


@refuse("a size that is no number")
def record_with_a_size_that_is_no_number():
    return wheel(record=lambda text: replaced(text, f",{len(MODULE)}\n", ",-1\n"))


@accept(has={"demo.py": MODULE})
def record_with_other_line_ends():
    return wheel(record=lambda text: text.replace("\n", "\r\n"))


@accept(has={"demo.py": MODULE})
def record_with_absolute_paths():
    return wheel(record=lambda text: text.replace("demo.py,", "/demo.py,"))


@accept(has={"demo.py": MODULE, 'odd, "quoted".py': "x = 1\n"})
def record_with_quoted_paths():
    odd = Member('odd, "quoted".py', "x = 1\n")
    return wheel(odd, record=lambda text: text.replace('odd, "quoted".py', '"odd, ""quoted"".py"'))


@accept(has={"demo.py": MODULE})
def record_with_signatures():
    signature = Member(f"{INFO}/RECORD.jws", "{}")
    return wheel(signature, record=lambda text: "".join(r for r in text.splitlines(True) if "RECORD.jws" not in r))
