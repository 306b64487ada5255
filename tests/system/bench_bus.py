#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the manager costs its clients on the system bus, with polkit and systemd, as printed figures."""

import json
import socket
import statistics
import subprocess
import time

from clients import Client
from scenario import run, socket_of

from harness import definition, until

UNIT = "ivshmemd.service"
ROUNDS = 30
MANY = 1000
RUNNING = 100
JOINS = 2000


def spread(samples):
    ordered = sorted(samples)
    values = (statistics.median(ordered), ordered[len(ordered) * 9 // 10], ordered[-1])
    return "median {:.2f} ms, 90% {:.2f} ms, most {:.2f} ms".format(*(1000 * value for value in values))


def process(machine):
    return machine.path(f"/proc/{machine.show(UNIT, 'MainPID')}")


def memory(machine):
    """Of the manager: resident, and private and dirty, in KiB."""
    lines = (process(machine) / "smaps_rollup").read_text().splitlines()
    values = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return f"{values['Rss']} KiB resident, {values['Private_Dirty']} KiB of it its own"


def cpu(machine):
    """Nanoseconds that the manager has run."""
    return int((process(machine) / "schedstat").read_text().split()[0])


def timed(client, function, *arguments, **settings):
    function(*arguments, **settings)
    return client.seconds


def bench_latency(machine, client, who):
    steps = {"create": [], "start": [], "stop": [], "remove": []}
    for number in range(ROUNDS):
        name = f"one{number % 5}"
        steps["create"].append(timed(client, client.create, name))
        steps["start"].append(timed(client, client.manager, "StartDomain", "s", name))
        steps["stop"].append(timed(client, client.manager, "StopDomain", "s", name))
        steps["remove"].append(timed(client, client.manager, "RemoveDomain", "s", name))
    for step, samples in steps.items():
        machine.comment(f"{who}: {step}: {spread(samples)}")
    machine.comment(f"{who}: create and start: {spread([a + b for a, b in zip(steps['create'], steps['start'])])}")


def bench_list(machine, client, what):
    for call, function in (
        ("ListDomains", client.names),
        ("GetManagedObjects", client.objects),
    ):
        before = cpu(machine)
        samples = [timed(client, function) for _ in range(10)]
        machine.comment(f"{what}: {call}: {spread(samples)}, {(cpu(machine) - before) / 1e7:.2f} ms of CPU each")


def bench_tool(machine, what):
    samples = []
    for _ in range(10):
        begin = time.monotonic()
        machine.run("ivshmemctl", "list", "--no-pager")
        samples.append(time.monotonic() - begin)
    machine.comment(f"{what}: ivshmemctl list, with nsenter: {spread(samples)}")


def bench_many(machine, root):
    machine.comment(f"one domain: {memory(machine)}")
    begin, before = time.monotonic(), cpu(machine)
    for number in range(MANY):
        root.create(f"d{number}")
    each = (time.monotonic() - begin) / MANY
    machine.comment(f"making {MANY}: {1000 * each:.2f} ms each, {(cpu(machine) - before) / MANY / 1e6:.2f} ms of CPU each")
    machine.comment(f"{MANY} domains: {memory(machine)}")
    bench_list(machine, root, f"{MANY} domains")
    bench_tool(machine, f"{MANY} domains")
    for number in range(RUNNING):
        root.manager("StartDomain", "s", f"d{number}")
    machine.comment(f"{MANY} domains, {RUNNING} running: {memory(machine)}")
    bench_list(machine, root, f"{MANY} domains, {RUNNING} running")
    machine.systemctl("restart", UNIT)
    begin = time.monotonic()
    assert len(root.names()) >= MANY
    machine.comment(f"{MANY} domains, {RUNNING} running: first answer after a restart: {1000 * (time.monotonic() - begin):.0f} ms")
    machine.comment(f"{MANY} domains, {RUNNING} running, after a restart: {memory(machine)}")


def join(path):
    """A peer that comes, is told its memory, and goes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.connect(path)
        left = 24
        while left > 0:
            left -= len(peer.recv(left))


def bench_events(machine, root):
    machine.define("busy", definition({"Size": "1M", "LogLevel": "err"}, {"ConnectRate": 0}))
    until(lambda: "busy" in root.names(), "it is there")
    root.manager("StartDomain", "s", "busy")
    command = [*machine.enter(), "ivshmemctl", "monitor", "--json=short", "busy"]
    monitor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
    machine.callback(monitor.kill)
    assert b"Listening" in monitor.stderr.readline()
    path = str(machine.path(socket_of("busy")))
    begin, before = time.monotonic(), cpu(machine)
    for _ in range(JOINS):
        join(path)
    joined = time.monotonic() - begin
    root.manager("StopDomain", "s", "busy")
    seen = {"peer-joined": 0, "peer-left": 0}
    while (event := json.loads(monitor.stdout.readline())["event"]) != "state":
        seen[event] += 1
    seconds, spent, events = time.monotonic() - begin, cpu(machine) - before, sum(seen.values())
    machine.comment(f"{JOINS} peers came and went in {joined:.2f} s; of a peer that is gone again already nobody need be told")
    machine.comment(
        f"ivshmemctl monitor has printed {events} events {seconds:.2f} s after the first: {events / seconds:.0f} per second, "
        f"{spent / max(1, events) / 1000:.0f} us of the manager's CPU each"
    )


def body(machine):
    machine.add_user("alice", "ivshmem")
    root, alice = Client(machine), Client(machine, "alice")
    for client in (root, alice):
        machine.callback(client.close)
    machine.path("/etc/ivshmem/ivshmemd.conf").write_text("[Global]\nDomains=unlimited\n")
    with machine.case("one domain after the other"):
        bench_latency(machine, root, "root")
        bench_latency(machine, alice, "a user, with polkit")
    with machine.case("events"):
        bench_events(machine, root)
    with machine.case("many domains"):
        bench_many(machine, root)


run(body)
