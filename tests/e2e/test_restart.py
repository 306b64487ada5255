#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 and start again: no peer is disconnected, IDs and doorbells stay, and what was being told goes on."""

import contextlib
import os
import pathlib
import signal
import socket

from harness import Refused, RequestFailed, ServerFailed, definition, run, until
from harness.predecessor import LEFT, SEATS, Predecessor

VECTORS = 3
MANY_VECTORS = 8
WINDOW_MIN = 8  # service/server/inflight.h

LEDGERS = pathlib.Path(__file__).resolve().parents[1] / "ledgers"
VERSION_AT = 8  # in a ledger


def text(**domain):
    return definition({"Size": "1M", "Vectors": VECTORS, "MaxPeers": 64, **domain}, {"ConnectRate": 0})


def ring_all(peers, vectors=VECTORS):
    for peer in peers:
        for other in peers:
            for vector in range(vectors):
                peer.ring(other.id, vector)
                assert other.wait(vector) == 1
                assert not any(other.unread(other.id)), "another vector was rung"


def refusal(join):
    """The version by which whoever joins is refused; 0: it joins."""
    try:
        join()
    except Refused as refused:
        return refused.version
    return 0


def upgrade(workshop):
    """A domain that a server of version 1 of the ledger left, with peers attached: the manager of their new server, and
    they."""
    predecessor = Predecessor((LEDGERS / "1-told").read_bytes())
    predecessor.write(b"from before")
    peers = []

    def leave(manager):
        peers.extend(predecessor.leave(workshop, manager))

    text_of_old = definition({"Size": "1M", "Vectors": 2, "MaxPeers": 8}, {"ConnectRate": 0})
    return workshop.managed("upgrade", text_of_old, before=leave), peers


def unread_of_newcomer(workshop, manager):
    """How many messages somebody has unread who joins and reads nothing, although there are more for it."""
    newcomer = workshop.start_peer(manager, MANY_VECTORS)
    # It has had its turns by the time that one behind it was told of everything.
    with contextlib.closing(workshop.peer(manager, MANY_VECTORS, listener=True)) as reader:
        reader.expect(*range(reader.id))
    return newcomer.unread_messages()


def stuck(workshop, tap):
    """Peers that read nothing, at a low limit of descriptors in flight: whoever comes may have less unread than those before."""
    manager = workshop.managed("stuck", text(Vectors=MANY_VECTORS, MaxPeers=80), nofile=4096)
    unread = [unread_of_newcomer(workshop, manager) for _ in range(70)]
    with tap.case("what a predecessor sent and nobody has read counts: a newcomer gets no more than before"):
        assert unread[-1] < unread[10], unread
        manager.restart()
        again = unread_of_newcomer(workshop, manager)
        assert WINDOW_MIN / 2 <= again <= unread[-1], f"{again} after {unread}"


def status(manager, part):
    """Waits until the status that systemd would show has this part."""
    until(lambda: part in (manager.status or ""), f"the status says {part!r}")


def fails_to_start(manager, *reasons):
    try:
        manager.start()
    except ServerFailed as failed:
        assert all(reason in str(failed) for reason in reasons), failed
        return
    raise AssertionError("it started")


def take_away(manager, name):
    """The store has lost this."""
    for entry in [entry for entry in manager.store if entry[0] == name]:
        os.close(entry[1])
        manager.store.remove(entry)


def forge(manager, *contents):
    """Puts other descriptors in the place of the definition in the store."""
    take_away(manager, "definition")
    for content in contents:
        fd = os.memfd_create("forged", os.MFD_ALLOW_SEALING)
        os.write(fd, content)
        manager.keep("definition", fd)


def without_definition(workshop, tap):
    """What becomes of a running domain whose definition is gone or wrong when its server dies."""
    manager = workshop.managed("kept", text())
    path = workshop.folder / "kept.domain"
    peers = [workshop.peer(manager, VECTORS) for _ in range(2)]
    for peer in peers:
        peer.expect(0, 1)

    def joined():
        peers.append(workshop.peer(manager, VECTORS))
        for peer in peers:
            peer.expect(*range(len(peers)))
        ring_all(peers)

    with tap.case("a domain whose definition was removed goes on after kill -9: peers stay, newcomers join, and it says so"):
        path.unlink()
        for _ in range(2):
            manager.restart()
            assert "Going on with the definition that the server before had" in manager.process.output()
            status(manager, "; the definition was removed")
        joined()

    with tap.case("one whose definition has become wrong does, and says what is wrong"):
        path.write_text("[Domain]\nSize=1M\nVectors=many\n")
        manager.restart()
        status(manager, "; served as before, for the definition is wrong: ")
        assert "kept.domain:3: Vectors=" in manager.status
        joined()

    with tap.case("a reloaded definition is what a successor goes on with"):
        path.write_text(definition({"Size": "1M", "Vectors": VECTORS, "MaxPeers": 64}, {"PeersPerUser": len(peers)}))
        control = workshop.control(manager)
        control.reload()
        until(lambda: "wrong" not in manager.status, "the status is as ever")
        path.unlink()
        manager.restart()
        assert refusal(lambda: workshop.peer(manager, VECTORS)) == 429
        ring_all(peers)

    with tap.case("a definition that was put back is what counts"):
        path.write_text(text())
        manager.restart()
        joined()
        until(lambda: "definition" not in (manager.status or "definition"), "the status is as ever")

    with tap.case("what a server of before did not keep is kept at once"):
        manager.kill()
        forge(manager)
        manager.start()
        manager.settle()
        assert manager.names().count("definition") == 1
        path.unlink()
        manager.restart()
        joined()

    with tap.case("also where the store had just as much room as that server took"):
        narrow = workshop.managed("just", text(MaxPeers=2), store=7)
        there = workshop.peer(narrow, VECTORS)
        narrow.kill()
        forge(narrow)
        narrow.pass_arguments(*workshop.served(workshop.folder / "just.domain", store=6))
        narrow.start()
        there.ring(0, 1)
        assert there.wait(1) == 1

    with tap.case("a kept definition that is nonsense is none: it starts with a definition again, and keeps that"):
        for contents in ((b"",), (b"[Domain]\nSize=1M\n",), (b"x" * (1 << 20), b"y")):
            manager.kill()
            forge(manager, *contents)
            path.unlink(missing_ok=True)
            fails_to_start(manager, "ended with 1:", "kept.domain")
            path.write_text(text())
            manager.start()
            manager.settle()
            assert manager.names().count("definition") == 1
            path.unlink()
            manager.restart()
            ring_all(peers)

    with tap.case("two of a name, or one beside something else, are made one"):
        for make in (lambda fd: os.dup(fd), lambda _: os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)):
            manager.kill()
            path.write_text(text())
            manager.keep("definition", make(dict(manager.store)["definition"]))
            manager.start()
            path.unlink()
            manager.settle()
            assert manager.names().count("definition") == 1
            manager.restart()
            ring_all(peers)

    with tap.case("a domain that begins has to have a definition of its own"):
        manager.kill()
        take_away(manager, "ledger")
        fails_to_start(manager, "ended with 1:", "kept.domain")


def ledger_version(manager, set_to=None):
    fd = dict(manager.store)["ledger"]
    if set_to:
        os.pwrite(fd, bytes([set_to]), VERSION_AT)
    return os.pread(fd, 1, VERSION_AT)[0]


def body(workshop, tap):
    with tap.case("what a server of version 1 left is gone on with: nobody is told anything, and all ring each other"):
        manager, peers = upgrade(workshop)
        for peer in peers:
            peer.expect(*SEATS)
        assert [peer.id for peer in peers] == [0, 1, 3]
        ring_all(peers, vectors=2)
        assert [peer.take_messages() for peer in peers] == [0, 0, 0]
        assert ledger_version(manager) == 2

    with tap.case("who joins then gets the seat that was left, with its doorbells, and the memory"):
        late = workshop.peer(manager, 2)
        late.expect(*SEATS)
        assert late.id == LEFT and late.ids == peers[0].ids
        assert late.memory[0:11] == b"from before"

    with tap.case("a ledger of a version to come is left alone: nobody is disconnected, and the log says what to do"):
        manager.kill()
        ledger_version(manager, set_to=3)
        before = manager.names()
        try:
            manager.start()
            raise AssertionError("it started")
        except ServerFailed as failed:
            assert "ended with 1:" in str(failed), failed
            assert "the ledger is of version 3, and this program knows none above 2" in str(failed), failed
        manager.settle()
        assert manager.names() == before
        ledger_version(manager, set_to=2)
        manager.start()
        ring_all([*peers, late], vectors=2)
        assert not any(peer.take_messages() for peer in [*peers, late])

    manager = workshop.managed("domain", text())
    peers = [workshop.peer(manager, VECTORS) for _ in range(3)]
    for peer in peers:
        peer.expect(0, 1, 2)
    peers[0].memory[0:5] = b"hello"

    with tap.case("the store holds memory, ledger, definition, and two descriptors for each peer"):
        manager.settle()
        assert manager.names() == sorted(
            ["definition", "ledger", "memory"] + [f"doorbells-{i}" for i in range(3)] + [f"peer-{i}-{i + 1}" for i in range(3)]
        ), manager.names()

    with tap.case("after kill -9 the peers are told nothing and ring each other as before"):
        manager.restart()
        ring_all(peers)
        assert [peer.take_messages() for peer in peers] == [0, 0, 0]

    with tap.case("who joins then is told of all, and all of it"):
        late = workshop.peer(manager, VECTORS)
        late.expect(0, 1, 2, 3)
        for peer in peers:
            peer.expect(3)
        assert late.id == 3
        assert late.memory[0:5] == b"hello"
        assert late.ids == peers[0].ids
        ring_all([*peers, late])
        manager.settle()
        assert "peer-3-4" in manager.names(), f"connections are not counted on: {manager.names()}"

    with tap.case("who joins while there is no server waits, and is served by the next"):
        manager.kill()
        waiting = workshop.start_peer(manager, VECTORS)
        manager.start()
        waiting.finish()
        assert waiting.id == 4

    with tap.case("who left while there was no server has left its seat vacant"):
        manager.kill()
        late.close()
        manager.start()
        again = workshop.peer(manager, VECTORS)
        assert again.id == 3, again.id
        manager.settle()
        assert len([name for name in manager.names() if name.startswith("peer-3-")]) == 1, manager.names()

    with tap.case("a peer that has read nothing yet is told everything, each doorbell once"):
        silent = workshop.start_peer(manager, VECTORS)
        others = [workshop.peer(manager, VECTORS) for _ in range(3)]
        for _ in range(3):
            manager.restart()
        silent.finish()
        silent.expect(*range(5), *(peer.id for peer in others))
        assert all(len(doorbells) == VECTORS for doorbells in silent.ids.values()), silent.ids
        assert silent.ids_of(0, 1, 2) == peers[0].ids_of(0, 1, 2)

    with tap.case("SIGTERM and start is the same"):
        manager.process.signal(signal.SIGTERM)
        assert manager.process.wait() == 0
        manager.settle()
        manager.start()
        ring_all(peers)

    with tap.case("a command line that the server does not understand is tried again, and nobody is disconnected"):
        manager.kill()
        path = workshop.folder / "domain.domain"
        manager.pass_arguments("--of-another-version", *workshop.served(path, store=4096))
        fails_to_start(manager, "ended with 1:", "of-another-version")
        assert "of-another-version" in manager.status
        manager.pass_arguments(*workshop.served(path, store=4096))
        manager.start()
        again = workshop.peer(manager, VECTORS)
        for peer in peers:
            peer.expect(again.id)
        ring_all([*peers, again])
        again.close()

    with tap.case("where nobody is attached it is not, and who waits is refused"):
        waiting = []

        def knock(manager):
            waiting.append(workshop.start_peer(manager, VECTORS))
            manager.pass_arguments("--of-another-version")

        try:
            workshop.managed("mistaken", text(), before=knock)
            raise AssertionError("it started")
        except ServerFailed as failed:
            assert "ended with 64:" in str(failed), failed
        assert refusal(waiting[0].finish) == 503

    with tap.case("a definition that was changed too much gives way to the attached peers, and stays refused"):
        manager.kill()
        path = workshop.folder / "domain.domain"
        other = {"Size": "2M", "HugePages": "2M", "Vectors": 5, "MaxPeers": 65, "Topology": "star", "Path": "/dev/shm/other"}
        path.write_text(text(**other))
        manager.start()
        more = workshop.peer(manager, VECTORS)
        assert len(more.memory) == 1 << 20
        for key in other:
            assert f"{key}= was changed, but the domain is running" in manager.process.output()
        try:
            workshop.control(manager).reload()
            raise AssertionError("it was reloaded")
        except RequestFailed as failed:
            assert sorted(str(failed).partition(": ")[2].split(", ")) == sorted(other), failed
        path.write_text(text(Size="2M", Vectors=5))

    with tap.case("a store without the doorbells of a seat is not gone on with, and serving begins anew"):
        manager.kill()
        take_away(manager, "doorbells-1")
        manager.start()
        assert "The doorbells of VM ID 1 are not there" in manager.process.output()
        fresh = workshop.peer(manager, 5)
        assert (fresh.id, len(fresh.memory)) == (0, 2 << 20)
        manager.settle()
        assert manager.names() == ["definition", "doorbells-0", "ledger", "memory", "peer-0-1"], manager.names()

    with tap.case("a seat that was retired when nobody sat on it is not given again by the next server"):
        retired = workshop.managed("retired", text())
        stays, leaves = (workshop.peer(retired, VECTORS) for _ in range(2))
        leaves.close()
        until(lambda: "peer-1-2" not in retired.names(), "the server has noticed")
        workshop.control(retired).evict(1)
        retired.restart()
        assert workshop.peer(retired, VECTORS).id == 2
        stays.expect(0, 2)

    with tap.case("a definition that was changed gives way also to somebody who was kept, and not greeted yet"):
        waiting = workshop.managed("waiting", text())
        waiting.kill()
        (workshop.folder / "waiting.domain").write_text(text(Size="2M"))
        kept = workshop.start_peer(waiting, VECTORS)
        waiting.keep("peer-0-1", waiting.listener.accept()[0].detach())
        waiting.start()
        kept.finish()
        assert len(kept.memory) == 1 << 20

    with tap.case("with nobody there it takes effect"):
        kept.close()
        waiting.settle()
        until(lambda: not any(name.startswith("peer-") for name in waiting.names()), "nobody is attached")
        waiting.restart()
        assert len(workshop.peer(waiting, VECTORS).memory) == 2 << 20

    with tap.case("somebody for whom a connection was made, and who was not greeted yet, is refused: who it is nobody knows"):
        waiting.kill()
        ours, theirs = socket.socketpair()
        waiting.keep("peer-9-9", theirs.detach())
        waiting.start()
        assert refusal(lambda: workshop.adopt(ours, VECTORS)) == 503

    with tap.case("a peer whose connection the store has lost has left"):
        there = workshop.peer(waiting, VECTORS)
        waiting.settle()
        waiting.kill()
        (lost,) = (name for name in waiting.names() if name.startswith(f"peer-{there.id}-"))
        take_away(waiting, lost)
        waiting.start()
        assert workshop.peer(waiting, VECTORS).id == there.id

    with tap.case("a ledger that could shrink under the server is none, whatever is in it"):
        manager.kill()
        ledger = dict(manager.store)["ledger"]
        loose = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
        os.write(loose, os.pread(ledger, os.fstat(ledger).st_size, 0))
        take_away(manager, "ledger")
        manager.keep("ledger", loose)
        manager.start()
        assert "Cannot use the ledger: Invalid argument" in manager.process.output()
        fresh.expect_end()

    with tap.case("a domain that the store has no room for does not start, and says what is too large"):
        try:
            workshop.managed("large", text(), store=130)
            raise AssertionError("it started")
        except ServerFailed as failed:
            assert "ended with 78" in str(failed), failed
            assert "MaxPeers=64 takes 131 places in systemd's fd store, but it has 130; raise" in str(failed), failed

    with tap.case("more than any store may have is not advised"):
        try:
            workshop.managed("larger", text(MaxPeers=2727))
            raise AssertionError("it started")
        except ServerFailed as failed:
            assert "MaxPeers=2727 takes 5457 places in systemd's fd store, but it has 4096; lower" in str(failed), failed

    with tap.case("what is not the domain's takes no room in a store that is just large enough"):
        manager = workshop.managed("narrow", text(MaxPeers=2), store=7)
        first = workshop.peer(manager, VECTORS)
        manager.kill()
        with open("/dev/null", "rb") as null:
            manager.keep("stranger", os.dup(null.fileno()))
            manager.keep("peer-9-9", os.dup(null.fileno()))
        manager.start()
        second = workshop.peer(manager, VECTORS)
        first.expect(0, 1)
        second.expect(0, 1)
        manager.settle()
        assert len(manager.names()) == 7, manager.names()

    with tap.case("newcomers are refused with 507 while the store is full, and the log says what to raise"):
        manager = workshop.managed("full", text(MaxPeers=4), store=11)
        peers = [workshop.peer(manager, VECTORS) for _ in range(2)]
        manager.kill()
        smaller = workshop.folder / "full.domain"
        smaller.write_text(text(MaxPeers=2))
        # Also with room for its doorbells alone: they are not left behind.
        for room in (8, 7):
            manager.pass_arguments(*workshop.served(smaller, store=room))
            manager.restart()
            assert "MaxPeers= was changed, but the domain is running" in manager.process.output()
            for _ in range(2):
                assert refusal(lambda: workshop.peer(manager, VECTORS)) == 507
            said = "systemd's fd store is full: raise FileDescriptorStoreMax= and --fd-store="
            assert said in manager.process.output(), manager.process.output()
            manager.settle()
            assert manager.names() == [
                *("definition", "doorbells-0", "doorbells-1", "ledger", "memory", "peer-0-1", "peer-1-2")
            ]

    with tap.case("those who are there stay, and who comes back has its place in the store"):
        assert [peer.take_messages() for peer in peers] == [VECTORS, 0]
        ring_all(peers)
        peers.pop().close()
        peers.append(workshop.peer(manager, VECTORS))
        assert peers[-1].id == 1
        peers[-1].expect(0)
        ring_all(peers)

    without_definition(workshop, tap)
    stuck(workshop, tap)


run(body)
