#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control link with real QEMUs: what they do when they are evicted, rung and joined by a local process, and what a
restart leaves of it."""

import os
import socket

from harness import Refused, RequestFailed, definition, run, until

VECTORS = 2


def refused(call, *arguments):
    """How a request is refused."""
    try:
        call(*arguments)
    except RequestFailed as failed:
        return failed.result
    raise AssertionError("it was done")


def connected(control, uid, gid):
    """A connection that the manager has made for a process with these credentials."""
    return socket.socket(fileno=control.open(uid, gid))


def refusal(peer):
    """The version by which a peer is refused."""
    try:
        peer.finish()
    except Refused as error:
        return error.version
    raise AssertionError("it was let in")


def mesh(peers, *seats):
    """All know the same doorbells of the same seats, and nobody was told of anybody's end."""
    for peer in peers:
        peer.expect(*seats)
    assert all(peer.disconnects == 0 for peer in peers)
    assert all(peer.ids[seat] == peers[0].ids[seat] for peer in peers for seat in seats)


def qemus(workshop, tap):
    manager = workshop.managed("domain", definition({"Size": "1M", "Vectors": VECTORS}, {"ConnectRate": 0}))
    control = workshop.control(manager)
    peer = workshop.peer(manager, VECTORS)
    guests = [workshop.qemu(name, manager, VECTORS) for name in ("alice", "bob", "carol")]
    peer.expect(1, 2, 3)
    for guest in guests:
        until(lambda guest=guest: peer.ids_of(0, 1, 2, 3) <= set(guest.eventfds()), f"{guest.name} has all doorbells")
        guest.run_firmware()

    with tap.case("the manager knows each QEMU with its process"):
        control.until(lambda: len(control.peers) == 4)
        assert {record.pid for record in control.peers.values()} == {os.getpid(), *(guest.process.pid for guest in guests)}

    with tap.case("an evicted QEMU lives, and so do the others, who are told nothing and ring each other"):
        told = peer.take_messages()
        control.evict(2)
        assert control.events[-1].kind == "left" and control.events[-1].text == "it was evicted"
        assert sorted(control.peers) == [0, 1, 3]
        for guest, seat in ((guests[0], 1), (guests[2], 3)):
            guest.ring(peer.id, 1)
            assert peer.wait(1) == 1
            assert guest.position() == seat
        # What it has mapped and opened cannot be taken from it.
        guests[1].ring(peer.id, 0)
        assert peer.wait(0) == 1
        assert all(guest.alive() for guest in guests)
        assert (told, peer.take_messages(), peer.disconnects) == (0, 0, 0)

    with tap.case("its VM ID is not given again, and newcomers do not hear of it"):
        late = workshop.qemu("dave", manager, VECTORS)
        peer.expect(4)
        late.run_firmware()
        assert late.position() == 4
        until(lambda: peer.ids_of(0, 1, 3, 4) <= set(late.eventfds()), "the newcomer has the others' doorbells")
        assert not set(late.eventfds()) & set(peer.ids[2])

    with tap.case("what the manager rings is heard on that vector and no other"):
        control.ring(0, 1)
        assert peer.wait(1) == 1
        assert not any(peer.unread(0)), peer.unread(0)


def restart(workshop, tap):
    manager = workshop.managed("restart", definition({"Size": "1M", "Vectors": VECTORS, "MaxPeers": 5}, {"ConnectRate": 0}))
    control = workshop.control(manager)
    peers = [workshop.peer(manager, VECTORS) for _ in range(4)]
    mesh(peers, 0, 1, 2, 3)
    peers.pop(3).close()
    control.until(lambda: 3 not in control.peers)
    evicted = peers.pop(1)

    with tap.case("evicted peers, connected and not, stay evicted over a restart; the others are not disturbed"):
        control.evict(1)
        control.evict(3)
        evicted.expect_end()
        manager.restart()
        control = workshop.control(manager)
        assert sorted(control.peers) == [0, 2]
        assert refused(control.evict, 1) == refused(control.evict, 3) == "no such peer"
        assert refused(control.ring, 3, 0) == "no such peer"
        late = workshop.peer(manager, VECTORS)
        assert late.id == 4
        late.expect(0, 2)
        assert sorted(late.ids) == [0, 2, 4]
        peers.append(late)
        mesh(peers, 0, 2, 4)
        for peer in peers:
            for other in peers:
                peer.ring(other.id, 1)
                assert other.wait(1) == 1

    with tap.case("the link works after a restart as before: who is there since when, counters from zero"):
        since = control.peers[0].since
        manager.restart()
        control = workshop.control(manager)
        assert sorted(control.peers) == [0, 2, 4]
        assert control.peers[0].since == since
        assert (control.domain.joins, control.domain.n_peers, control.domain.n_seats) == (0, 3, 5)
        control.ring(2, 0)
        assert peers[1].wait(0) == 1

    with tap.case("who the manager connects when all seats are taken or retired is refused like anybody else"):
        control.evict(2)
        peers.pop(1).expect_end()
        control.evict(4)
        peers.pop(1).expect_end()
        # Five seats, of which one is taken and four are retired: nothing is left.
        late = workshop.adopt(connected(control, 0, 0), VECTORS, wait=False)
        assert refusal(late) == 507


def opened(workshop, tap):
    manager = workshop.managed("open", definition({"Size": "1M", "Vectors": VECTORS}, {"ConnectRate": 0, "User": 4711}))
    control = workshop.control(manager)
    peer = workshop.peer(manager, VECTORS)

    with tap.case("a local process that the manager connects is a peer under its own name"):
        local = workshop.adopt(connected(control, 4711, 4712), VECTORS)
        peers = [peer, local]
        mesh(peers, 0, 1)
        control.until(lambda: 1 in control.peers)
        assert (control.peers[1].uid, control.peers[1].gid, control.peers[1].identity) == (4711, 4712, "uid:4711")

    with tap.case("it keeps its connection, its name and its VM ID over a restart"):
        manager.restart()
        control = workshop.control(manager)
        assert (control.peers[1].uid, control.peers[1].gid, control.peers[1].identity) == (4711, 4712, "uid:4711")
        late = workshop.peer(manager, VECTORS)
        peers.append(late)
        mesh(peers, 0, 1, 2)
        late.ring(1, 0)
        assert local.wait(0) == 1

    with tap.case("whose user may not join is refused by the connection that it gets"):
        assert refusal(workshop.adopt(connected(control, 4712, 4712), VECTORS, wait=False)) == 403
        control.until(lambda: control.events and control.events[-1].kind == "refused")
        assert (control.events[-1].uid, control.events[-1].refusal) == (4712, 403)

    with tap.case("a connection that its server died over before anything was said is refused, whoever it was for"):
        # As one that was stored, and is not in the ledger.
        manager.kill()
        ours, theirs = socket.socketpair()
        manager.keep("peer-3-99", theirs.detach())
        manager.start()
        assert refusal(workshop.adopt(ours, VECTORS, wait=False)) == 503


def body(workshop, tap):
    qemus(workshop, tap)
    restart(workshop, tap)
    opened(workshop, tap)


run(body)
