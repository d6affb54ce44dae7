#!/usr/bin/env python3
"""SIGTERM at random moments of every phase: each command ends within 2 s, with the exit code that stands in the README.

    tests/longer/signals.py [--rounds 20] [--seed N] [--port N] [--folder DIR] PATH/OF/mtorrent

The phases: hashing a large file (create, share, verify, a get whose DEST is there), making room and waiting for a seeder,
waiting for a tracker that refuses or is silent, receiving, seeding, a REPL, a tracker that waits for its peer, a tracker
that serves. The last line is PASS or FAIL, and a row of the table for each phase before it. Needs Python 3.8.
"""

import socket
import subprocess
import time

import support
from support import MIB

WITHIN_S = 2
LARGE_BYTES = 12 << 30


class Signals(support.Run):
    def __init__(self, arguments):
        super().__init__("signals", arguments)
        self.rounds, self.random = arguments.rounds, support.seeded(arguments)

    def prepare(self):
        with open(self.path("large"), "wb") as file:
            file.truncate(LARGE_BYTES)
        self.random_file("file", 64 * MIB)
        # A listener that never answers.
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=1000)
        tracker = f"--tracker={self.tracker}"
        self.command("create", self.path("file"), self.path("file.mtorrent"), tracker)
        self.command("create", self.path("large"), self.path("large.mtorrent"), tracker, "--chunk-size=16MiB")
        self.service("tracker", f"--listen={self.tracker}")
        share = ["share", self.path("file"), self.path("file.mtorrent")]
        self.service(*share, "--listen=127.0.0.1:0", "--upload-limit=10MiB")

    def phases(self):
        """Name, command, exit codes. Before its work is done a command says 143; a service that was ready says 0."""
        file, large = self.path("file.mtorrent"), self.path("large.mtorrent")
        listen, silent = "--listen=127.0.0.1:0", f"--tracker=127.0.0.1:{self.silent.getsockname()[1]}"
        before, service = {143}, {143, 0}
        return [
            ("create hashes", ["create", self.path("large"), self.path("new.mtorrent")], before),
            ("share hashes", ["share", self.path("large"), self.path("new.mtorrent"), listen, "--tracker=127.0.0.1:1"], service),
            ("verify hashes", ["verify", large, self.path("large")], before),
            ("get verifies DEST", ["get", large, self.path("large"), listen], before),
            ("get waits for a seeder", ["get", large, self.path("copy"), listen, "--wait=5m"], before),
            ("get waits for a tracker", ["get", file, self.path("copy"), listen, "--wait=5m", "--tracker=127.0.0.1:1"], before),
            ("get, a silent tracker", ["get", file, self.path("copy"), listen, "--wait=5m", silent], before),
            ("get receives", ["get", file, self.path("copy"), listen], before),
            ("share seeds", ["share", self.path("file"), file, listen], service),
            ("share, a silent tracker", ["share", self.path("file"), file, listen, silent], service),
            ("client", ["client", listen, f"--tracker={self.tracker}", "--data-dir", self.path("state")], service),
            ("tracker waits for its peer", ["tracker", listen, "--peer", silent.partition("=")[2]], service),
            ("tracker serves", ["tracker", listen, "--data-dir", self.path("store")], service),
        ]

    def run(self):
        try:
            self.prepare()
            for name, line, codes in self.phases():
                took = [self.round(name, line, codes) for _ in range(self.rounds)]
                print(f"| {name} | {self.rounds} | {max(took):.2f} s at most |", flush=True)
        finally:
            self.end_services()
        self.exit()

    def round(self, name, line, codes):
        child = subprocess.Popen(
            [self.program, *line], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        self.wait_handled(child)
        time.sleep(self.random.uniform(0, 1.2))
        already = child.poll()
        begun = time.monotonic()
        child.terminate()
        try:
            said = support.text(child.communicate(timeout=30)[1])
        except subprocess.TimeoutExpired:
            child.kill()
            said = "killed after 30 s: " + support.text(child.communicate()[1])
        took = time.monotonic() - begun
        if already is not None:
            self.fault(f"{name}: it ended by itself with {already}: {said[-300:]}")
        elif took > WITHIN_S or child.returncode not in codes or "panicked" in said:
            self.fault(f"{name}: {child.returncode} after {took:.1f} s: {said[-300:]}")
        self.remove("copy.part", "copy.part.mtorrent", "new.mtorrent")
        return took

    def wait_handled(self, child):
        """Until it handles SIGTERM itself: before that the system ends it, at once."""
        while child.poll() is None:
            with open(f"/proc/{child.pid}/status") as status:
                caught = next((line for line in status if line.startswith("SigCgt:")), "SigCgt: 0")
            if int(caught.split()[1], 16) & 1 << 14:
                return
            time.sleep(0.001)


if __name__ == "__main__":
    Signals(support.parser(__doc__, port=24630, rounds=20).parse_args()).run()
