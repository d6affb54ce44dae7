#!/usr/bin/env python3
"""kill -9 of a getter at random moments: its record claims only what the file holds, and the next run goes on.

    tests/longer/crashes.py [--rounds 100] [--seed N] [--port N] [--folder DIR] PATH/OF/mtorrent

Each round starts a `get`, or goes on with it, and kills it after up to a second; then each chunk that the record claims is
compared with the source. A download that ends is compared as a whole, and the next one begins. The last line is PASS
or FAIL, and a row of the table before it. Needs Python 3.8.
"""

import hashlib
import os
import struct
import subprocess

import support
from support import MIB

CHUNK, LENGTH = 256 << 10, 48 * MIB + 77
# The layout stands in src/storage/record.rs.
HEAD, MARK, CHECKSUM = 52, 16, 20


def claimed(path):
    """Chunks that the newest valid record claims."""
    chunk_count = -(-LENGTH // CHUNK)
    field = -(-chunk_count // 8)
    slot_len = -(-(HEAD + MARK + field + CHECKSUM) // 4096) * 4096
    with open(path, "rb") as file:
        record = file.read()
    best = (-1, b"")
    for slot in (record[:slot_len], record[slot_len:]):
        body, end = slot[: HEAD + MARK + field], HEAD + MARK + field
        if hashlib.sha1(body).digest() == slot[end:end + CHECKSUM]:
            best = max(best, (struct.unpack(">Q", body[12:20])[0], body[HEAD + MARK:]))
    return [n for n in range(chunk_count) if best[1] and best[1][n // 8] >> (7 - n % 8) & 1]


class Crashes(support.Run):
    def __init__(self, arguments):
        super().__init__("crashes", arguments)
        self.rounds, self.random = arguments.rounds, support.seeded(arguments)
        self.kills = self.with_claims = self.copies = 0

    def run(self):
        source, metainfo, tracker = self.path("file"), self.path("file.mtorrent"), f"--tracker={self.tracker}"
        self.content = self.random_file("file", LENGTH)
        try:
            self.service("tracker", f"--listen={self.tracker}")
            share = ["share", source, metainfo, tracker, "--chunk-size=256KiB", "--upload-limit=24MiB"]
            self.service(*share, "--listen=127.0.0.1:0")
            while self.kills < self.rounds:
                self.round(metainfo, self.path("copy"))
        finally:
            self.end_services()
        print(f"{self.with_claims} kills left a record that claims chunks; {self.copies} copies")
        print(f"| kill -9 of a getter | {self.kills} | {self.kills} | {self.faults} |")
        self.exit()

    def round(self, metainfo, dest):
        line = [self.program, "get", metainfo, dest, "--listen=127.0.0.1:0", "--wait=1m"]
        get = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            said = support.text(get.communicate(timeout=self.random.uniform(0.01, 1.2))[1])
            if get.returncode != 0:
                self.fault(f"it ended with {get.returncode}: {said.strip().splitlines()[-1:]}")
        except subprocess.TimeoutExpired:
            get.kill()
            get.communicate()
            self.kills += 1
            if os.path.exists(dest + ".part.mtorrent"):
                self.check_claims(dest)
        if os.path.exists(dest):
            self.check_copy(dest)

    def check_claims(self, dest):
        """The file holds each chunk that its record claims."""
        chunks = claimed(dest + ".part.mtorrent")
        self.with_claims += bool(chunks)
        with open(dest + ".part" if os.path.exists(dest + ".part") else dest, "rb") as part:
            for n in chunks:
                part.seek(n * CHUNK)
                if part.read(min(CHUNK, LENGTH - n * CHUNK)) != self.content[n * CHUNK:(n + 1) * CHUNK]:
                    self.fault(f"chunk {n} is claimed and is not there, after {self.kills} kills")

    def check_copy(self, dest):
        self.copies += 1
        with open(dest, "rb") as copy:
            if copy.read() != self.content:
                self.fault(f"the copy is wrong, after {self.kills} kills")
        self.remove("copy", "copy.part", "copy.part.mtorrent")


if __name__ == "__main__":
    Crashes(support.parser(__doc__, port=24640, rounds=100).parse_args()).run()
