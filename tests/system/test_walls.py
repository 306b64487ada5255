#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What stands between domains, and what the units promise of it: asked of a machine on which they run."""

import re

from scenario import run, service_of

from harness import definition

EXPOSURE_MAX = 0.6

# What one user can do to a process: `python3 - PID`. Prints what was allowed.
REACH = """
import ctypes, os, sys

PTRACE_SEIZE, PIDFD_GETFD = 0x4206, 438
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])

def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result

attempts = {
    "signal": lambda: os.kill(pid, 0),
    "trace": lambda: check(libc.ptrace(PTRACE_SEIZE, pid, None, None)),
    "memory": lambda: open(f"/proc/{pid}/mem", "rb"),
    "maps": lambda: open(f"/proc/{pid}/maps").read(),
    "environment": lambda: open(f"/proc/{pid}/environ").read(),
    "descriptors": lambda: os.listdir(f"/proc/{pid}/fd"),
    "take a descriptor": lambda: check(libc.syscall(PIDFD_GETFD, os.pidfd_open(pid), 0, 0)),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except PermissionError:
        continue
    print(name)
"""


def main_pid(machine, domain):
    return int(machine.show(service_of(domain), "MainPID"))


def status(machine, pid):
    """/proc/PID/status as a dictionary."""
    lines = machine.run("cat", f"/proc/{pid}/status").stdout.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def reach(machine, who, pid):
    """What the user `who` (a number; None: root) can do to a process."""
    return set(machine.run("python3", "-", pid, input=REACH, user=who).stdout.splitlines())


def body(machine):
    for name in ("red", "blue"):
        machine.define(name, definition({"Size": "1M"}))
        machine.systemctl("start", service_of(name))
    pids = {name: main_pid(machine, name) for name in ("red", "blue")}
    uids = {name: status(machine, pid)["Uid"].split()[0] for name, pid in pids.items()}

    with machine.case("each domain has a user and a group of its own, named after it"):
        assert uids["red"] != uids["blue"] and "0" not in uids.values(), uids
        for name in pids:
            assert machine.run("ps", "-o", "user:40=,group:40=", "-p", pids[name]).stdout.split() == [f"ivs-{name}"] * 2

    with machine.case("root reaches a server (or the next scenarios would show nothing)"):
        assert reach(machine, None, pids["red"]) >= {"signal", "trace", "memory", "descriptors", "take a descriptor"}

    with machine.case("the user of one domain cannot signal, trace or read the server of another"):
        assert reach(machine, uids["red"], pids["blue"]) == set()
        assert reach(machine, uids["blue"], pids["red"]) == set()

    with machine.case("nor can a process of the same user: it can signal, but neither trace nor read"):
        assert reach(machine, uids["red"], pids["red"]) == {"signal"}

    with machine.case("a server that runs has no capabilities, a system call filter, and cannot gain privileges"):
        for pid in pids.values():
            found = status(machine, pid)
            assert {found[f"Cap{kind}"].strip("0") for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {""}, found
            assert found["Seccomp"] == "2" and found["NoNewPrivs"] == "1", found

    with machine.case("it sees no network, and neither /home nor any device but the usual"):
        inside = ["nsenter", "--target", pids["red"], "--mount"]
        interfaces = machine.run("cat", f"/proc/{pids['red']}/net/dev").stdout
        assert re.findall(r"(\w+):", interfaces) == ["lo"], interfaces
        assert machine.run(*inside, "ls", "/home", "/root").stdout.split() == ["/home:", "/root:"]
        assert not {"mem", "kvm", "fuse"} & set(machine.run(*inside, "ls", "/dev").stdout.split())

    with machine.case("systemd-analyze verify has nothing to say about the units"):
        instances = [f"ivshmem{kind}" for kind in ("@x.service", "@x.socket", "-control@x.socket", "-file@x.service")]
        for unit in (*instances, "ivshmem.slice"):
            result = machine.run("systemd-analyze", "verify", unit)
            assert not result.stdout + result.stderr, result.stdout + result.stderr

    with machine.case(f"systemd-analyze security: an exposure of {EXPOSURE_MAX} at most"):
        text = machine.run("systemd-analyze", "security", "--no-pager", "ivshmem@x.service").stdout
        exposure = float(re.search(r"exposure level.*: (\d+\.\d+)", text).group(1))
        assert exposure <= EXPOSURE_MAX, text

    with machine.case("a domain on nodes of its own choice starts behind all walls"):
        machine.define("nodes", definition({"Size": "1M", "NUMANodes": "0", "Prefault": "yes"}))
        machine.systemctl("start", service_of("nodes"))


run(body)
