"""Makes what an application may be built to: 20,000 files below a directory.

Names have hashes, sizes differ by much (12,500 bytes on average), and zstd makes half of the
text. It is the same each time.

usage: tree.py DIRECTORY
"""

import os
import random
import sys


def main():
    random.seed(5)
    for part in range(200):
        directory = f"{sys.argv[1]}/part-{part}"
        os.makedirs(directory)
        for _ in range(100):
            with open(f"{directory}/chunk-{random.randbytes(4).hex()}.js", "w") as file:
                file.write(text(int(random.expovariate(1 / 12500))))


def text(size):
    """Lines of 48 characters, some more than so many in all."""
    lines = range(size // 48 + 1)
    return "".join(random.randbytes(16).hex(" ") + "\n" for _ in lines)


main()
