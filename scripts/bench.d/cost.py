"""cost.py COMMAND WORD…: runs it, and prints microseconds of wall time, microseconds of
processor time with what it waited for, and KiB of the most memory of it or of one of these.

A process counts the memory of whoever started it as its own until it is another program.
So a shell starts it, which is small, and leaves it to us.
"""
import ctypes
import os
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def main():
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        sys.exit("cost.py: no children of children on this kernel")
    start = time.monotonic()
    shell = os.posix_spawn(
        "/bin/sh", ["sh", "-c", '"$@" >/dev/null &', "sh", *sys.argv[1:]], os.environ
    )
    while True:
        process, status, usage = os.wait4(-1, 0)
        if process != shell:
            break
        if status != 0:
            sys.exit(f"cost.py: the shell ended with {status}")
    wall = time.monotonic() - start
    if status != 0:
        sys.exit(f"cost.py: {sys.argv[1]} ended with {os.waitstatus_to_exitcode(status)}")
    print(int(wall * 1e6), int((usage.ru_utime + usage.ru_stime) * 1e6), usage.ru_maxrss)


main()
