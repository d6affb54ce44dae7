#!/usr/bin/env python3
"""Plants one cause of slowness a run and looks whether `get` shows that cause.

    tests/longer/why.py [--seed 1] [--rounds 3] [--causes disk,cpu] [--jobs 2] PROGRAM

Hosts are network namespaces around a router of the run's own. Every run draws its rates, chunk sizes and numbers of peers from
the seed and its number. What the last of a getter's reports names counts as shown: `--after` seconds (8) after its first
report (for the last chunks: the first that has all others). Prints a row a run, the table of what was planted and what was
shown, and the share that was right; ends with
PASS (0) if that is at least `--least` percent (95). Needs root, ip, tc, losetup and mkfs.ext4; what needs a control group that is
not there is skipped.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import socketserver
import struct
import subprocess
import sys
import tempfile
import threading
import time

MIB = 1 << 20
LENGTH = 192 * MIB
CHUNKS = ["256KiB", "1MiB", "4MiB"]


def sh(*line, check=True):
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(line)}: {done.stdout}")
    return done.stdout


class World:
    """A network, its folder and everything that one run starts."""

    def __init__(self, program, source, number):
        self.program, self.source, self.number = program, source, number
        self.folder = tempfile.mkdtemp(prefix="why-")
        self.names, self.children, self.undo, self.hosts = [], [], [], {}
        # What the getter must have before the cause holds.
        self.begin_bytes = 0

    def namespace(self, name):
        namespace = f"why{os.getpid()}-{self.number}-{name}"
        sh("ip", "netns", "add", namespace)
        self.names.append(namespace)
        sh("ip", "-n", namespace, "link", "set", "lo", "up")
        return namespace

    def start(self):
        self.switch = self.namespace("switch")
        sh("ip", "netns", "exec", self.switch, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def host(self, name):
        """A host with an address; returns the address. Neighbours are permanent: some kernels lose ARP here."""
        if name not in self.hosts:
            number = len(self.hosts) + 1
            namespace, address, gateway = self.namespace(name), f"10.78.0.{number}", "10.78.1.1"
            own, other = (f"02:00:00:00:{side:02x}:{number:02x}" for side in (1, 2))
            sh("ip", "-n", namespace, "link", "add", "eth0", "address", own, "type", "veth",
               "peer", "name", name, "address", other, "netns", self.switch)
            sh("ip", "-n", namespace, "address", "add", address, "peer", gateway, "dev", "eth0")
            sh("ip", "-n", self.switch, "address", "add", gateway, "peer", address, "dev", name)
            for at, device, to, hardware in [(namespace, "eth0", gateway, other), (self.switch, name, address, own)]:
                sh("ip", "-n", at, "link", "set", device, "up")
                sh("ip", "-n", at, "neighbour", "replace", to, "lladdr", hardware, "dev", device, "nud", "permanent")
            sh("ip", "-n", namespace, "route", "add", "default", "via", gateway)
            self.hosts[name] = (namespace, address)
        return self.hosts[name][1]

    def uplink(self, host, bytes_s, latency_ms):
        self.shape(self.hosts[host][0], "eth0", bytes_s, latency_ms)

    def downlink(self, host, bytes_s, latency_ms):
        self.shape(self.switch, host, bytes_s, latency_ms)

    @staticmethod
    def shape(namespace, device, bytes_s, latency_ms):
        sh("tc", "-n", namespace, "qdisc", "add", "dev", device, "root", "tbf", "rate", f"{bytes_s * 8}bit",
           "burst", "128kb", "latency", f"{latency_ms}ms")

    def spawn(self, host, *line, prefix=(), **more):
        namespace = self.hosts[host][0]
        environment = {**os.environ, "RUST_LOG": "error"}
        child = subprocess.Popen([*prefix, "ip", "netns", "exec", namespace, self.program, *line], cwd=self.folder,
                                 env=environment, stdin=subprocess.DEVNULL, text=True, **more)
        self.children.append(child)
        return child

    def service(self, host, *line):
        child = self.spawn(host, *line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        while not (said := child.stdout.readline()).startswith("ready"):
            if not said:
                raise RuntimeError(f"{line} is not ready")
        return child

    def tracker(self, host="tracker"):
        self.service(host, "tracker", "--listen", f"{self.host(host)}:7000", "--cores", "1")
        return f"{self.host(host)}:7000"

    def seeders(self, count, tracker, chunk, before=lambda host: None):
        children = []
        for index in range(count):
            host = f"seeder{index}"
            address = self.host(host)
            before(host)
            children.append(self.service(host, "share", self.source, f"f{index}.mtorrent", "--tracker", tracker,
                                         "--listen", f"{address}:7100", "--chunk-size", chunk))
        return children

    def get(self, host, tracker, *more, prefix=(), dest=None, report=True):
        address = self.host(host)
        line = ["--json", "get", "f0.mtorrent", dest or f"{host}.out", "--tracker", tracker, "--listen", f"{address}:7200",
                "--wait", "2m", "--cores", "2", *(["--report-every", "500ms"] if report else []), *more]
        out = subprocess.PIPE if report else subprocess.DEVNULL
        return self.spawn(host, *line, prefix=prefix, stdout=out, stderr=subprocess.DEVNULL)

    def end(self):
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.wait()
        for undo in reversed(self.undo):
            undo()
        for namespace in self.names:
            sh("ip", "netns", "delete", namespace, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Missing(Exception):
    """What this machine lacks for a plant."""


class Group:
    """A control group with one setting, of version 1 if there is one with this controller, else of version 2."""

    def __init__(self, world, controllers, files, values):
        mounted = [f"/sys/fs/cgroup/{controllers[0]}", "/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        if os.path.exists(f"{mounted[0]}/cgroup.procs"):
            parent, file, value = mounted[0], files[0], values[0]
        else:
            listed = lambda path: open(path).read().split() if os.path.exists(path) else []
            roots = [root for root in mounted[1:] if controllers[1] in listed(f"{root}/cgroup.controllers")]
            if not roots:
                raise Missing(f"a control group with {controllers[1]}")
            parent, file, value = roots[0], files[1], values[1]
            with open(f"{parent}/cgroup.subtree_control", "w") as control:
                control.write(f"+{controllers[1]}")
        self.path = f"{parent}/why{os.getpid()}-{world.number}"
        os.mkdir(self.path)
        world.undo.append(self.remove)
        for name, text in zip(file.split(), value.split(";")):
            with open(f"{self.path}/{name}", "w") as setting:
                setting.write(text)

    def prefix(self):
        """A command that enters the group and runs the rest of its line."""
        return ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs; exec "$@"', "sh")

    def remove(self):
        for _ in range(50):
            with contextlib.suppress(OSError):
                return os.rmdir(self.path)
            time.sleep(0.1)


def frame(kind, *arguments):
    payload = b"".join(struct.pack(">I", len(argument)) + argument for argument in arguments)
    return b"mTor" + struct.pack(">I", len(kind)) + kind + struct.pack(">I", len(payload)) + payload + b"roTm"


class PartialPeer:
    """A fast peer that has only the first chunks of the file."""

    def __init__(self, world, host, tracker, info, chunks):
        self.info_hash, self.chunk_size = bytes.fromhex(info["info_hash"]), info["chunk_size"]
        self.count, self.has, self.source = info["chunks"], chunks, world.source
        namespace, address = world.hosts[host]
        # A socket stays in the namespace in which it was made.
        script = os.path.realpath(__file__)
        child = subprocess.Popen(["ip", "netns", "exec", namespace, sys.executable, script, "--partial-peer", json.dumps(
            {"address": address, "tracker": tracker, "info": info, "chunks": chunks, "source": world.source})],
            stdout=subprocess.PIPE, text=True)
        world.children.append(child)
        if "ready" not in child.stdout.readline():
            raise RuntimeError("the partial peer is not ready")


def partial_peer(settings):
    import socket
    info = settings["info"]
    info_hash, size, count, has = bytes.fromhex(info["info_hash"]), info["chunk_size"], info["chunks"], settings["chunks"]
    bits = bytearray((count + 7) // 8)
    for chunk in range(has):
        bits[chunk // 8] |= 128 >> chunk % 8

    def exactly(stream, length):
        data = stream.read(length)
        if len(data) < length:
            raise EOFError
        return data

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            with open(settings["source"], "rb") as source, contextlib.suppress(EOFError, OSError):
                while True:
                    _, length = struct.unpack(">4sI", exactly(self.rfile, 8))
                    kind = exactly(self.rfile, length)
                    (length,) = struct.unpack(">I", exactly(self.rfile, 4))
                    payload, arguments = exactly(self.rfile, length + 4)[:length], []
                    while payload:
                        (length,) = struct.unpack(">I", payload[:4])
                        arguments.append(payload[4:4 + length])
                        payload = payload[4 + length:]
                    self.answer(kind, arguments, source)

        def answer(self, kind, arguments, source):
            if kind in (b"ChunkSubscribeRequest", b"ChunkInfoRequest"):
                reply = frame(b"ChunkInfoResponse", info_hash, b"\0", struct.pack(">I", count), bytes(bits))
            elif kind == b"SendChunkRequest":
                indices = struct.unpack(f">{sum(map(len, arguments[1:])) // 4}I", b"".join(arguments[1:]))
                index = next((index for index in indices if index < has), None)
                if index is None:
                    reply = frame(b"SendChunkResponse", info_hash, struct.pack(">I", indices[0]), b"\4", b"")
                else:
                    source.seek(index * size)
                    reply = frame(b"SendChunkResponse", info_hash, struct.pack(">I", index), b"\0", source.read(size))
            elif kind == b"HaveChunks":
                return
            else:
                reply = frame(b"Response", b"\2", b"unknown", b"")
            self.wfile.write(reply)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = allow_reuse_address = True

    server = Server((settings["address"], 7300), Handler)
    host, port = settings["tracker"].split(":")
    tracker = socket.create_connection((host, int(port)))
    endpoint = socket.inet_aton(settings["address"]) + struct.pack(">H", 7300)
    tracker.sendall(frame(b"AddSeeder", info_hash, endpoint, b""))
    tracker.recv(4096)
    print("ready", flush=True)
    server.serve_forever()


# Each plant takes a world and a source of random numbers, and returns the getter and what is to be shown.

def plant_uplinks(world, draw):
    tracker = world.tracker(draw.choice(["tracker", "seeder0"]))
    rate = draw.randrange(MIB, 5 * MIB)
    world.seeders(draw.randrange(1, 4), tracker, draw.choice(CHUNKS[:2]),
                  lambda host: world.uplink(host, rate, draw.randrange(20, 100)))
    return world.get("getter", tracker)


def plant_own_link(world, draw):
    tracker = world.tracker()
    world.seeders(draw.randrange(1, 4), tracker, draw.choice(CHUNKS))
    world.host("getter")
    world.downlink("getter", draw.randrange(2 * MIB, 10 * MIB), draw.randrange(30, 150))
    return world.get("getter", tracker)


def plant_own_cap(world, draw):
    tracker = world.tracker()
    world.seeders(draw.randrange(1, 4), tracker, draw.choice(CHUNKS))
    return world.get("getter", tracker, "--download-limit", f"{draw.randrange(2, 12)}MiB")


def plant_disk(world, draw):
    tracker = world.tracker()
    world.seeders(draw.randrange(1, 3), tracker, draw.choice(CHUNKS))
    image, mounted = os.path.join(world.folder, "image"), os.path.join(world.folder, "disk")
    os.mkdir(mounted)
    with open(image, "wb") as file:
        file.truncate(2 * LENGTH)
    device = sh("losetup", "--find", "--show", image).strip()
    world.undo.append(lambda: sh("losetup", "--detach", device, check=False))
    sh("mkfs.ext4", "-q", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1", device)
    sh("mount", device, mounted)
    world.undo.append(lambda: sh("umount", "--lazy", mounted, check=False))
    status = os.stat(device)
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    rate = draw.randrange(2 * MIB, 8 * MIB)
    group = Group(world, ("blkio", "io"), ("blkio.throttle.write_bps_device", "io.max"),
                  (f"{number} {rate}", f"{number} wbps={rate}"))
    return world.get("getter", tracker, prefix=group.prefix(), dest=os.path.join(mounted, "out"))


def plant_cpu(world, draw):
    tracker = world.tracker()
    world.seeders(draw.randrange(1, 3), tracker, draw.choice(CHUNKS))
    period = draw.choice([100_000, 200_000])
    quota = max(1000, period * draw.randrange(8, 20) // 1000)
    group = Group(world, ("cpu", "cpu"), ("cpu.cfs_period_us cpu.cfs_quota_us", "cpu.max"),
                  (f"{period};{quota}", f"{quota} {period}"))
    return world.get("getter", tracker, prefix=group.prefix())


def plant_slow_peer(world, draw):
    tracker = world.tracker()
    rate = draw.randrange(100_000, 400_000)
    world.seeders(1, tracker, "1MiB", lambda host: world.uplink(host, rate, 50))
    info = json.loads(sh(world.program, "--json", "info", os.path.join(world.folder, "f0.mtorrent")))
    world.host("partial")
    fast = info["chunks"] - draw.randrange(6, 17)
    PartialPeer(world, "partial", tracker, info, fast)
    world.begin_bytes = (fast - 2) * info["chunk_size"]
    return world.get("getter", tracker)


def plant_tracker(world, draw):
    tracker = world.tracker()
    (seeder,) = world.seeders(1, tracker, "1MiB")
    kind = draw.choice(["refuses", "silent", "unknown"])
    if kind == "unknown":
        seeder.send_signal(signal.SIGTERM)
        seeder.wait()
        return world.get("getter", tracker)
    # No host has the second address.
    return world.get("getter", f"{world.host('getter')}:7999" if kind == "refuses" else "10.78.0.99:7000")


def plant_no_peers(world, draw):
    tracker = world.tracker()
    seeders = world.seeders(draw.randrange(1, 4), tracker, draw.choice(CHUNKS[:2]),
                            lambda host: world.uplink(host, 3 * MIB, 50))
    getter = world.get("getter", tracker)

    def kill():
        # `ip netns exec` has become the program.
        for seeder in seeders:
            seeder.kill()
    timer = threading.Timer(draw.uniform(1.5, 3), kill)
    timer.start()
    return getter


def plant_first_copy(world, draw):
    tracker = world.tracker()
    rate = draw.randrange(2 * MIB, 6 * MIB)
    world.seeders(1, tracker, draw.choice(CHUNKS[:2]), lambda host: world.uplink(host, rate, 50))
    for index in range(draw.randrange(2, 5)):
        world.get(f"other{index}", tracker, report=False)
    return world.get("getter", tracker)


PLANTS = {name.removeprefix("plant_"): plant for name, plant in list(globals().items()) if name.startswith("plant_")}


def shown(getter, after, begin_bytes):
    """The causes that the getter reports in the given time from its first report with so many bytes, and its rate."""
    causes, begun, rate = [], None, 0
    for line in getter.stdout:
        event = json.loads(line)
        if event.get("event") == "ended":
            break
        if event.get("event") == "progress":
            if begun is None and event["done_bytes"] >= begin_bytes:
                begun = time.monotonic()
            causes.append(event["why"]["cause"])
            rate = event["rate_bytes_s"]
            if begun is not None and time.monotonic() - begun >= after:
                break
    return causes, rate


def run(arguments, source, number, cause, seed):
    world = World(os.path.realpath(arguments.program), source, number)
    try:
        world.start()
        getter = PLANTS[cause](world, random.Random(f"{seed}/{cause}"))
        causes, rate = shown(getter, arguments.after, world.begin_bytes)
        return cause, seed, causes, rate
    except Missing as missing:
        return cause, seed, None, missing
    finally:
        world.end()


def table(outcomes):
    names = sorted(set(outcomes) | {shown for row in outcomes.values() for shown in row})
    width = max(map(len, names)) + 1
    lines = ["planted".ljust(width) + "".join(name.rjust(len(name) + 2) for name in names)]
    for planted in sorted(outcomes):
        cells = [str(outcomes[planted][name] or ".").rjust(len(name) + 2) for name in names]
        lines.append(planted.ljust(width) + "".join(cells))
    return "\n".join(lines)


def main():
    if sys.argv[1:2] == ["--partial-peer"]:
        return partial_peer(json.loads(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--rounds", type=int, default=3, help="runs a cause, each with a seed of its own")
    parser.add_argument("--causes", default=",".join(PLANTS))
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    parser.add_argument("--after", type=float, default=8, help="seconds from a getter's first report to the one that counts")
    parser.add_argument("--least", type=float, default=95, help="share that must be right, percent")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="why-source-") as folder:
        source = os.path.join(folder, "file")
        with open(source, "wb") as file:
            file.write(os.urandom(LENGTH))
        runs = [(cause, arguments.seed + index) for index in range(arguments.rounds) for cause in arguments.causes.split(",")]
        outcomes = collections.defaultdict(collections.Counter)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            jobs = [pool.submit(run, arguments, source, number, *what) for number, what in enumerate(runs)]
            for job in concurrent.futures.as_completed(jobs):
                cause, seed, causes, rate = job.result()
                if causes is None:
                    print(f"skipped: {cause} needs {rate}")
                    continue
                last = causes[-1] if causes else "ended"
                outcomes[cause][last] += 1
                said = " ".join(f"{name}*{len(list(group))}" for name, group in itertools.groupby(causes))
                print(f"{'ok   ' if last == cause else 'WRONG'} {cause} seed {seed}: {last}, {rate} B/s [{said}]", flush=True)
    right = sum(row[cause] for cause, row in outcomes.items())
    total = sum(sum(row.values()) for row in outcomes.values())
    print(f"{table(outcomes)}\nright: {right} of {total}, {100 * right / total:.1f} %")
    is_enough = 100 * right >= arguments.least * total
    print("PASS" if is_enough else "FAIL")
    sys.exit(not is_enough)


if __name__ == "__main__":
    main()
