#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An upgrade of the program under running guests: what a server of a former version left is gone on with, and what one of
a version to come left is not lost.

The former version is played by tests/e2e/harness/predecessor.py, with a ledger that was left by the real one.
"""

import pathlib
import shutil
import types

from machine import CommandFailed
from scenario import run, service_of, socket_of

from harness import Workshop, check_doorbells, check_memory, definition, until
from harness import predecessor

VECTORS = 2
SIZE = 1 << 20
SERVICE = service_of("ring")
LEDGER = pathlib.Path(__file__).resolve().parents[1] / "ledgers" / "1-told"
VERSION_AT = 8  # in a ledger

DROP_IN = """[Service]
ExecStart=
ExecStart=/usr/bin/python3 /usr/local/lib/predecessor.py /usr/local/lib/ledger
"""

# Runs inside the machine as root, which may look into the server: `python3 - PID [VERSION]`. Shows the version of the
# ledger that it has mapped, or changes it.
LEDGER_VERSION = """
import os, sys
pid = sys.argv[1]
for line in open(f"/proc/{pid}/maps"):
    if "ivshmem-ledger" in line:
        start = int(line.split("-")[0], 16)
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start + %d)
            if len(sys.argv) > 2:
                memory.write(bytes([int(sys.argv[2])]))
            else:
                print(memory.read(1)[0])
""" % VERSION_AT


def ledger_version(machine, *set_to):
    pid = machine.show(SERVICE, "MainPID")
    return machine.run("python3", "-", pid, *set_to, input=LEDGER_VERSION).stdout.strip()


def restart_fails(machine):
    try:
        machine.systemctl("restart", SERVICE)
    except CommandFailed:
        return
    raise AssertionError("the restart has succeeded")


def install_predecessor(machine):
    folder = machine.path("/usr/local/lib")
    shutil.copy(predecessor.__file__, folder / "predecessor.py")
    shutil.copy(LEDGER, folder / "ledger")
    machine.drop_in(SERVICE, DROP_IN)


def upgrade(machine):
    """The new program is there from the next start on."""
    machine.path(f"/etc/systemd/system/{SERVICE}.d/test.conf").unlink()
    machine.systemctl("daemon-reload")


def body(machine):
    machine.define("ring", definition({"Size": SIZE, "Vectors": VECTORS, "MaxPeers": 8}, {"ConnectRate": 0}))
    install_predecessor(machine)
    machine.systemctl("start", SERVICE)
    domain = types.SimpleNamespace(path=machine.path(socket_of("ring")))
    workshop = machine.enter_context(Workshop("/nonexistent", machine.build, machine.logs / "guests"))
    guests = []
    for name in ("alice", "bob"):
        guests.append(workshop.guest(name, domain, VECTORS))
        guests[-1].wait_ready()
    peers = [machine.peer("ring", VECTORS) for _ in range(2)]
    machine.until_shows(SERVICE, "StatusText", "All were told")
    peers[0].close()

    def check():
        assert all(guest.alive() for guest in guests)
        assert [guest.info()["id"] for guest in guests] == [0, 1]
        check_doorbells(VECTORS, *guests)
        check_memory(SIZE, *guests)

    with machine.case("guests do not notice that a server of the former version is replaced by a new one"):
        contents = guests[0].sum(0, SIZE)
        upgrade(machine)
        machine.systemctl("restart", SERVICE)
        assert guests[1].sum(0, SIZE) == contents
        check()
        assert any("Went on with 3 peers of the server before" in line for line in machine.messages(SERVICE))

    with machine.case("the ledger has become one of the new version"):
        assert ledger_version(machine) == "2"

    with machine.case("who joins then gets the seat that was left, and all know each other"):
        late = machine.peer("ring", VECTORS)
        late.expect(*predecessor.SEATS)
        peers[1].expect(*predecessor.SEATS)
        assert late.id == predecessor.LEFT and late.ids == peers[1].ids
        late.ring(peers[1].id, 1)
        assert peers[1].wait(1) == 1 and peers[1].disconnects == 0

    with machine.case("a downgrade fails with what to do about it, and disconnects nobody"):
        ledger_version(machine, 3)
        restart_fails(machine)
        # Between two tries there is no status.
        why = "the ledger is of version 3, and this program knows none above 2: a newer ivshmem-server wrote it; start that"
        until(lambda: why in machine.show(SERVICE, "StatusText"), "the status says why")
        guests[0].ring(1, 0)
        assert guests[1].wait(0) == 1
        assert late.take_messages() == 0


run(body)
