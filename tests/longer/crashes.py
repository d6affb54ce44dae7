#!/usr/bin/env python3
"""kill -9 of a getter at random moments: its record claims only what the file holds, and the next run goes on.

    tests/longer/crashes.py [--rounds 100] [--seed N] [--port N] [--folder DIR] PATH/OF/mtorrent

Each round starts a `get`, or goes on with it, and kills it after up to a second; then each chunk that the record claims is
compared with the source. A download that ends is compared as a whole, and the next one begins. The last line is PASS
or FAIL, and a row of the table before it. Needs Python 3.8.
"""

import argparse
import hashlib
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile

MIB = 1 << 20
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--port", type=int, default=24640)
    parser.add_argument("--folder", help="where the files lie")
    arguments = parser.parse_args()
    program, tracker = os.path.realpath(arguments.program), f"127.0.0.1:{arguments.port}"
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    chance, folder = random.Random(seed), tempfile.mkdtemp(prefix="crashes-", dir=arguments.folder)
    print(f"seed {seed}")
    source, metainfo, dest = (os.path.join(folder, name) for name in ("file", "file.mtorrent", "copy"))
    content = os.urandom(LENGTH)
    with open(source, "wb") as file:
        file.write(content)
    share = ["share", source, metainfo, f"--tracker={tracker}", "--chunk-size=256KiB", "--upload-limit=24MiB"]
    services = []
    for line in (["tracker", f"--listen={tracker}"], [*share, "--listen=127.0.0.1:0"]):
        services.append(subprocess.Popen([program, *line], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        if b"ready" not in services[-1].stdout.readline():
            sys.exit(f"FAIL: set-up: {line} is not ready")
    kills = with_claims = copies = lost = 0
    while kills < arguments.rounds:
        get = subprocess.Popen([program, "get", metainfo, dest, "--listen=127.0.0.1:0", "--wait=1m"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            said = get.communicate(timeout=chance.uniform(0.01, 1.2))[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            get.kill()
            get.communicate()
            kills += 1
            said = None
        if said is None and os.path.exists(dest + ".part.mtorrent"):
            chunks = claimed(dest + ".part.mtorrent")
            with_claims += bool(chunks)
            with open(dest + ".part" if os.path.exists(dest + ".part") else dest, "rb") as part:
                for n in chunks:
                    part.seek(n * CHUNK)
                    if part.read(min(CHUNK, LENGTH - n * CHUNK)) != content[n * CHUNK:(n + 1) * CHUNK]:
                        lost += 1
                        print(f"FAULT: chunk {n} is claimed and is not there, after {kills} kills", flush=True)
        elif said is not None and get.returncode != 0:
            lost += 1
            print(f"FAULT: it ended with {get.returncode}: {said.strip().splitlines()[-1:]}", flush=True)
        if os.path.exists(dest):
            with open(dest, "rb") as copy:
                right = copy.read() == content
            copies += 1
            lost += not right
            if not right:
                print(f"FAULT: the copy is wrong, after {kills} kills", flush=True)
            for left in (dest, dest + ".part", dest + ".part.mtorrent"):
                if os.path.exists(left):
                    os.remove(left)
    for service in services:
        service.terminate()
        service.wait(10)
    print(f"{with_claims} kills left a record that claims chunks; {copies} copies")
    print(f"| kill -9 of a getter | {kills} | {kills} | {lost} |")
    print("PASS" if not lost else f"FAIL: {lost}")
    shutil.rmtree(folder)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
