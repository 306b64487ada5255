#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""VM ID 0 is kept for the migration master, whoever joins before it, and given to it again when it comes back.

QEMU itself refuses master=on with another VM ID: "master must connect to the server before any peers".
"""

from harness import definition, doorbell_device, run

VECTORS = 2
MASTER = "nobody"  # the user that the master's QEMU runs as


def start_master(workshop, server, name):
    arguments = doorbell_device(server.path, VECTORS, master=True)
    return workshop.start_qemu(name, *arguments, user=MASTER).negotiate()


def body(workshop, tap):
    text = definition(
        {"Size": "1M", "Vectors": VECTORS, "MaxPeers": 3},
        {"User": MASTER},
        {"master": {"VMID": 0, "User": MASTER, "Master": "yes"}},
    )
    server = workshop.domain("domain", text)

    with tap.case("a peer that comes before the master does not get VM ID 0"):
        early = workshop.peer(server, VECTORS)
        assert early.id == 1

    with tap.case("a master that comes after others is accepted by QEMU"):
        master = start_master(workshop, server, "master")
        early.expect(0)
        assert master.alive()

    with tap.case("a master that stopped gets VM ID 0 again, with others attached"):
        doorbells = early.ids_of(0)
        for turn in range(3):
            assert master.quit() == 0
            master = start_master(workshop, server, f"master-{turn}")
        assert master.alive()
        assert doorbells == early.ids_of(0) and early.take_messages() == 0

    with tap.case("while the master is away, nobody else gets VM ID 0"):
        assert master.quit() == 0
        second = workshop.peer(server, VECTORS)
        assert second.id == 2
        second.close()
        early.close()
        alone = workshop.peer(server, VECTORS)
        assert alone.id == 1, "the lowest free VM ID that is not reserved"
        assert start_master(workshop, server, "master-last").alive()


run(body)
