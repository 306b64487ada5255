#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A QEMU that stands still (SIGSTOP) while fifty peers join and leave: nobody waits for it, and it misses nothing."""

import time

from harness import run, until

VECTORS = 8
NEWCOMERS = 50
# More than the 278 messages that fit into the stopped QEMU's socket, so that the server has to keep its place.
assert NEWCOMERS * VECTORS > 278
AT_ONCE = 2.0  # seconds for a join that takes about a millisecond: a server that waits for the QEMU never gets there


def join(workshop, server):
    begin = time.monotonic()
    peer = workshop.peer(server, VECTORS, listener=True)
    return peer, time.monotonic() - begin


def body(workshop, tap):
    server = workshop.server("domain", "-n", str(VECTORS))
    observer = workshop.peer(server, VECTORS)
    qemu = workshop.qemu("stopped", server, VECTORS)
    bystander = workshop.qemu("bystander", server, VECTORS)
    observer.expect(1, 2)
    for each in (qemu, bystander):
        until(lambda each=each: observer.ids_of(0, 1, 2) <= set(each.eventfds()), f"{each.name} knows all")
    qemu.run_firmware()
    held_before = qemu.eventfds()
    qemu.stop()

    newcomers = []
    with tap.case(f"{NEWCOMERS} peers join at once, each with all its doorbells"):
        for _ in range(NEWCOMERS):
            peer, seconds = join(workshop, server)
            newcomers.append(peer)
            assert seconds < AT_ONCE, f"VM ID {peer.id} waited {seconds:.1f} s"
            for each in newcomers:
                each.take_messages()
        assert [peer.id for peer in newcomers] == list(range(3, 3 + NEWCOMERS))

    seats = range(3 + NEWCOMERS)
    with tap.case("those that do not stand still are told of each other meanwhile"):
        for peer in (observer, newcomers[0], newcomers[-1]):
            peer.expect(*seats)
            assert peer.ids_of(*seats) == observer.ids_of(*seats)
        until(lambda: observer.ids_of(*seats) <= set(bystander.eventfds()), "the other QEMU knows all")
        assert qemu.eventfds() == held_before, "the stopped QEMU has read something"

    with tap.case("all leave, and half of them come back at once on vacant seats"):
        for peer in newcomers:
            peer.close()
        back = []
        for _ in range(NEWCOMERS // 2):
            peer, seconds = join(workshop, server)
            back.append(peer)
            assert seconds < AT_ONCE, f"VM ID {peer.id} waited {seconds:.1f} s"
        assert set(peer.id for peer in back) <= set(seats)
        assert observer.take_messages() == 0

    with tap.case("after SIGCONT it holds each doorbell of the domain exactly once"):
        qemu.resume()
        ids = observer.ids_of(*seats)
        assert len(ids) == len(seats) * VECTORS
        until(lambda: ids <= set(qemu.eventfds()), "the QEMU that stood still knows all")
        held = qemu.eventfds()
        assert {number: held[number] for number in ids} == dict.fromkeys(ids, 1)

    with tap.case("and each of its doorbells reaches the right vector of the right VM"):
        present = {peer.id: peer for peer in (observer, *back)}
        for seat in sorted(set(seats) - {1, 2}):
            for vector in range(VECTORS):
                before = observer.unread(seat)
                qemu.ring(seat, vector)
                before[vector] += 1
                assert observer.unread(seat) == before, f"VM ID {seat}, vector {vector}"
            if seat in present:
                assert [present[seat].wait(vector) for vector in range(VECTORS)] == [1] * VECTORS

    with tap.case("when it ends, its successor has its VM ID and its doorbells"):
        own = observer.ids_of(1)
        assert qemu.quit() == 0
        again = workshop.qemu("again", server, VECTORS)
        until(lambda: own <= set(again.eventfds()), "its successor has its doorbells")


run(body)
