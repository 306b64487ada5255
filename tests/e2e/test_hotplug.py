#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices that are plugged into a running QEMU, and unplugged again, while other peers come and go."""

from harness import run, until

VECTORS = 2


def holds(qemu, ids):
    return ids & set(qemu.eventfds())


def body(workshop, tap):
    server = workshop.server("domain", "-n", str(VECTORS))
    peer = workshop.peer(server, VECTORS)
    qemu = workshop.bare_qemu("host")

    with tap.case("a hot-plugged device takes a seat and gets the doorbells"):
        qemu.plug(server.path, VECTORS)
        peer.expect(1)
        ids = peer.ids_of(0, 1)
        until(lambda: holds(qemu, ids) == ids, "QEMU holds the doorbells")

    with tap.case("hot-unplug gives every doorbell back and leaves the VM alive"):
        qemu.unplug()
        assert not holds(qemu, ids), f"QEMU still holds {holds(qemu, ids)}"
        assert qemu.alive()

    with tap.case("the seat of an unplugged device is free for the next one"):
        qemu.plug(server.path, VECTORS)
        until(lambda: holds(qemu, ids) == ids, "QEMU holds the doorbells again")
        assert peer.take_messages() == 0

    with tap.case("hot-unplug after other peers have come and gone leaves the VM alive"):
        for _ in range(3):
            guests = [workshop.peer(server, VECTORS) for _ in range(3)]
            wanted = guests[0].ids_of(guests[0].id)
            until(lambda wanted=wanted: holds(qemu, wanted) == wanted, "QEMU was told of the newcomer")
            for guest in guests:
                guest.close()
        qemu.unplug()
        assert qemu.alive()

    with tap.case("unplug and plug again after all that"):
        qemu.plug(server.path, VECTORS)
        until(lambda: holds(qemu, ids) == ids, "QEMU holds the doorbells once more")
        qemu.unplug()
        assert qemu.alive()


run(body)
