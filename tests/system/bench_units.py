#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What domains cost under systemd, as printed figures: waiting, restarts, the fd store, memory, starts and stops."""

import contextlib
import os
import pathlib
import select
import socket
import statistics
import struct
import threading
import time

from scenario import run, service_of, socket_of

from harness import definition, until

VECTORS = 8
CROWDS = (1, 10, 64, 100, 500)
ROUNDS = 10
IDLE = 100
MANY = 200
TICKS = os.sysconf("SC_CLK_TCK")


def usec(seconds):
    return f"{seconds * 1000:.1f} ms"


def spread(samples):
    return f"median {usec(statistics.median(samples))}, {usec(min(samples))} to {usec(max(samples))}"


# ---- Peers that only listen ----


class Crowd:
    """Peers that read all they are sent and keep none of the descriptors: what is measured is the server."""

    def __init__(self, path, vectors):
        self._path = str(path)
        self._vectors = vectors
        self._sockets = []
        self._bytes = {}
        self._poll = select.epoll()
        self._ending = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while not self._ending:
            for fd, _ in self._poll.poll(0.05):
                with contextlib.suppress(BlockingIOError, OSError):
                    while count := len(os.read(fd, 4096)):  # without room for descriptors the kernel closes them
                        self._bytes[fd] += count

    def join(self):
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        peer.connect(self._path)
        peer.setblocking(False)
        self._bytes[peer.fileno()] = 0
        self._sockets.append(peer)
        self._poll.register(peer, select.EPOLLIN)

    def settle(self, seats, seconds=600):
        """Waits until each has been told of so many seats."""
        wanted = 8 * (3 + seats * self._vectors)
        until(lambda: all(self._bytes[peer.fileno()] >= wanted for peer in self._sockets), "all are told", seconds)

    def close(self):
        self._ending = True
        self._thread.join()
        for peer in self._sockets:
            peer.close()


def join_time(path, seats):
    """From connecting to the last of one's own doorbells; the connection."""
    begin = time.monotonic()
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.connect(str(path))
    left = 8 * (3 + seats * VECTORS)
    number = b""
    while left > 0:
        data = peer.recv(left)
        if not data:
            raise ConnectionError("the server closed the connection")
        number = number or data
        left -= len(data)
    assert struct.unpack("<q", number[:8])[0] == 0, "refused"
    return time.monotonic() - begin, peer


# ---- What processes cost ----


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid):
    """Private dirty and proportional memory in KiB."""
    lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    values = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines) if rest.endswith("kB")}
    return values["Private_Dirty"], values["Pss"]


def servers(machine):
    """Processes of this machine's servers, by their numbers here."""
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            inside = os.stat(stat.parent / "ns/pid").st_ino == os.stat(f"/proc/{machine.leader}/ns/pid").st_ino
            if inside and stat.read_text() == "ivshmem-server\n":
                found.append(int(stat.parent.name))
    return found


# ---- Figures ----


def bench_first(machine):
    machine.define("first", definition({"Size": "1M", "Vectors": VECTORS}, {"ConnectRate": 0}))
    machine.systemctl("start", "ivshmem@first.socket")
    samples = []
    for _ in range(ROUNDS):
        seconds, peer = join_time(machine.path(socket_of("first")), 1)
        samples.append(seconds)
        peer.close()
        machine.systemctl("stop", service_of("first"))
    machine.comment(f"from the first connection to complete setup, domain stopped: {spread(samples)}")


def replaced(machine, service, pid):
    until(lambda: machine.show(service, "MainPID") not in ("0", pid), "another server runs")
    machine.until_shows(service, "ActiveState", "active")


def gap(machine, domain, seats, restart):
    """How long a newcomer waits that connects when the server has just been told to end."""
    service, path = service_of(domain), machine.path(socket_of(domain))
    pid = machine.show(service, "MainPID")
    server = os.pidfd_open(next(iter(set(servers(machine)))))
    restart()
    select.select([server], [], [])  # readable when it has ended
    os.close(server)
    seconds, peer = join_time(path, seats)
    peer.close()
    replaced(machine, service, pid)
    return seconds


def bench_crowd(machine, peers):
    domain = f"crowd{peers}"
    service = service_of(domain)
    machine.define(domain, definition({"Size": "1M", "Vectors": VECTORS, "MaxPeers": peers + 1}, {"ConnectRate": 0}))
    machine.systemctl("start", service)
    crowd = Crowd(machine.path(socket_of(domain)), VECTORS)
    try:
        before = cpu(machine.leader)
        for _ in range(peers):
            crowd.join()
        crowd.settle(peers)
        stored = cpu(machine.leader) - before
        plain = []
        for _ in range(ROUNDS):
            seconds, peer = join_time(machine.path(socket_of(domain)), peers + 1)
            plain.append(seconds)
            peer.close()
        what = f"{peers} x {VECTORS}:"
        kill = ("kill", "--kill-whom=main", "-s", "KILL", service)
        before = cpu(machine.leader)
        gaps = [gap(machine, domain, peers + 1, lambda: machine.systemctl("restart", "--no-block", service)) for _ in range(ROUNDS)]
        each = (cpu(machine.leader) - before) / ROUNDS
        crashes = [gap(machine, domain, peers + 1, lambda: machine.systemctl(*kill)) for _ in range(ROUNDS)]
        machine.comment(f"{what} a join without a restart: {spread(plain)}")
        machine.comment(f"{what} a join during systemctl restart waits: {spread(gaps)}")
        machine.comment(f"{what} a join after kill -9 waits: {spread(crashes)}")
        machine.comment(f"{what} PID 1 took {usec(stored)} of CPU to store them, {usec(each)} for each restart")
    finally:
        crowd.close()
        machine.systemctl("stop", service, f"ivshmem@{domain}.socket")


def instances(count):
    return [f"many{i}" for i in range(count)]


def define_many(machine, count):
    for name in instances(count):
        machine.define(name, definition({"Size": "1M"}))


def timed(machine, verb, units):
    begin = time.monotonic()
    machine.run("systemctl", "--no-pager", verb, *units, seconds=600)
    return time.monotonic() - begin


def stop_many(machine, count):
    """The sockets, and the services with them."""
    return timed(machine, "stop", [f"ivshmem@{name}.{kind}" for name in instances(count) for kind in ("socket", "service")])


def bench_idle(machine):
    define_many(machine, IDLE)
    before = memory(machine.leader)
    timed(machine, "start", [service_of(name) for name in instances(IDLE)])
    pids = servers(machine)
    assert len(pids) == IDLE, len(pids)
    dirty, pss = (sum(values) for values in zip(*map(memory, pids)))
    after = memory(machine.leader)
    busy = sum(map(cpu, pids))
    time.sleep(5)
    machine.comment(f"{IDLE} idle domains: {dirty} KiB private and dirty, {pss} KiB proportional, in all servers")
    machine.comment(f"{IDLE} idle domains: {after[0] - before[0]} KiB more in PID 1")
    machine.comment(f"{IDLE} idle domains: {usec(sum(map(cpu, pids)) - busy)} of CPU in 5 s, in all servers")
    stop_many(machine, IDLE)


def bench_many(machine):
    define_many(machine, MANY)
    before = cpu(machine.leader)
    starts = timed(machine, "start", [service_of(name) for name in instances(MANY)])
    machine.comment(f"starting {MANY} domains at once: {starts:.2f} s, {starts / MANY * 1000:.1f} ms each")
    stops = stop_many(machine, MANY)
    machine.comment(f"stopping them: {stops:.2f} s, {stops / MANY * 1000:.1f} ms each")
    machine.comment(f"PID 1 took {cpu(machine.leader) - before:.2f} s of CPU for both")


def body(machine):
    with machine.case("first connection"):
        bench_first(machine)
        machine.systemctl("stop", "ivshmem@first.socket")
    for peers in CROWDS:
        with machine.case(f"restart with {peers} peers of {VECTORS} vectors"):
            bench_crowd(machine, peers)
    with machine.case("idle domains"):
        bench_idle(machine)
    with machine.case("many domains"):
        bench_many(machine)


run(body)
