#!/usr/bin/env python3
"""Shares, gets, removes and restarts under faults: every copy right, nothing asked for lost, what the processes hold level.

    tests/longer/soak.py [--minutes 60] [--seed N] [--port 24600] [--folder DIR] PATH/OF/mtorrent

Two trackers (one with a store) and a client that shares run all the time; a second client gets and removes and is killed
now and then; single `get`s are killed at random moments and run again. Meanwhile the second tracker is killed or stopped,
shared files are touched or away, strangers connect and say nothing or nonsense. Every finished copy is compared with its
source. At the end all faults cease and everything that was asked for must arrive. Every 10 s memory, descriptors and
threads of the processes that live all the time are noted in samples.csv; at the end they must be level.
The last line is PASS or FAIL, and the row of the table before it. Needs no root and Python 3.8.
"""

import argparse
import hashlib
import os
import queue
import random
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
SIZES = [3 * MIB + 5, 16 * MIB, 40 * MIB, 64 * MIB, 70_001, 24 * MIB + 1]
SAMPLE_EVERY_S = 10
# What may stay more at the end than in the first part of the run.
MEMORY_MORE_MIB, DESCRIPTORS_MORE, THREADS_MORE = 32, 16, 8


class Process:
    """A running mtorrent whose lines can be awaited."""

    def __init__(self, soak, name, *arguments):
        self.soak, self.name, self.lines, self.started = soak, name, queue.Queue(), {}
        log = open(os.path.join(soak.folder, name + ".log"), "ab")
        self.child = subprocess.Popen(
            [soak.program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=soak.folder
        )
        log.close()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            line = line.decode(errors="replace").rstrip("\n")
            self.soak.note_line(self, line)
            self.lines.put(line)
        self.lines.put(None)

    def wait_line(self, begins, within_s=60):
        end = time.monotonic() + within_s
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                return None
            if line is None or re.match(begins, line):
                return line

    def say(self, line):
        try:
            self.child.stdin.write(line.encode() + b"\n")
            self.child.stdin.flush()
        except OSError:
            pass

    def alive(self):
        return self.child.poll() is None

    def kill(self):
        self.child.kill()
        self.child.wait()

    def end(self):
        self.child.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        try:
            code = self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
            return None, 10.0
        return code, time.monotonic() - begun

    def held(self):
        """Memory in MiB, descriptors, threads."""
        at = f"/proc/{self.child.pid}"
        with open(at + "/status") as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
        return int(fields["RssAnon"].split()[0]) >> 10, len(os.listdir(at + "/fd")), int(fields["Threads"])


class Soak:
    def __init__(self, arguments):
        self.program = os.path.realpath(arguments.program)
        self.minutes, self.port = arguments.minutes, arguments.port
        self.folder = tempfile.mkdtemp(prefix="soak-", dir=arguments.folder)
        self.seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.sums, self.counts, self.faults = {}, {}, []
        self.lock, self.over = threading.Lock(), threading.Event()
        self.samples, self.begun = [], time.monotonic()
        self.trackers = [f"--tracker=127.0.0.1:{self.port + n}" for n in range(2)]
        # What the second client has acknowledged and not downloaded yet.
        self.pending = {}
        self.excused = 0

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + by

    def fault(self, text):
        with self.lock:
            self.faults.append(text)
        print(f"{time.monotonic() - self.begun:7.1f} s FAULT: {text}", flush=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    # What runs.

    def start(self):
        for name in ("source", "getter", "single", "away"):
            os.mkdir(self.path(name))
        for n, size in enumerate(SIZES):
            bytes_ = self.random.randbytes(size) if hasattr(self.random, "randbytes") else os.urandom(size)
            with open(self.path("source", f"f{n}"), "wb") as file:
                file.write(bytes_)
            self.sums[n] = hashlib.sha1(bytes_).hexdigest()
        self.group_trackers = [self.tracker(0), self.tracker(1)]
        self.seeder = self.client("seeder", self.port + 2)
        for n in self.sums:
            self.seeder.say(f"share {self.path('source', f'f{n}')} {self.path(f'f{n}.mtorrent')}")
            if not self.seeder.wait_line("announced "):
                sys.exit(f"FAIL: set-up: f{n} was not announced")
        self.getter = self.client("getter", self.port + 3)

    def tracker(self, n):
        store = ["--data-dir", self.path("store")] if n == 0 else []
        process = Process(
            self, f"tracker{n}", "tracker", f"--listen=127.0.0.1:{self.port + n}",
            f"--peer=127.0.0.1:{self.port + 1 - n}", "--cores=1", *store,
        )
        if not process.wait_line("ready "):
            self.fault(f"tracker {n} is not ready")
        return process

    def client(self, name, port):
        process = Process(
            self, name, "client", "--data-dir", self.path("state-" + name), f"--listen=127.0.0.1:{port}", "--cores=2",
            *self.trackers,
        )
        if not process.wait_line("ready "):
            self.fault(f"{name} is not ready")
        return process

    # What is asked for.

    def note_line(self, process, line):
        """A download that ended with a reason is not waited for any more."""
        started, failed = re.match(r"#(\d+) started f(\d) ", line), re.match(r"#(\d+) failed: (.*)", line)
        if started:
            process.started[started[1]] = int(started[2])
        elif failed and process.name == "getter":
            self.count("client's gets failed")
            if failed[1] in process.started:
                self.pending.pop(process.started[failed[1]], None)
            else:
                # One that it took up after it was killed.
                self.excused += 1
            if not re.search("seeder|tracker", failed[2]):
                self.fault(line)

    def is_right(self, n, path):
        with open(path, "rb") as file:
            right = hashlib.sha1(file.read()).hexdigest() == self.sums[n]
        self.count("copies")
        if not right:
            self.count("wrong")
            self.fault(f"{path} is wrong")
        return right

    def get(self, dest, n, kill_after_s):
        """Runs one `get`; whether the file is there."""
        child = subprocess.Popen(
            [self.program, "get", self.path(f"f{n}.mtorrent"), dest, "--listen=127.0.0.1:0", "--cores=1", "--wait=20s",
             *self.trackers],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.folder,
        )
        try:
            said = child.communicate(timeout=kill_after_s)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            self.count("gets killed")
            return False
        if child.returncode == 0:
            return self.is_right(n, dest)
        self.count(f"gets ended with {child.returncode}")
        if child.returncode != 3 or "panicked" in said:
            self.fault(f"get of f{n} ended with {child.returncode}: {said.strip().splitlines()[-1:]}")
        return False

    def single_gets(self, number):
        chance = random.Random(self.seed + number)
        while not self.over.is_set():
            n = chance.randrange(len(SIZES))
            dest = self.path("single", f"{number}-f{n}")
            for _ in range(200):
                kill_after_s = chance.uniform(0.02, 2) if chance.random() < 0.5 and not self.over.is_set() else 120
                if self.get(dest, n, kill_after_s):
                    os.remove(dest)
                    break
            else:
                self.count("lost")
                self.fault(f"f{n} never arrived at {dest}")

    def getter_gets(self):
        """The second client: gets, compares, removes, and is killed now and then."""
        chance = random.Random(self.seed + 100)
        while not self.over.is_set():
            n = chance.randrange(len(SIZES))
            if n not in self.pending:
                self.getter.say(f"get {self.path(f'f{n}.mtorrent')} {self.path('getter', f'f{n}')}")
                # Only what was acknowledged counts.
                if self.getter.wait_line(rf"#\d+ started f{n} ", 20):
                    self.pending[n] = time.monotonic()
            if chance.random() < 0.15:
                self.getter.kill()
                self.count("client killed")
                self.getter = self.client("getter", self.port + 3)
            self.take_finished()
            self.over.wait(chance.uniform(0.1, 3))

    def take_finished(self):
        for n in list(self.pending):
            dest = self.path("getter", f"f{n}")
            if not os.path.exists(dest):
                continue
            self.is_right(n, dest)
            self.getter.say(f"remove {dest}")
            self.getter.wait_line("removed ", 20)
            os.remove(dest)
            del self.pending[n]

    # What goes wrong.

    def trouble(self):
        chance = random.Random(self.seed + 200)
        acts = [self.kill_tracker, self.stop_tracker, self.touch, self.take_away, self.share_anew, self.strangers]
        while not self.over.wait(chance.uniform(0.5, 4)):
            chance.choice(acts)(chance)

    def kill_tracker(self, _):
        self.group_trackers[1].kill()
        self.count("tracker killed")
        self.over.wait(1)
        self.group_trackers[1] = self.tracker(1)

    def stop_tracker(self, chance):
        child = self.group_trackers[1].child
        child.send_signal(signal.SIGSTOP)
        self.count("tracker stopped")
        self.over.wait(chance.uniform(0.5, 4))
        child.send_signal(signal.SIGCONT)

    def touch(self, chance):
        os.utime(self.path("source", f"f{chance.randrange(len(SIZES))}"))
        self.count("file touched")

    def take_away(self, chance):
        name = f"f{chance.randrange(len(SIZES))}"
        os.rename(self.path("source", name), self.path("away", name))
        self.count("file away")
        self.over.wait(chance.uniform(0.5, 4))
        os.rename(self.path("away", name), self.path("source", name))

    def share_anew(self, chance):
        n = chance.randrange(len(SIZES))
        source, metainfo = self.path("source", f"f{n}"), self.path(f"f{n}.mtorrent")
        self.seeder.say(f"remove {source}")
        self.seeder.wait_line("removed ", 20)
        self.seeder.say(f"share {source} {metainfo}")
        self.count("shared anew")
        if not self.seeder.wait_line("announced ", 40):
            self.fault(f"f{n} is not announced again")

    def strangers(self, chance):
        """Connections that say nothing, or nonsense, or hang up."""
        self.count("strangers", 40)
        sockets = []
        for _ in range(40):
            try:
                sockets.append(socket.create_connection(("127.0.0.1", self.port + chance.choice([0, 2, 3])), 2))
                if chance.random() < 0.7:
                    sockets[-1].sendall(b"mTor" + chance.getrandbits(200).to_bytes(25, "big"))
            except OSError:
                pass
        self.over.wait(1)
        for each in sockets:
            each.close()

    # What is measured.

    def sample(self):
        now = time.monotonic() - self.begun
        for name, process in (("tracker0", self.group_trackers[0]), ("seeder", self.seeder)):
            if not process.alive():
                self.fault(f"{name} has ended with {process.child.poll()}")
                self.over.set()
                return
            self.samples.append((now, name, *process.held()))

    def sampling(self):
        with open(self.path("samples.csv"), "w") as table:
            table.write("seconds,process,memory_mib,descriptors,threads\n")
            while not self.over.wait(SAMPLE_EVERY_S):
                seen = len(self.samples)
                self.sample()
                table.writelines(f"{now:.0f},{','.join(map(str, rest))}\n" for now, *rest in self.samples[seen:])
                table.flush()

    def check_level(self, name):
        rows = [row[2:] for row in self.samples if row[1] == name]
        if len(rows) < 8:
            return f"{name}: too short a run to judge"
        quarter = len(rows) // 4
        early = [statistics.median(column) for column in zip(*rows[quarter // 2:quarter + quarter // 2 + 1])]
        late = [statistics.median(column) for column in zip(*rows[-quarter:])]
        for what, before, after, more in zip(
            ("MiB", "descriptors", "threads"), early, late, (MEMORY_MORE_MIB, DESCRIPTORS_MORE, THREADS_MORE)
        ):
            if after > before + more:
                self.fault(f"{name} grows: {before} {what}, then {after}")
        pairs = " ".join(f"{before:g}->{after:g}" for before, after in zip(early, late))
        return f"{name} (MiB, descriptors, threads) {pairs}"

    def run(self):
        print(f"seed {self.seed}, {self.minutes} minutes, in {self.folder}", flush=True)
        self.start()
        work = [threading.Thread(target=self.single_gets, args=(n,)) for n in (1, 2)]
        work += [threading.Thread(target=each) for each in (self.getter_gets, self.trouble, self.sampling)]
        for thread in work:
            thread.start()
        self.over.wait(self.minutes * 60)
        self.over.set()
        for thread in work:
            thread.join()
        self.finish()

    def finish(self):
        """No more faults: all that was asked for arrives, and everything ends on SIGTERM."""
        end = time.monotonic() + 120
        while self.pending and time.monotonic() < end:
            self.take_finished()
            time.sleep(0.5)
        for n in list(self.pending)[self.excused:]:
            self.count("lost")
            self.fault(f"the client lost f{n}")
        level = "; ".join(self.check_level(name) for name in ("tracker0", "seeder"))
        for process in (self.getter, self.seeder, *self.group_trackers):
            code, seconds = process.end()
            if code != 0 or seconds > 3:
                self.fault(f"{process.name} ended with {code} {seconds:.1f} s after SIGTERM")
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log") and b"panicked" in open(self.path(name), "rb").read():
                self.fault(f"{name}: a panic")
        print(", ".join(f"{what}: {count}" for what, count in sorted(self.counts.items())))
        print(level)
        rounds, lost = self.counts.get("copies", 0), self.counts.get("lost", 0) + self.counts.get("wrong", 0)
        kinds = ("gets killed", "client killed", "tracker killed", "tracker stopped", "file touched", "file away",
                 "shared anew", "strangers")
        print(f"| soak, {self.minutes:g} min | {rounds} | {sum(self.counts.get(kind, 0) for kind in kinds)} | {lost} |")
        print("PASS" if not self.faults else f"FAIL: {len(self.faults)} faults; logs and samples in {self.folder}")
        if not self.faults:
            shutil.rmtree(self.folder)
        sys.exit(bool(self.faults))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--port", type=int, default=24600, help="the first of four ports")
    parser.add_argument("--folder", help="where the files lie")
    Soak(parser.parse_args()).run()


if __name__ == "__main__":
    main()
