#!/usr/bin/env python3
"""Little of what a process needs: every command works with it, or says in one sentence what is missing, and ends.

    tests/longer/limits.py [--files 16-100] [--threads 1-20] [--memory 50-1000:50] [--port N] [--folder DIR] PATH/OF/mtorrent

Tries get, share, tracker and client with each number of open files (ulimit -n), of processes and threads (pids.max of
a control group; needs root) and MiB of address space (ulimit -v). A get must end with 0 and a right copy, or with 1 and
one sentence; the others must be ready and end within 3 s of SIGTERM, or end with 1 and one sentence. The last line is
PASS or FAIL, and the rows of the table before it. Needs Python 3.8.
"""

import filecmp
import os
import resource
import subprocess
import time

import support
from support import MIB

WITHIN_S = 30
END_WITHIN_S = 3


def numbers(text):
    """`16-100`, or `50-1000:50` with a step."""
    span, _, step = text.partition(":")
    first, _, last = span.partition("-")
    return range(int(first), int(last or first) + 1, int(step or 1))


class Group:
    """A control group with a limit on processes and threads, of version 1 or 2; `root` is None where none can be made."""

    def __init__(self):
        self.root = None
        for mounted in ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"):
            root = os.path.join(mounted, f"mtorrent-limits-{os.getpid()}")
            try:
                os.mkdir(root)
            except OSError:
                continue
            if os.path.exists(os.path.join(root, "pids.max")):
                self.root = root
                return
            os.rmdir(root)

    def limit(self, most):
        with open(os.path.join(self.root, "pids.max"), "w") as file:
            file.write(str(most))

    def enter(self):
        with open(os.path.join(self.root, "cgroup.procs"), "w") as file:
            file.write(str(os.getpid()))

    def remove(self):
        if self.root:
            os.rmdir(self.root)


class Limits(support.Run):
    def __init__(self, arguments):
        super().__init__("limits", arguments)
        self.group, self.tries, self.worked = Group(), 0, 0
        self.kinds = [("open files", numbers(arguments.files), self.open_files)]
        if self.group.root:
            self.kinds.append(("processes and threads", numbers(arguments.threads), self.processes))
        else:
            print("skipped: processes and threads: needs a control group")
        self.kinds.append(("MiB of address space", numbers(arguments.memory), self.address_space))

    def open_files(self, most):
        return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def address_space(self, most):
        return lambda: resource.setrlimit(resource.RLIMIT_AS, (most * MIB, most * MIB))

    def processes(self, most):
        self.group.limit(most)
        return self.group.enter

    def commands(self):
        listen = "--listen=127.0.0.1:0"
        return {
            "get": ["get", self.path("file.mtorrent"), self.path("copy"), listen, "--wait=20s"],
            "share": ["share", self.path("file"), self.path("file.mtorrent"), listen],
            "tracker": ["tracker", listen, "--data-dir", self.path("store")],
            "client": ["client", listen, "--data-dir", self.path("state")],
        }

    def prepare(self):
        """What the gets need, without limits."""
        self.random_file("file", 8 * MIB + 3)
        self.service("tracker", f"--listen={self.tracker}")
        share = ["share", self.path("file"), self.path("file.mtorrent")]
        self.service(*share, f"--tracker={self.tracker}", "--listen=127.0.0.1:0")

    def run(self):
        try:
            self.prepare()
            for kind, range_, limited in self.kinds:
                self.tries = self.worked = 0
                faults = self.faults
                for most in range_:
                    for name, line in self.commands().items():
                        self.attempt(f"{name} with {most} {kind}", name, line, limited(most))
                span = f"{range_[0]} to {range_[-1]}"
                print(f"| {kind}, {span} | {self.tries} | {self.worked} worked | {self.faults - faults} |", flush=True)
        finally:
            self.end_services()
            self.group.remove()
        self.exit()

    def attempt(self, what, name, line, limit):
        self.tries += 1
        child = subprocess.Popen(
            [self.program, *line], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=limit,
        )
        wrong = self.check_get(child) if name == "get" else self.check_service(child)
        if wrong is not None:
            self.fault(f"{what}: {wrong}")
        self.remove("copy", "copy.part", "copy.part.mtorrent")

    def check_get(self, child):
        try:
            said = support.text(child.communicate(timeout=WITHIN_S)[1])
        except subprocess.TimeoutExpired:
            return self.hangs(child)
        if child.returncode != 0:
            return self.refusal(child.returncode, said)
        self.worked += 1
        return None if filecmp.cmp(self.path("file"), self.path("copy"), False) else "the copy is wrong"

    def check_service(self, child):
        os.set_blocking(child.stdout.fileno(), False)
        lines, end = b"", time.monotonic() + WITHIN_S
        while b"ready" not in lines and child.poll() is None and time.monotonic() < end:
            lines += child.stdout.read() or b""
            time.sleep(0.005)
        if child.poll() is None and b"ready" not in lines:
            return self.hangs(child)
        child.terminate()
        begun = time.monotonic()
        try:
            said = support.text(child.communicate(timeout=END_WITHIN_S)[1])
        except subprocess.TimeoutExpired:
            return self.hangs(child)
        if b"ready" not in lines:
            return self.refusal(child.returncode, said)
        self.worked += 1
        well = child.returncode == 0 and "panicked" not in said
        return None if well else f"{child.returncode} {time.monotonic() - begun:.1f} s after SIGTERM: {said[-300:]}"

    def hangs(self, child):
        child.kill()
        return f"it does not end: {support.text(child.communicate()[1])[-300:]}"

    def refusal(self, code, said):
        sentences = [line for line in said.splitlines() if line.startswith("mtorrent: ")]
        well = code == 1 and len(sentences) == 1 and "panicked" not in said
        return None if well else f"{code}: {said[-400:]}"


def main():
    parser = support.parser(__doc__, port=24620)
    parser.add_argument("--files", default="16-100")
    parser.add_argument("--threads", default="1-20")
    parser.add_argument("--memory", default="50-1000:50")
    Limits(parser.parse_args()).run()


if __name__ == "__main__":
    main()
