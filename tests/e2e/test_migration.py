#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with master=on moves from one server's domain to another's while it runs, and goes on there.

The two domains stand for two hosts: they share nothing, and the memory goes over with the VM.
"""

import zlib

from harness import QmpError, definition, doorbell_device, run

VECTORS = 4
SIZE = 4 << 20


def domain(workshop, name, size=SIZE):
    return workshop.domain(name, definition({"Size": size, "Vectors": VECTORS}))


def incoming(workshop, name, server):
    """A QEMU that waits for a guest; as the first of its domain it has VM ID 0."""
    uri = f"unix:{workshop.folder}/{name}.migration"
    arguments = [*doorbell_device(server.path, VECTORS, master=True), "-incoming", uri]
    return workshop.start_guest(name, *arguments), uri


def migrate(source, uri):
    """Moves the guest and returns how that ended."""
    source.qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    source.qmp.execute("migrate", uri=uri)
    while True:
        status = source.qmp.wait_event("MIGRATION")["data"]["status"]
        if status in ("completed", "failed"):
            return status


def check_doorbells(guest, peer):
    """Each vector, both ways. The guest has VM ID 0."""
    peer.expect(0)
    for vector in range(VECTORS):
        guest.ring(peer.id, vector)
        assert peer.wait(vector) == 1
        assert not any(peer.unread(peer.id)), peer.unread(peer.id)
        before = guest.counts()
        peer.ring(0, vector)
        assert guest.wait(vector) == 1
        before[vector] += 1
        assert guest.counts() == before


def body(workshop, tap):
    here, there = domain(workshop, "here"), domain(workshop, "there")
    small = domain(workshop, "small", SIZE // 2)
    source = workshop.guest("source", here, VECTORS, master=True).wait_ready()
    peer_here = workshop.peer(here, VECTORS)

    with tap.case("the master has VM ID 0 and rings its peer"):
        assert source.info()["id"] == 0
        check_doorbells(source, peer_here)

    with tap.case("a domain of another size refuses the guest, which goes on where it is"):
        refusing, uri = incoming(workshop, "refusing", small)
        assert migrate(source, uri) == "failed"
        assert refusing.process.wait() != 0
        assert source.qmp.execute("query-status")["status"] == "running"
        check_doorbells(source, peer_here)

    destination, uri = incoming(workshop, "destination", there)
    peer_there = workshop.peer(there, VECTORS)
    with tap.case("a guest without master=on cannot be migrated"):
        blocked = workshop.qemu("blocked", there, VECTORS)
        try:
            blocked.qmp.execute("migrate", uri="exec:cat>/dev/null")
        except QmpError as error:
            assert "peer" in str(error) or "migrat" in str(error), error
        else:
            raise AssertionError("QEMU began to migrate")
        blocked.kill()

    with tap.case("the migration completes"):
        source.fill(0, SIZE, 20)
        contents = zlib.crc32(peer_here.memory)
        assert contents != zlib.crc32(peer_there.memory)
        assert migrate(source, uri) == "completed"
        destination.qmp.wait_event("RESUME")
        assert source.quit() == 0

    with tap.case("the memory has come along, for the guest and for the destination's peers"):
        assert zlib.crc32(peer_there.memory) == contents
        assert destination.sum(0, SIZE) == contents

    with tap.case("what the guest writes goes to the destination's domain, and to no other"):
        destination.write(0, b"new home")
        assert peer_there.memory[0:8] == b"new home"
        assert zlib.crc32(peer_here.memory) == contents

    with tap.case("at the destination each vector works both ways"):
        assert destination.info()["id"] == 0
        check_doorbells(destination, peer_there)

    with tap.case("the source's domain gives VM ID 0 again to the master that comes home"):
        home, uri = incoming(workshop, "home", here)
        assert migrate(destination, uri) == "completed"
        home.qmp.wait_event("RESUME")
        assert home.info()["id"] == 0
        assert peer_here.memory[0:8] == b"new home"
        check_doorbells(home, peer_here)


run(body)
