#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hundred reconnects while two QEMUs stay attached: no QEMU crashes, nobody is told anything, doorbells stay right.

With disconnect messages, as the reference server sends them, every attached QEMU writes to freed memory here.
"""

from harness import run, until

VECTORS = 4
RECONNECTS = 100


def check_doorbells(peer, qemu):
    for vector in range(VECTORS):
        qemu.ring(peer.id, vector)
        assert peer.wait(vector) == 1
        assert not any(peer.unread(peer.id)), f"vector {vector} rang others too: {peer.unread(peer.id)}"


def body(workshop, tap):
    server = workshop.server("domain", "-n", str(VECTORS))
    peer = workshop.peer(server, VECTORS)
    attached = [workshop.qemu(name, server, VECTORS) for name in ("left", "right")]
    changing = workshop.bare_qemu("changing")
    changing.plug(server.path, VECTORS)
    visitor = workshop.peer(server, VECTORS)
    peer.expect(1, 2, 3, 4)
    visitor_id = visitor.id
    visitor.close()
    ids = peer.ids_of(0, 1, 2, 3, 4)
    for qemu in attached:
        until(lambda qemu=qemu: ids <= set(qemu.eventfds()), f"{qemu.name} holds all doorbells")
        qemu.run_firmware()
    before = [qemu.eventfds() for qemu in attached]

    with tap.case(f"a client reconnects {RECONNECTS} times and has the same VM ID each time"):
        for _ in range(RECONNECTS):
            again = workshop.peer(server, VECTORS)
            assert again.id == visitor_id, f"VM ID {again.id} instead of {visitor_id}"
            again.close()

    with tap.case(f"a QEMU's device reconnects {RECONNECTS} times and has the same doorbells each time"):
        for _ in range(RECONNECTS):
            # QEMU 7.2 crashes by itself when a device is unplugged that is still being told of doorbells.
            until(lambda: ids <= set(changing.eventfds()), "the device has all doorbells")
            changing.unplug()
            changing.plug(server.path, VECTORS)

    with tap.case("the peers that stayed were told nothing"):
        assert (peer.take_messages(), peer.disconnects) == (0, 0)
        assert [qemu.eventfds() for qemu in attached] == before

    with tap.case("no QEMU has crashed, and each doorbell still reaches its vector"):
        for qemu in attached:
            assert qemu.alive()
            check_doorbells(peer, qemu)
        assert changing.alive()


run(body)
