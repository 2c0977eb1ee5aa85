"""Makes the zip archives that octo-pack has to refuse, in the working directory, each named
by what is wrong with it; prints a line for each: its name, a tab, the reason to expect."""

import struct
import zipfile
import zlib


def entry(name, data=b"x", host=3, mode=0o100644, flags=0, method=0, **other):
    """What stands in front of a member's bytes, these, and what the list says of it."""
    name = name if isinstance(name, bytes) else name.encode()
    body = data if method == 0 else zlib.compress(data)[2:-4]
    said = {
        "size": len(data),
        "packed": len(body),
        "crc": zlib.crc32(data),
        "extra": b"",
        "disk": 0,
        "listed": name,
        **other,
    }
    numbers = struct.pack(
        "<HHHHLLL", flags, method, 0, 33, said["crc"], said["packed"], said["size"]
    )
    local = b"PK\3\4" + struct.pack("<H", 20) + numbers + struct.pack("<HH", len(name), 0)
    return {**said, "local": local + name + body, "host": host, "mode": mode, "numbers": numbers}


def archive(entries, at=None, count=None, comment=b"", before=b"", list_at=None):
    """Entries one behind the other, with the list and the end."""
    body, listed = before, b""
    for one in entries:
        place = len(body) if at is None else at
        body += one["local"]
        listed += (
            b"PK\1\2"
            + struct.pack("<BBH", 20, one["host"], 20)
            + one["numbers"]
            + struct.pack("<HHH", len(one["listed"]), len(one["extra"]), 0)
            + struct.pack("<HHLL", one["disk"], 0, one["mode"] << 16, place)
            + one["listed"]
            + one["extra"]
        )
    number = len(entries) if count is None else count
    start = len(body) if list_at is None else list_at
    end = struct.pack("<HHHHLLH", 0, 0, number, number, len(listed), start, len(comment))
    return body + listed + b"PK\5\6" + end + comment


def extra(kind, data):
    return struct.pack("<HH", kind, len(data)) + data


def wide_end(at):
    """Says where the end of a large archive is."""
    return b"PK\6\7" + struct.pack("<LQL", 0, at, 1)


good = entry("a")
other_name = extra(0x7075, b"\1" + struct.pack("<L", zlib.crc32(b"a")) + b"../up")
wide = extra(1, struct.pack("<QQ", 1 << 40, 1))
link = entry("l", b"/tmp", mode=0o120777)
whole = archive([good, entry("b")])

BAD = {
    "absolute": (archive([entry("/tmp/a")]), "/tmp/a: an absolute name"),
    "drive": (archive([entry("C:\\a", host=0)]), "C:/a: an absolute name"),
    "up": (archive([good, entry("../a")]), "../a: leads out of the archive"),
    "up-within": (archive([entry("d/../../a")]), "leads out of the archive"),
    "up-dos": (archive([entry("..\\a", host=0)]), "../a: leads out of the archive"),
    "mixed": (archive([entry("a/b\\c", host=0)]), "slashes and backslashes in its name"),
    "empty-name": (archive([entry("")]), "an empty name"),
    "newline": (archive([entry("a\nb")]), "a control character in its name"),
    "nul": (archive([entry("a\0b")]), "a control character in its name"),
    "escape": (archive([entry("a\33[2J")]), "a control character in its name"),
    "dos-name": (archive([entry(b"\x81", host=0)]), "a name in a character set of DOS"),
    "long": (archive([entry("a" * 256)]), "a name of more than 255 bytes"),
    "deep": (archive([entry("a/" * 2000 + "a")]), "a path of more than 3000 bytes"),
    "twice": (archive([good, entry("a", b"y")]), "a: is there twice"),
    "twice-spelled": (archive([good, entry("./a", b"y")]), "./a: is there twice"),
    "below-file": (archive([good, entry("a/b")]), "a/b: is below a file or a link"),
    "above-file": (archive([entry("a/b"), good]), "a: is there twice"),
    "below-link": (archive([link, entry("l/x")]), "l/x: is below a file or a link"),
    "fifo": (archive([entry("p", mode=0o010644)]), "neither file, directory nor link"),
    "device": (archive([entry("p", mode=0o020644)]), "neither file, directory nor link"),
    "setuid": (archive([entry("a", mode=0o104755)]), "a setuid or setgid bit"),
    "file-as-directory": (archive([entry("a/", b"", mode=0o100644)]), "a directory by its name"),
    "directory-as-file": (archive([entry("a", b"", mode=0o040755)]), "a directory by its name"),
    "directory-with-bytes": (archive([entry("a/", host=0)]), "a directory with bytes"),
    "encrypted": (archive([entry("a", flags=1)]), "a: is encrypted"),
    "method": (archive([entry("a", method=97)]), "another method than deflate"),
    "two-names": (archive([{**good, "extra": other_name}]), "a: has two names"),
    "other-local-name": (archive([entry("a", listed=b"b")]), "unzip can't read it"),
    "link-out": (archive([link]), "l: a link to an absolute name"),
    "says-less": (
        archive([entry("a", b"x" * 9999, method=8, size=9)]),
        "there is more in it than it says",
    ),
    "says-more": (archive([entry("a", b"x" * 9, method=8, size=99)]), "it"),
    "wrong-sum": (archive([entry("a", crc=1)]), "unzip can't read it"),
    "says-huge": (archive([entry(f"{n}", size=0xFFFFFFFE) for n in range(4)]), "more than 10737418240 bytes"),
    "says-wide": (
        archive([{**entry("a", size=0xFFFFFFFF, packed=0xFFFFFFFF), "extra": wide}]),
        "more than 10737418240 bytes",
    ),
    "no-wide": (archive([entry("a", size=0xFFFFFFFF, extra=extra(1, b"123"))]), "is damaged"),
    "same-bytes": (
        archive([{**entry(f"{n}", b"x" * 999), "local": b""} for n in range(9)] + [good], at=0),
        "its place is damaged",
    ),
    "quoted": (
        archive([entry("a", b"x" * 999)] + [{**entry(f"{n}"), "local": b""} for n in range(40)], at=0),
        "members that share their bytes",
    ),
    "beyond": (archive([good], at=1 << 20), "its place is damaged"),
    "other-part": (archive([entry("a", disk=3)]), "in another part of the archive"),
    "no-members": (archive([]), "nothing in it"),
    "too-few": (archive([good], count=2), "its list is cut short or damaged"),
    "too-many": (archive([good, entry("b")], count=1), "its list is cut short or damaged"),
    "before": (b"#!/bin/sh\n" + whole, "something stands before it"),
    "behind": (whole + b"x", "something stands behind its end"),
    "two": (whole + whole, "something stands before it"),
    "two-ends": (archive([good], comment=whole[-22:]), "something stands before it"),
    "end-in-comment": (archive([good], comment=b"PK\5\6" + b"x" * 30), "behind its end"),
    "extra-beyond": (archive([entry("a", extra=b"\1\0\xff\xff")]), "its list is damaged"),
    "link-of-beos": (
        archive([entry("l", b"/tmp", host=16, mode=0o120777)]),
        "l: unzip makes something else of it than it lists",
    ),
    "list-damaged": (whole.replace(b"PK\1\2", b"PK\1\3", 1), "its list is damaged"),
    "wide-beyond": (whole[:-22] + wide_end(1 << 40) + whole[-22:], "its end is damaged"),
    "wide-nowhere": (whole[:-22] + wide_end(0) + whole[-22:], "its end is damaged"),
    "only-begin": (b"PK\3\4", "is cut short"),
}
for cut in range(4, len(whole), 9):
    BAD[f"cut-at-{cut}"] = (whole[:cut], "is cut short")

for name, (data, reason) in BAD.items():
    with open(f"{name}.zip", "wb") as file:
        file.write(data)
    print(f"{name}.zip\t{reason}")

# What the others are made like is taken.
with open("good.zip", "wb") as file:
    file.write(archive([good, entry("d/", b"", mode=0o040755), entry("d/b", method=8)]))
zipfile.ZipFile("good.zip").testzip()
