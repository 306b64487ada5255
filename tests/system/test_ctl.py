#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmemctl on a machine with systemd, a bus and polkit: alice runs what is hers without being root, bob has no part in it,
and what only systemd can do."""

import json
import pathlib
import sys

from scenario import run, service_of, socket_of

from harness import Timeout, until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "ctl"))
from terminal import Terminal  # noqa: E402  (it lives with the tests of the command)

FAILED, NO_SUCH_DOMAIN, NO_MANAGER, NOT_PERMITTED = 1, 4, 69, 77
PASSWORD = "a secret of the test"


def ctl(machine, *arguments, user=None, check=True):
    return machine.run("ivshmemctl", *arguments, user=user, check=check)


def listed(machine, user=None):
    return {row["name"]: row for row in json.loads(ctl(machine, "list", "--json=short", user=user).stdout)}


def refused(machine, status, words, *arguments, user=None):
    result = ctl(machine, *arguments, user=user, check=False)
    assert (result.returncode, result.stdout) == (status, ""), result
    assert words in result.stderr, result.stderr


def log_in(machine, user, *command):
    """A command on a terminal, in a login session, of which polkit wants one before it asks anybody."""
    session = ["systemd-run", "--quiet", "--pty", "--wait", "--collect", "--property=PAMName=login", f"--property=User={user}"]
    terminal = Terminal([*machine.enter(), *session, *command])
    machine.callback(terminal.kill)
    return terminal


def answer(terminal, password):
    """Types a password. pkttyagent asks first, switches the echo off then, and throws away what was typed in between."""
    terminal.expect("Password: ")

    def was_heard():
        terminal.send(f"{password}\n")
        try:
            terminal.expect("==== AUTHENTICATION ", seconds=2)
        except Timeout:
            return False
        return True

    until(was_heard, "polkit has heard the password")


def tenants(machine):
    with machine.case("a member of group ivshmem makes and starts a domain"):
        ctl(machine, "create", "ring", "--size=64M", "--vectors=4", user="alice")
        ctl(machine, "start", "ring", user="alice")
        row = listed(machine, "alice")["ring"]
        assert (row["state"], row["size"]) == ("running", 64 << 20), row
        status = ctl(machine, "status", "ring", user="alice").stdout
        assert "Owner: alice" in status and f"Unit: {service_of('ring')}; disabled" in status, status

    with machine.case("a transient one is for this boot"):
        ctl(machine, "create", "brief", "--size=1M", "--transient", user="alice")
        assert ctl(machine, "show", "brief", "-p", "Origin", "--value", user="alice").stdout == "transient\n"
        assert machine.path("/run/ivshmem/brief.domain").exists()
        ctl(machine, "remove", "brief", user="alice")

    with machine.case("another one neither sees nor touches it"):
        assert listed(machine, "bob") == {}
        for verb in ("status", "show", "stop", "peers", "open", "qemu-args"):
            refused(machine, NO_SUCH_DOMAIN, "there is no domain of this name", verb, "ring", user="bob")
        refused(machine, NO_SUCH_DOMAIN, "there is no domain of this name", "remove", "ring", user="bob")

    with machine.case("one who is in no group is told what would permit it"):
        refused(machine, NOT_PERMITTED, "Failed to create domain mine", "create", "mine", "--size=1M", user="bob")

    with machine.case("open: the owner is a peer under his own user"):
        shown = ctl(machine, "open", "ring", "write 0 abc", "read 0 3", user="alice").stdout
        assert "|abc|" in shown, shown
        rows = json.loads(ctl(machine, "limits", "--json=short", user="alice").stdout)
        assert {row["what"]: row["used"] for row in rows}["Bytes"] == 64 << 20, rows

    with machine.case("a start that fails points to the journal"):
        ctl(machine, "create", "huge", "--size=1024G", "--hugepages=1G")
        refused(machine, 1, f"see 'journalctl -u {service_of('huge')}'", "start", "huge")
        ctl(machine, "remove", "huge")


def mends(machine, *names):
    """What doctor says of its problems: subject and command."""
    rows = json.loads(ctl(machine, "doctor", *names, "--json=short", check=False).stdout)
    return {row["subject"]: row["mend"] for row in rows if row["severity"] == "problem"}


def systemd(machine):
    with machine.case("restart: a peer stays connected, and is served by another process"):
        peer = machine.peer("ring", 4)
        before = machine.show(service_of("ring"), "MainPID")
        ctl(machine, "restart", "ring", user="alice")
        assert machine.show(service_of("ring"), "MainPID") != before
        rows = json.loads(ctl(machine, "peers", "ring", "--json=short").stdout)
        assert [row["vm_id"] for row in rows] == [peer.id], rows
        ctl(machine, "ring", "ring", str(peer.id), "2")
        assert peer.wait(2) == 1

    with machine.case("enable and disable: systemd listens for the domain from boot on, or not"):
        ctl(machine, "create", "boot", "--size=1M")
        shown = ctl(machine, "enable", "--now", "boot").stderr
        assert "Created symlink " in shown and "ivshmem@boot.socket" in shown, shown
        assert machine.systemctl("is-enabled", "ivshmem@boot.socket").stdout == "enabled\n"
        assert machine.is_active(service_of("boot")) and "; enabled" in ctl(machine, "status", "boot").stdout
        assert "Removed " in ctl(machine, "disable", "--now", "boot").stderr
        assert not machine.is_active(service_of("boot"))
        assert machine.systemctl("is-enabled", "ivshmem@boot.socket", check=False).stdout == "disabled\n"

    with machine.case("what starts at boot is for administrators, whoever owns it"):
        refused(machine, NOT_PERMITTED, "Failed to enable: ", "enable", "ring", "--no-ask-password", user="alice")

    with machine.case("what systemctl does shows"):
        machine.systemctl("stop", service_of("ring"), "ivshmem@ring.socket")
        assert listed(machine)["ring"]["state"] == "stopped"
        machine.systemctl("start", service_of("ring"))
        assert listed(machine)["ring"]["state"] == "running"

    with machine.case("doctor finds nothing to mend, but what is there"):
        rows = json.loads(ctl(machine, "doctor", "ring", "--json=short", check=False).stdout)
        found = {row["subject"]: row for row in rows if row["subject"] in ("manager", "polkit")}
        assert {row["severity"] for row in found.values()} == {"good"} and len(found) == 2, rows
        assert any(row["finding"] == f"its socket {socket_of('ring')} can be reached" for row in rows), rows


    with machine.case("doctor finds what is masked, and so does whoever starts it"):
        machine.systemctl("mask", "ivshmem@boot.socket")
        refused(machine, FAILED, "Failed to start domain boot: ivshmem@boot.socket is masked, ", "start", "boot")
        refused(machine, FAILED, "Failed to enable: ivshmem@boot.socket is masked, ", "enable", "boot")
        assert mends(machine, "boot")["boot"] == "systemctl unmask ivshmem@boot.socket"
        machine.systemctl("unmask", "ivshmem@boot.socket")
        machine.systemctl("mask", "--now", "ivshmemd.service")
        refused(machine, NO_MANAGER, "Failed to list domains: ivshmemd.service is masked, ", "list")
        assert mends(machine)["manager"] == "systemctl unmask ivshmemd.service"
        machine.systemctl("unmask", "ivshmemd.service")
        assert mends(machine, "boot") == {}


def ways(machine):
    with machine.case("root needs no bus, others do"):
        command = ["env", "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/no/bus", "ivshmemctl", "list", "--no-legend"]
        assert machine.run(*command).stdout.split()[0] == "boot"
        result = machine.run(*command, user="alice", check=False)
        assert result.returncode == NO_MANAGER and "Failed to connect to the system bus" in result.stderr, result

    with machine.case("-M asks a container's manager; .host is this machine, as systemctl has it"):
        for name in (".host", "root@.host"):
            assert ctl(machine, "-M", name, "list", "--no-legend").stdout.split()[0] == "boot", name

    with machine.case("a password is asked for on a terminal, and the right one is good"):
        machine.run("chpasswd", input=f"root:{PASSWORD}\n")
        terminal = log_in(machine, "bob", "ivshmemctl", "create", "bobs", "--size=1M")
        answer(terminal, PASSWORD)
        assert terminal.end() == 0, terminal.text
        assert listed(machine, "bob")["bobs"]["state"] == "stopped"

    with machine.case("a wrong one is not, and nobody is asked with --no-ask-password"):
        terminal = log_in(machine, "bob", "ivshmemctl", "create", "more", "--size=1M")
        answer(terminal, "wrong")
        assert terminal.end() == NOT_PERMITTED, terminal.text
        terminal = log_in(machine, "bob", "ivshmemctl", "create", "more", "--size=1M", "--no-ask-password")
        assert terminal.end() == NOT_PERMITTED and "Password" not in terminal.text, terminal.text
        assert "more" not in listed(machine)


def body(machine):
    machine.add_user("alice", "ivshmem")
    machine.add_user("bob")
    tenants(machine)
    systemd(machine)
    ways(machine)


run(body)
