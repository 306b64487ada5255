#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Shows what the project does: two Linux VMs exchange messages through shared memory and ring each other's doorbells.

usage: demo.py SERVER BUILD-FOLDER

Everything it starts ends with it. Nothing is installed, and root is not needed.
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import pwd
import sys
import textwrap
import threading
import time

from harness import Skip, Workshop, definition

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


def serve(workshop):
    title("A domain")
    user = pwd.getpwuid(os.geteuid()).pw_name
    text = definition(
        {"Description": "two VMs that talk", "Size": f"{SIZE >> 20}M", "Vectors": VECTORS, "MaxPeers": 8},
        {"User": user},
    )
    say("  The definition, as it would stand in /etc/ivshmem/demo.domain:\n")
    say(textwrap.indent(text, "    "))
    with progress("starting its server"):
        server = workshop.domain("demo", text)
    say(f"  It runs as process {server.process.pid} and listens on {server.path}.")
    return server


def boot(workshop, server):
    title("Two VMs")
    with progress("making the guest image (the first time it fetches Debian's cloud kernel, 26 MB)"):
        workshop.image()
    with progress("booting two Linux guests side by side, without KVM"):
        guests = [workshop.guest(name, server, VECTORS) for name in ("alice", "bob")]
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


def come_back(workshop, server, guests, numbers):
    title("A VM that is killed and comes back")
    alice, bob = guests
    bob.kill()
    say("  bob's QEMU was killed. alice runs on: nobody needs to be told.")
    with progress("starting bob again"):
        bob = workshop.guest("bob", server, VECTORS).wait_ready()
    number = bob.info()["id"]
    assert number == numbers["bob"], number
    alice.ring(number, 1)
    bob.wait(1)
    bob.ring(numbers["alice"], 2)
    alice.wait(2)
    say(f"  bob is VM ID {number} again, and the doorbells work both ways.")


def explain(program):
    title("Attach a QEMU of your own")
    say("  Serve a domain (with QEMU's reference flags; a definition gives access rules, huge pages and more):\n")
    say(f"    {program} -F -S /tmp/demo.sock -l {SIZE >> 20}M -n {VECTORS}\n")
    say("  and add this to the command line of each VM (qemu-system-x86_64 ...):\n")
    say("    -chardev socket,id=shared,path=/tmp/demo.sock \\")
    say(f"    -device ivshmem-doorbell,chardev=shared,vectors={VECTORS}\n")
    say("  The guest sees a PCI device 1af4:1110: BAR 0 registers, BAR 1 MSI-X, BAR 2 the memory.")


def main():
    parser = argparse.ArgumentParser(description="Two VMs share memory and ring each other.")
    parser.add_argument("server", type=pathlib.Path, help="the ivshmem-server to run")
    parser.add_argument("build", type=pathlib.Path, help="the build folder, for logs and guest image")
    arguments = parser.parse_args()
    logs = arguments.build.resolve() / "e2e-logs" / "demo"
    begin = time.monotonic()
    try:
        with Workshop(arguments.server, arguments.build, logs) as workshop:
            server = serve(workshop)
            guests, numbers = boot(workshop, server)
            exchange_messages(guests, numbers)
            ring_doorbells(guests, numbers)
            come_back(workshop, server, guests, numbers)
    except KeyboardInterrupt:
        sys.exit("\nStopped; everything that was started has been ended.")
    except Skip as skip:
        sys.exit(f"\nThe demo cannot run here: {skip}")
    except Exception as error:  # whatever it was, the reader needs the logs and not a traceback
        sys.exit(f"\nThe demo failed: {error}\nLogs of the server and the VMs: {logs}")
    say(f"\nAll of that took {time.monotonic() - begin:.0f} s; both VMs and the server have been ended.")
    explain(arguments.server)


if __name__ == "__main__":
    main()
