#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows what the project does: a manager without systemd, a domain, and two Linux VMs that exchange messages through
shared memory and ring each other's doorbells.

usage: demo.py BUILD-FOLDER

Everything it starts ends with it. Nothing is installed, and root is not needed.
"""

import argparse
import contextlib
import itertools
import json
import os
import pathlib
import pwd
import shlex
import subprocess
import sys
import textwrap
import threading
import time

from harness import DEVICE_ID, Skip, Workshop, until
from harness.process import Process

VECTORS = 4
SIZE = 16 << 20
MAILBOX = 4096  # each VM writes its messages at this many bytes times its VM ID


def say(text=""):
    print(text, flush=True)


def title(text):
    say(f"\n{text}\n{'-' * len(text)}")


@contextlib.contextmanager
def progress(what):
    """Tells how long a step has been running, each second on a terminal, and how long it took."""
    begin, ended, live = time.monotonic(), threading.Event(), sys.stdout.isatty()

    def tick():
        while not ended.wait(1):
            print(f"\r  {what} ... {time.monotonic() - begin:.0f} s", end="", flush=True)

    print(f"  {what} ...", end="", flush=True)
    thread = threading.Thread(target=tick, daemon=True)
    if live:
        thread.start()
    try:
        yield
    except BaseException:
        say(" failed")
        raise
    else:
        ended.set()
        say(f"{chr(13) + '  ' + what + ' ...' if live else ''} {time.monotonic() - begin:.1f} s")
    finally:
        ended.set()


class Manager:
    """ivshmemd without systemd, in a folder of its own, and ivshmemctl to ask it."""

    def __init__(self, workshop, build):
        self._program = build / "client" / "ivshmemctl"
        self._directory = workshop.folder / "domains"
        self._directory.mkdir()
        command = [build / "service" / "manager" / "ivshmemd", "--embedded", f"--directory={self._directory}"]
        server = build / "service" / "server" / "ivshmem-server"
        self._process = Process([*command, f"--server={server}"], workshop.logs / "manager.log")
        workshop.callback(self._end)
        until(lambda: self._answers(), "the manager answers")

    def _run(self, *arguments):
        return subprocess.run(
            [self._program, *arguments],
            env={**os.environ, "IVSHMEM_DIRECTORY": str(self._directory)},
            capture_output=True,
            text=True,
            check=False,
        )

    def _answers(self):
        if self._process.status() is not None:
            raise RuntimeError(f"ivshmemd ended: {self._process.output().strip()}")
        return self._run("list").returncode == 0

    def _end(self):
        self._run("stop", "demo")
        self._process.kill()

    def ask(self, *arguments):
        done = self._run(*arguments)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return done.stdout

    def show(self, *arguments):
        """Asks, for all to see."""
        say(f"  $ ivshmemctl {shlex.join(arguments)}")
        output = self.ask(*arguments)
        if output:
            say(textwrap.indent(output.rstrip(), "  "))


def serve(workshop, build):
    title("A manager, and a domain")
    with progress("starting ivshmemd --embedded, which needs neither systemd nor root"):
        manager = Manager(workshop, build)
    user = pwd.getpwuid(os.geteuid()).pw_name
    settings = [f"--size={SIZE >> 20}M", f"--vectors={VECTORS}", "--max-peers=8", f"--user={user}"]
    manager.show("create", "demo", *settings, "--start")
    manager.show("list")
    return manager


def start_guest(workshop, manager, name):
    """A VM with the device that ivshmemctl gives it."""
    return workshop.start_guest(name, *json.loads(manager.ask("qemu-args", "demo", f"--id={DEVICE_ID}", "--json=short")))


def boot(workshop, manager):
    title("Two VMs")
    say("  Each gets what this prints:\n")
    manager.show("qemu-args", "demo")
    say()
    with progress("making the guest image (the first time it fetches Debian's cloud kernel, 26 MB)"):
        workshop.image()
    with progress("booting two Linux guests side by side, without KVM"):
        guests = [start_guest(workshop, manager, name) for name in ("alice", "bob")]
        for guest in guests:
            guest.wait_ready()
    numbers = {}
    for guest in guests:
        info = guest.info()
        numbers[guest.name] = info["id"]
        say(
            f"  {guest.name:5} is VM ID {info['id']}: sees {info['size'] >> 20} MiB of shared memory"
            f" and {info['vectors']} vectors"
        )
    manager.show("peers", "demo")
    return guests, numbers


def exchange_messages(guests, numbers):
    title("Messages through the shared memory")
    alice, bob = guests
    texts = (
        (alice, bob, "Hello bob, are you there?"),
        (bob, alice, "Hello alice! This came through no network at all."),
        (alice, bob, "And the doorbell told you when to look."),
    )
    for sender, receiver, text in texts:
        offset, message = MAILBOX * numbers[sender.name], text.encode()
        sender.write(offset, message)
        sender.ring(numbers[receiver.name], 0)
        receiver.wait(0)
        received = receiver.read(offset, len(message))
        assert received == message, f"{receiver.name} read {received!r}"
        say(f"  {sender.name:5} writes at {offset:#06x} and rings; {receiver.name:5} wakes up and reads:")
        say(f"      {received.decode()}")
    with progress(f"alice fills all {SIZE >> 20} MiB with a pattern, and both add it up"):
        alice.fill(0, SIZE, 2026)
        sums = [guest.sum(0, SIZE) for guest in guests]
    assert sums[0] == sums[1], sums
    say(f"  alice and bob have the same sum: {sums[0]:08x}")


def ring_doorbells(guests, numbers):
    title("Doorbells: every vector, in both directions")
    total = 0
    for sender, receiver in itertools.permutations(guests, 2):
        before = receiver.counts()
        for vector in range(VECTORS):
            sender.ring(numbers[receiver.name], vector)
            total += receiver.wait(vector)
        after = receiver.counts()
        assert [new - old for new, old in zip(after, before)] == [1] * VECTORS, (before, after)
        vectors = "  ".join(f"{vector} heard" for vector in range(VECTORS))
        say(f"  {sender.name:5} -> {receiver.name:5}  vector {vectors}")
    say(f"  {total} rings sent, {total} interrupts received, none on a wrong vector.")


def ring_from_the_host(manager, guests, numbers):
    title("The host can ring, too")
    alice = guests[0]
    manager.show("ring", "demo", str(numbers["alice"]), "3")
    alice.wait(3)
    say("  alice heard vector 3.")


def come_back(workshop, manager, guests, numbers):
    title("A VM that is killed and comes back")
    alice, bob = guests
    bob.kill()
    say("  bob's QEMU was killed. alice runs on: nobody needs to be told.")
    with progress("starting bob again"):
        bob = start_guest(workshop, manager, "bob").wait_ready()
    number = bob.info()["id"]
    assert number == numbers["bob"], number
    alice.ring(number, 1)
    bob.wait(1)
    bob.ring(numbers["alice"], 2)
    alice.wait(2)
    say(f"  bob is VM ID {number} again, and the doorbells work both ways.")


def explain(build):
    title("Attach a QEMU of your own")
    say("  As here, in a folder of your own:\n")
    say(f"    PATH={build}/client:{build}/service/manager:{build}/service/server:$PATH")
    say("    export IVSHMEM_DIRECTORY=$(mktemp -d)")
    say(f"    ivshmemd --embedded --directory $IVSHMEM_DIRECTORY --server {build}/service/server/ivshmem-server &")
    say(f"    ivshmemctl create demo --size={SIZE >> 20}M --vectors={VECTORS} --start\n")
    say("  and with each VM:\n")
    say("    qemu-system-x86_64 ... $(ivshmemctl qemu-args demo)\n")
    say("  The guest sees a PCI device 1af4:1110: BAR 0 registers, BAR 1 MSI-X, BAR 2 the memory.")


def main():
    parser = argparse.ArgumentParser(description="Two VMs share memory and ring each other.")
    parser.add_argument("build", type=pathlib.Path, help="the build folder: programs, logs and guest image")
    build = parser.parse_args().build.resolve()
    logs = build / "e2e-logs" / "demo"
    begin = time.monotonic()
    try:
        with Workshop(build / "service" / "server" / "ivshmem-server", build, logs) as workshop:
            manager = serve(workshop, build)
            guests, numbers = boot(workshop, manager)
            exchange_messages(guests, numbers)
            ring_doorbells(guests, numbers)
            ring_from_the_host(manager, guests, numbers)
            come_back(workshop, manager, guests, numbers)
    except KeyboardInterrupt:
        sys.exit("\nStopped; everything that was started has been ended.")
    except Skip as skip:
        sys.exit(f"\nThe demo cannot run here: {skip}")
    except Exception as error:  # whatever it was, the reader needs the logs and not a traceback
        sys.exit(f"\nThe demo failed: {error}\nLogs of the server and the VMs: {logs}")
    say(f"\nAll of that took {time.monotonic() - begin:.0f} s; the VMs and the manager have been ended.")
    explain(build)


if __name__ == "__main__":
    main()
