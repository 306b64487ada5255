#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two and then three Linux guests share memory and ring each other; one reboots, one is killed and started again.

usage: test_guests.py ... 4k|2m    the pages of the domain's memory
"""

import zlib

from harness import check_doorbells, check_memory, definition, huge_pages, run

VECTORS = 4
SIZE = 4 << 20

PAGES = {"4k": {}, "2m": {"HugePages": "2M"}}


def body(workshop, tap, pages):
    if pages == "2m":
        workshop.enter_context(huge_pages(SIZE >> 21))
    server = workshop.domain("domain", definition({"Size": SIZE, "Vectors": VECTORS, **PAGES[pages]}))
    alice = workshop.guest("alice", server, VECTORS)
    bob = workshop.guest("bob", server, VECTORS)
    for guest in (alice, bob):
        guest.wait_ready()

    with tap.case("two guests see their VM IDs, the vectors and the whole memory"):
        for number, guest in enumerate((alice, bob)):
            assert guest.info() == {"id": number, "vectors": VECTORS, "size": SIZE}, guest.info()

    with tap.case("two guests ring each vector of each other"):
        check_doorbells(VECTORS, alice, bob)

    with tap.case("two guests see each other's writes"):
        check_memory(SIZE, alice, bob)
        alice.write(SIZE - 8, b"from end")
        assert bob.read(SIZE - 8, 8) == b"from end"

    with tap.case("a peer on the host sees the memory as the guests do"):
        peer = workshop.peer(server, VECTORS)
        assert zlib.crc32(peer.memory) == alice.sum(0, SIZE)
        peer.memory[0:4] = b"host"
        assert bob.read(0, 4) == b"host"
        peer.close()

    carol = workshop.guest("carol", server, VECTORS).wait_ready()
    with tap.case("a third guest rings and is rung by those that were there before"):
        check_doorbells(VECTORS, alice, bob, carol)

    with tap.case("three guests see each other's writes"):
        check_memory(SIZE, alice, bob, carol)

    with tap.case("a guest that reboots keeps its VM ID, and doorbells work both ways"):
        number, contents = bob.info()["id"], alice.sum(0, SIZE)
        bob.reboot()
        assert bob.info()["id"] == number
        check_doorbells(VECTORS, alice, bob, carol)
        assert bob.sum(0, SIZE) == contents

    with tap.case("a guest whose QEMU was killed has its VM ID again, the memory, and doorbells both ways"):
        number = bob.info()["id"]
        bob.kill()
        assert alice.alive() and carol.alive()
        check_doorbells(VECTORS, alice, carol)
        bob = workshop.guest("bob", server, VECTORS).wait_ready()
        assert bob.info()["id"] == number
        assert bob.sum(0, SIZE) == contents
        check_doorbells(VECTORS, alice, bob, carol)


run(body)
