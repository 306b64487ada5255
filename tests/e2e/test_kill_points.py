#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""kill -9 before each single system call of a join, a leave and an eviction, and before those of a start that tell: nothing
is told twice, and nothing is left out.

A first run shows which calls there are; then the server is killed when it enters each of them. What happens between two
calls are stores to the ledger only; tests/model/test-ledger-steps.c stops between those.
"""

import collections
import contextlib
import itertools
import pathlib
import re
import shutil

from harness import RequestFailed, ServerFailed, Skip, definition, run, until
from harness.process import Process

VECTORS = 2

_numbers = itertools.count()


class Strace:
    """Writes the calls of a process down, and kills it when it enters one of them, if told to, or sends it another signal."""

    def __init__(self, workshop, kill, signal="KILL"):
        self._calls = workshop.logs / f"calls-{next(_numbers)}"
        inject = ["-e", f"inject={kill[0]}:signal=SIG{signal}:when={kill[1]}"] if kill else []
        self.command = [shutil.which("strace"), "-o", self._calls, *inject]

    def names(self):
        return re.findall(r"^(\w+)\(", self._calls.read_text(), re.MULTILINE)

    def calls(self):
        """Each call as its name and how often it had been made, itself included."""
        names = self.names()
        seen = collections.Counter()
        for name in names:
            seen[name] += 1
            yield name, seen[name]


class Tracer(Strace):
    """Of a process that runs."""

    def __init__(self, workshop, pid, kill=None, signal="KILL"):
        super().__init__(workshop, kill, signal)
        self._process = Process([*self.command, "-p", pid], workshop.logs / "strace.log")
        until(lambda: "attached" in self._process.output(), "strace is attached")

    def end(self):
        self._process.kill()

    def names(self):
        """Without the one that strace found it in, if it was in one."""
        names = super().names()
        return names[1:] if names[:1] in (["epoll_wait"], ["restart_syscall"]) else names


class Successor(Strace):
    """Of a process that is about to start, and that it lets be the manager's child."""

    # Of hundreds the few between which there is something to lose.
    _calls_that_tell = {"recvmsg", "sendmsg", "sendmmsg", "shutdown", "seccomp", "epoll_wait"}

    def __init__(self, workshop, kill=None):
        super().__init__(workshop, kill)
        self.command.insert(1, "-D")

    def calls(self):
        return (call for call in super().calls() if call[0] in self._calls_that_tell)


def is_waiting(pid):
    """Whether nobody traces the process, and it waits for something."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return "TracerPid:\t0\n" in status and "State:\tS" in status


def wait_done(manager, tracer, condition):
    """Waits until the server is dead, or has done what it had to. A dead one is started again; returns its calls."""
    process = manager.process
    until(lambda: process.status() is not None or condition(), "the server died or did what it had to")
    tracer.end()
    until(lambda: process.status() is not None or is_waiting(process.pid), "the server died or waits for more")
    if process.status() is not None:
        manager.kill()
        manager.start()
    return list(tracer.calls())


def check(peers, seats):
    for peer in peers:
        peer.expect(*seats)
    first = peers[0].ids
    for peer in peers:
        assert peer.ids == first, f"{peer.id} was told {peer.ids}, {peers[0].id} was told {first}"
        assert all(len(doorbells) == VECTORS for doorbells in peer.ids.values()), peer.ids
        assert peer.disconnects == 0


def start(workshop, n_peers):
    """A domain with peers that have read all there is."""
    name = f"domain-{next(_numbers)}"
    manager = workshop.managed(name, definition({"Size": "64K", "Vectors": VECTORS}, {"ConnectRate": 0}))
    peers = [workshop.peer(manager, VECTORS) for _ in range(n_peers)]
    check(peers, range(n_peers))
    manager.settle()
    return manager, peers


def join(workshop, kill=None, signal="KILL"):
    """A third peer joins two."""
    manager, peers = start(workshop, 2)
    tracer = Tracer(workshop, manager.process.pid, kill, signal)
    third = workshop.start_peer(manager, VECTORS)
    wanted = {third: 3 + 3 * VECTORS, peers[0]: VECTORS, peers[1]: VECTORS}
    calls = wait_done(manager, tracer, lambda: all(peer.unread_messages() >= n for peer, n in wanted.items()))
    try:
        third.finish()
        check([*peers, third], range(3))
    except ConnectionError:
        # Accepted, and not yet in the store: it never heard a word, and its place is for the next.
        assert signal == "KILL" and not hasattr(third, "id"), "a peer that had begun to join was cut off"
        check(peers, range(2))
        check([*peers, workshop.peer(manager, VECTORS)], range(3))
    manager.end()
    return calls


def leave(workshop, kill=None):
    """One of three peers leaves."""
    manager, peers = start(workshop, 3)
    tracer = Tracer(workshop, manager.process.pid, kill)
    peers.pop(1).close()
    calls = wait_done(manager, tracer, lambda: "peer-1-2" not in manager.names())
    again = workshop.peer(manager, VECTORS)
    assert again.id == 1, f"VM ID {again.id} for who comes back"
    check([*peers, again], range(3))
    manager.settle()
    assert len([name for name in manager.names() if name.startswith("peer-1-")]) == 1, manager.names()
    manager.end()
    return calls


def evict(workshop, kill=None):
    """One of three peers is evicted."""
    manager, peers = start(workshop, 3)
    control = workshop.control(manager)
    tracer = Tracer(workshop, manager.process.pid, kill)
    with contextlib.suppress(BrokenPipeError):  # it may be dead by now
        control.begin("evict", vm_id=1)
    calls = wait_done(manager, tracer, control.has_answer)
    evicted = peers.pop(1)
    # Who got no answer asks again. Only then the peer may be there still.
    try:
        workshop.control(manager).evict(1)
        assert kill, "it was not evicted"
    except RequestFailed as failed:
        assert failed.result == "no such peer"
    evicted.expect_end()
    late = workshop.peer(manager, VECTORS)
    assert late.id == 3, f"VM ID {late.id} for a newcomer"
    late.expect(0, 2)
    assert sorted(late.ids) == [0, 2, 3]
    check(peers, [0, 1, 2, 3])
    assert all(late.ids[seat] == peers[0].ids[seat] for seat in late.ids)
    manager.settle()
    assert not any(name.startswith("peer-1-") for name in manager.names()), manager.names()
    manager.end()
    return calls


def take_over(workshop, kill=None):
    """A server takes over from another: one of three peers has left, and somebody who was kept was not greeted yet."""
    manager, peers = start(workshop, 3)
    manager.kill()
    peers.pop(1).close()
    late = workshop.start_peer(manager, VECTORS)
    manager.keep("peer-3-4", manager.listener.accept()[0].detach())
    tracer = Successor(workshop, kill)
    manager.under = tracer.command
    try:
        manager.start()
    except ServerFailed as failed:
        assert kill and "ended with -9:" in str(failed), failed
    process = manager.process
    until(lambda: process.status() is not None or late.unread_messages() >= 3 + 3 * VECTORS, "the server died or went on")
    manager.under = []
    manager.restart()
    try:
        late.finish()
    except ConnectionError:
        # Taken out of the store, and not yet in it under its new name: as if it had just been accepted.
        assert kill and not hasattr(late, "id"), "a peer that had begun to join was cut off"
        late = workshop.peer(manager, VECTORS)
    assert late.id == 1, f"VM ID {late.id} for who comes next"
    check([*peers, late], range(3))
    manager.settle()
    assert len([name for name in manager.names() if name.startswith("peer-")]) == 3, manager.names()
    manager.end()
    return list(tracer.calls())


def body(workshop, tap):
    if not shutil.which("strace"):
        raise Skip("strace is not installed")
    for action, name, least in (
        (join, "a join", {"accept4", "sendmmsg", "sendmsg"}),
        (leave, "a leave", {"shutdown", "sendmsg"}),
        (evict, "an eviction", {"recvfrom", "shutdown", "sendmsg"}),
        (take_over, "a start that takes over", {"recvmsg", "sendmsg", "sendmmsg", "epoll_wait"}),
    ):
        with tap.case(f"killed before each system call of {name}, the next server makes it whole"):
            calls = action(workshop)
            assert least <= {call for call, _ in calls}, calls
            for call in calls:
                action(workshop, call)
            tap.comment(f"{len(calls)} calls")
    with tap.case("told to hand over at each system call of a join, the server leaves nobody behind"):
        for call in join(workshop):
            join(workshop, call, "USR1")


run(body)
