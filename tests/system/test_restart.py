#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Restarts, crashes and upgrades of a server under running guests: nothing changes for them."""

import types

from scenario import run, service_of, socket_of

from harness import Workshop, check_doorbells, check_memory, definition, until

VECTORS = 3
SIZE = 1 << 20
SERVICE = service_of("ring")


REMOVED = "; the definition was removed"
KEPT = "b005f60cdf03494ba540c216be863aea"


def text(**more):
    return definition({"Size": SIZE, "Vectors": VECTORS, "MaxPeers": 64, **more}, {"ConnectRate": 0})


def main_pid(machine):
    return machine.show(SERVICE, "MainPID")


def replaced(machine, old):
    """Waits until another process serves."""
    until(
        lambda: main_pid(machine) not in ("0", old) and machine.is_active(SERVICE),
        "systemd has started the server again",
    )


def kill(machine, signal):
    old = main_pid(machine)
    machine.systemctl("kill", "--kill-whom=main", "-s", signal, SERVICE)
    replaced(machine, old)


def body(machine):
    machine.define("ring", text())
    machine.drop_in(SERVICE, "[Service]\nWatchdogSec=10s\nTimeoutAbortSec=1s\n")
    machine.systemctl("start", SERVICE)
    domain = types.SimpleNamespace(path=machine.path(socket_of("ring")))
    workshop = machine.enter_context(Workshop("/nonexistent", machine.build, machine.logs / "guests"))
    guests = [workshop.guest(name, domain, VECTORS) for name in ("alice", "bob")]
    for guest in guests:
        guest.wait_ready()
    numbers = [guest.info()["id"] for guest in guests]

    def check():
        assert all(guest.alive() for guest in guests)
        assert [guest.info()["id"] for guest in guests] == numbers
        check_doorbells(VECTORS, *guests)
        check_memory(SIZE, *guests)

    check()
    guests[0].write(0, b"before the restarts")
    for what, restart in (
        ("systemctl restart", lambda: machine.systemctl("restart", SERVICE)),
        ("kill -9", lambda: kill(machine, "KILL")),
        ("a crash", lambda: kill(machine, "SEGV")),
        ("the end that a forbidden system call has", lambda: kill(machine, "SYS")),
        ("daemon-reload and kill -9", lambda: (machine.systemctl("daemon-reload"), kill(machine, "KILL"))),
        ("daemon-reexec and restart", lambda: (machine.systemctl("daemon-reexec"), machine.systemctl("restart", SERVICE))),
    ):
        with machine.case(f"guests do not notice {what}"):
            contents = guests[1].sum(0, SIZE)
            restart()
            assert guests[1].sum(0, SIZE) == contents
            check()

    with machine.case("a server that hangs is replaced by the watchdog, and guests do not notice"):
        old = main_pid(machine)
        machine.systemctl("kill", "--kill-whom=main", "-s", "STOP", SERVICE)
        replaced(machine, old)
        check()

    with machine.case("a ring during the restart arrives"):
        old = main_pid(machine)
        machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", SERVICE)
        guests[0].ring(numbers[1], 0)
        assert guests[1].wait(0) == 1
        replaced(machine, old)

    with machine.case("ten restarts in a row while a third guest and peers join: none is lost, IDs and doorbells stay"):
        peers = []
        for i in range(10):
            machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", SERVICE)
            if i == 0:
                third = workshop.guest("carol", domain, VECTORS)
            peers.append(machine.peer("ring", VECTORS))
        third.wait_ready()
        everybody = {*numbers, third.info()["id"], *(peer.id for peer in peers)}
        assert len(everybody) == 13, everybody
        for peer in peers:
            peer.expect(*everybody)
            assert all(len(doorbells) == VECTORS for doorbells in peer.ids.values()), peer.ids
        for peer in peers:
            for vector in range(VECTORS):
                peers[0].ring(peer.id, vector)
                assert peer.wait(vector) == 1
        for peer in peers:
            peer.close()
        check_doorbells(VECTORS, *guests, third)
        check_memory(SIZE, *guests, third)
        third.kill()
        check()

    with machine.case("a domain whose definition was removed outlives kill -9 and restart: guests stay, and others join"):
        path = machine.path("/etc/ivshmem/ring.domain")
        path.unlink()
        for restart in (lambda: kill(machine, "KILL"), lambda: machine.systemctl("restart", SERVICE)):
            restart()
            check()
            until(lambda: REMOVED in machine.show(SERVICE, "StatusText"), "the status says that it was removed")
            peer = machine.peer("ring", VECTORS)
            peer.expect(*numbers, peer.id)
            peer.close()
        assert machine.journal(f"MESSAGE_ID={KEPT}", "IVSHMEM_DOMAIN=ring")

    with machine.case("one that has become wrong does not end it either, and the status says what is wrong"):
        path.write_text("[Domain]\nSize=1M\nVectors=many\n")
        kill(machine, "KILL")
        check()
        until(lambda: "ring.domain:3: Vectors=" in machine.show(SERVICE, "StatusText"), "the status says what is wrong")

    with machine.case("a definition that was mended is taken by a reload, and all is as ever"):
        machine.define("ring", text(Description="mended"))
        machine.systemctl("reload", SERVICE)
        until(lambda: "definition" not in machine.show(SERVICE, "StatusText"), "the status is as ever")
        kill(machine, "KILL")
        check()

    with machine.case("the journal tells that each server went on where the one before stopped"):
        assert any("Went on with 2 peers of the server before" in line for line in machine.messages(SERVICE))

    with machine.case("systemctl stop ends the domain: the next start has new memory and nobody in it"):
        machine.systemctl("stop", SERVICE)
        machine.systemctl("start", SERVICE)
        peer = machine.peer("ring", VECTORS)
        assert peer.id == 0
        assert not any(peer.memory[0:64])


run(body)
