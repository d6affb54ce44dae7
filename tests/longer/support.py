"""What the longer runs share: the command line, a folder, services that are ready, and what a command said."""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile

MIB = 1 << 20


def parser(description, port, rounds=None):
    """A command line with PROGRAM, --port and --folder; with --seed and --rounds if `rounds` is its default."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("program")
    made.add_argument("--port", type=int, default=port)
    made.add_argument("--folder", help="where the files lie")
    if rounds is not None:
        made.add_argument("--rounds", type=int, default=rounds)
        made.add_argument("--seed", type=int)
    return made


class Run:
    """The program, a folder of the run's own, the services that were started, and how often something did not hold."""

    def __init__(self, name, arguments):
        self.program, self.faults, self.services = os.path.realpath(arguments.program), 0, []
        self.tracker = f"127.0.0.1:{arguments.port}"
        self.folder = tempfile.mkdtemp(prefix=f"{name}-", dir=arguments.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def random_file(self, name, length):
        """Writes a file of random bytes and returns them."""
        content = os.urandom(length)
        with open(self.path(name), "wb") as file:
            file.write(content)
        return content

    def command(self, *line):
        subprocess.run([self.program, *line], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def service(self, *line):
        """Starts a command and waits for its ready line."""
        child = subprocess.Popen([self.program, *line], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.services.append(child)
        while b"ready" not in (said := child.stdout.readline()):
            if not said:
                sys.exit(f"FAIL: set-up: {line} is not ready")
        return child

    def remove(self, *names):
        for name in names:
            if os.path.exists(self.path(name)):
                os.remove(self.path(name))

    def end_services(self):
        for service in self.services:
            service.terminate()
            service.wait(10)

    def fault(self, text):
        self.faults += 1
        print(f"FAULT: {text}", flush=True)

    def exit(self):
        """Prints PASS or FAIL, removes the folder and ends."""
        print("PASS" if not self.faults else f"FAIL: {self.faults} faults")
        shutil.rmtree(self.folder)
        sys.exit(bool(self.faults))


def seeded(arguments):
    """A source of random numbers; prints its seed."""
    seed = arguments.seed if arguments.seed is not None else random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def text(said):
    return said.decode(errors="replace")
