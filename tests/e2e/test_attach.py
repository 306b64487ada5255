#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real QEMU, without a guest, attaches to a domain: what its device shows, holds and rings."""

import collections

from harness import run, until

VECTORS = 4
SIZE = 4 << 20


def wait_for_seats(qemu, peer, *seats):
    """QEMU reads the doorbells that it is told of in its own time."""
    wanted = peer.ids_of(*seats)
    until(lambda: wanted <= set(qemu.eventfds()), f"{qemu.name} holds the doorbells of {seats}")


def body(workshop, tap):
    server = workshop.server("domain", "-l", "4M", "-n", str(VECTORS))
    peer = workshop.peer(server, VECTORS)
    qemu = workshop.qemu("first", server, VECTORS)
    peer.expect(1)
    wait_for_seats(qemu, peer, 0, 1)
    qemu.run_firmware()

    with tap.case("the device shows the VM ID that the server gave"):
        assert (peer.id, qemu.position()) == (0, 1)

    with tap.case("BAR 2 has the size of the domain"):
        assert qemu.region(2)[1] == SIZE, qemu.region(2)

    with tap.case("BAR 2 is the memory of the domain, to its last byte"):
        peer.memory[0:4] = b"head"
        peer.memory[SIZE - 4 : SIZE] = b"tail"
        start = qemu.region(2)[0]
        seen = qemu.gdb().read32(start), qemu.gdb().read32(start + SIZE - 4)
        assert seen == (int.from_bytes(b"head", "little"), int.from_bytes(b"tail", "little"))
        qemu.gdb().write32(start + 8, 0x12345678)
        assert peer.memory[8:12] == bytes.fromhex("78563412")

    with tap.case("each vector that QEMU rings is heard there and nowhere else"):
        for vector in range(VECTORS):
            qemu.ring(peer.id, vector)
            assert peer.wait(vector) == 1
            assert not any(peer.unread(peer.id)), peer.unread(peer.id)

    with tap.case("QEMUs that join later hold each doorbell of the domain once, and so do the earlier ones"):
        others = [workshop.qemu(name, server, VECTORS) for name in ("second", "third")]
        peer.expect(2, 3)
        wanted = collections.Counter(peer.ids_of(0, 1, 2, 3))
        assert len(wanted) == 4 * VECTORS
        for each in (qemu, *others):
            wait_for_seats(each, peer, 0, 1, 2, 3)
            held = {number: count for number, count in each.eventfds().items() if number in wanted}
            assert held == wanted, f"{each.name}: {held}"

    with tap.case("a QEMU that comes back has its VM ID and its doorbells again, and nobody is told"):
        told_before = peer.take_messages()
        assert qemu.quit() == 0
        again = workshop.qemu("again", server, VECTORS)
        wait_for_seats(again, peer, 0, 1, 2, 3)
        again.run_firmware()
        assert again.position() == 1
        assert (told_before, peer.take_messages(), peer.disconnects) == (0, 0, 0)

    with tap.case("QEMUs that leave in one order and come back in another share the same VM IDs"):
        for each in others:
            assert each.quit() == 0
        back = [workshop.qemu(f"back-{i}", server, VECTORS) for i in range(2)]
        for each in back:
            each.run_firmware()
        assert sorted(each.position() for each in back) == [2, 3]

    with tap.case("VMs go on and ring each other after the server has ended"):
        assert server.stop() == 0
        assert not server.path.exists(), "the socket was left behind"
        again.ring(peer.id, 1)
        assert peer.wait(1) == 1
        assert again.alive() and all(each.alive() for each in back)


run(body)
