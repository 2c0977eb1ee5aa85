"""Makes a STATE old: many jobs, lines or objects out of those that a real run left.

usage: grow.py jobs|audit|journal|objects PATH NUMBER
"""

import hashlib
import os
import random
import re
import sys
import time

LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def main():
    what, path, number = sys.argv[1:]
    os.umask(0)
    {"jobs": jobs, "audit": audit, "journal": journal, "objects": objects}[what](path, int(number))


def other_job(old, seconds):
    """An id of the same form, made so long ago."""
    when = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - seconds))
    if not re.fullmatch(r"\d{8}T\d{6}Z?-.*", old):
        sys.exit(f"grow.py: {old}: not an id as we know them")
    tail = re.sub(r"^\d{8}T\d{6}", "", old)
    letters = "".join(random.choices(LETTERS, k=13))
    return when + tail[:-13] + letters


def jobs(path, number):
    """Finished jobs: directories like one that is there, whose files are names of its files."""
    old = next(name for name in os.listdir(path) if os.path.exists(f"{path}/{name}/end"))
    for count in range(number):
        like(f"{path}/{old}", f"{path}/{other_job(old, 3600 + count * 60)}")


def like(old, new):
    status = os.stat(old)
    os.mkdir(new, status.st_mode & 0o777)
    os.chown(new, status.st_uid, status.st_gid)
    for entry in os.scandir(old):
        if entry.is_dir(follow_symlinks=False):
            like(entry.path, f"{new}/{entry.name}")
        else:
            os.link(entry.path, f"{new}/{entry.name}", follow_symlinks=False)


def audit(path, number):
    """Lines that go on from the last, its event again and again, and the head of the log."""
    with open(path, "rb") as log:
        last = log.read().splitlines()[-1].split(b" ")
    sequence, event, chain = int(last[0]), b" ".join(last[1:-1]), last[-1]
    with open(path, "ab") as log:
        for sequence in range(sequence + 1, sequence + 1 + number):
            line = b"%d %s" % (sequence, event)
            chain = hashlib.sha256(chain + b" " + line).hexdigest().encode()
            log.write(line + b" " + chain + b"\n")
    head = path.replace("audit.log", "audit.head")
    with open(head, "r+b") as file:
        text = file.read()
        file.seek(0)
        file.truncate()
        file.write(re.sub(rb"\d+:[0-9a-f]{64}", b"%d:%s" % (sequence, chain), text))


def journal(path, number):
    """The lines of a run again and again, of other ids, before those that are there."""
    with open(path, "r", encoding="ascii") as file:
        lines = file.read().splitlines(keepends=True)
    run = re.search(r" run=(\S+)", lines[-1]).group(1)
    block = "".join(line for line in lines if f" run={run} " in line)
    size = block.count("\n")
    with open(path, "w", encoding="ascii") as file:
        for count in range(number // size):
            file.write(block.replace(run, other_job(run, (number - count) * 60)))
        file.writelines(lines)


def objects(path, number):
    """Packages of a few bytes, of the pusher named bench."""
    for count in range(number):
        text = b"object %d\n" % count
        name = f"{path}/{hashlib.sha256(text).hexdigest()}"
        for file, mode, text in ((name, 0o444, text), (name + ".by", 0o640, b"bench\n")):
            out = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            os.write(out, text)
            os.close(out)


main()
