#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manager comes and goes, and so do the bus, polkit and the servers: domains go on, and what the manager shows is true."""

import itertools

from clients import ERROR, MANAGER, PATH, BusError, Client, refused
from scenario import run, service_of

from harness import definition, until

UNIT = "ivshmemd.service"
PRIVATE = "unix:path=/run/ivshmem/bus"

DENIED = "org.freedesktop.DBus.Error.AccessDenied"

# What a call ends with whose manager was killed: the bus says so, or a manager that comes up meanwhile.
LOST = (
    "org.freedesktop.DBus.Error.NoReply",
    "org.freedesktop.DBus.Error.ServiceUnknown",
    "org.freedesktop.DBus.Error.NameHasNoOwner",
    "org.freedesktop.DBus.Error.Disconnected",
)


def pid_of(machine, unit):
    return machine.show(unit, "MainPID")


def kill(machine, unit):
    """Kills what a unit runs, and waits until it is gone."""
    old = pid_of(machine, unit)
    assert old != "0", f"{unit} does not run"
    machine.systemctl("kill", "--kill-whom=main", "--signal=KILL", unit)
    until(lambda: pid_of(machine, unit) != old, f"{unit} is gone or was replaced")


def until_get(client, name, prop, value):
    until(lambda: client.get(name, prop) == value, f"{name}: {prop} is {value}")


def states(client):
    return {row[0]: row[1] for row in client.manager("ListDomains")}


def check_true(machine, client):
    """What the manager shows is what systemd and the files say."""

    def agree():
        shown = states(client)
        active = {name: machine.is_active(service_of(name)) for name in shown}
        return all((state == "running") == active[name] for name, state in shown.items())

    until(agree, "the manager and systemd agree")
    files = {path.stem for folder in ("/etc", "/run", "/var/lib") for path in machine.path(f"{folder}/ivshmem").glob("*.domain")}
    assert files == set(states(client)), (files, states(client))


def activation(machine, alice):
    with machine.case("the first call starts the manager"):
        machine.systemctl("stop", UNIT)
        assert not machine.is_active(UNIT)
        assert alice.names() == []
        assert machine.is_active(UNIT)


def restarts(machine, root, alice):
    alice.create("ring", Vectors=2, MaxPeers=8)
    alice.create("kept", persistent=True)
    alice.manager("StartDomain", "s", "ring")
    qemu = machine.qemu("ring", "ring", user="alice")
    server = pid_of(machine, service_of("ring"))

    def check():
        until(lambda: states(alice) == {"kept": "stopped", "ring": "running"}, "one runs, the other does not")
        assert pid_of(machine, service_of("ring")) == server
        until_get(alice, "ring", "NPeers", 1)
        assert [peer[0] for peer in alice.domain("ring", "ListPeers")] == [0]
        assert qemu.alive()

    with machine.case("a peer of a running domain is listed"):
        check()

    with machine.case("the manager is restarted: it knows all that it knew, and no VM noticed"):
        machine.systemctl("restart", UNIT)
        check()

    with machine.case("it is killed: the next call finds another one that knows it all"):
        machine.kill_manager()
        check()

    with machine.case("it is stopped; a domain that was started meanwhile is known afterwards"):
        machine.systemctl("stop", UNIT)
        machine.systemctl("start", service_of("kept"))
        until(lambda: states(alice) == {"kept": "running", "ring": "running"}, "both run")
        alice.manager("StopDomain", "s", "kept")
        check()

    with machine.case("the server is killed: the manager shows the next one, with the peer"):
        old = alice.get("ring", "MainPID")
        kill(machine, service_of("ring"))
        until(lambda: alice.get("ring", "MainPID") not in (0, old), "another server")
        server = pid_of(machine, service_of("ring"))
        check()

    with machine.case("polkit is killed: rules are asked of the next one"):
        refused("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", alice.manager, "Reload")
        kill(machine, "polkit.service")
        alice.create("asked")
        alice.manager("RemoveDomain", "s", "asked")

    with machine.case("persistent definitions are in /var/lib, transient ones in /run; removing one leaves nothing"):
        assert machine.path("/var/lib/ivshmem/kept.domain").exists()
        assert machine.path("/run/ivshmem/ring.domain").exists()
        alice.manager("RemoveDomain", "s", "kept")
        assert not machine.path("/var/lib/ivshmem/kept.domain").exists()
        refused("DomainRunning", alice.manager, "RemoveDomain", "s", "ring")
        check_true(machine, root)

    qemu.kill()
    alice.manager("StopDomain", "s", "ring")
    alice.manager("RemoveDomain", "s", "ring")


def behind_its_back(machine, root):
    machine.define("web", definition({"Size": "1M"}))
    with machine.case("a definition of the administrator is there as soon as the file is"):
        until(lambda: states(root).get("web") == "stopped", "web is there")
        assert root.get("web", "Origin") == "administrator"

    with machine.case("systemctl start, stop, kill show up at once"):
        machine.systemctl("start", service_of("web"))
        until_get(root, "web", "State", "running")
        old = root.get("web", "MainPID")
        kill(machine, service_of("web"))
        until(lambda: root.get("web", "MainPID") not in (0, old), "another PID")
        until_get(root, "web", "State", "running")
        machine.systemctl("stop", service_of("web"))
        until_get(root, "web", "State", "stopped")

    with machine.case("a first connection starts a domain, and the manager shows it, with the peer"):
        machine.systemctl("start", "ivshmem@web.socket")
        peer = machine.peer("web")
        until_get(root, "web", "NPeers", 1)
        until_get(root, "web", "State", "running")
        peer.close()
        until_get(root, "web", "NPeers", 0)

    with machine.case("a definition that was changed, spoilt and removed while the domain runs"):
        machine.define("web", definition({"Size": "2M"}))
        until_get(root, "web", "DefinitionState", "changed")
        machine.define("web", definition({"Size": "3M"}))
        until_get(root, "web", "DefinitionState", "invalid")
        assert "/etc/ivshmem/web.domain:2: Size=3M is not a power of two" in root.get("web", "DefinitionError")
        machine.path("/etc/ivshmem/web.domain").unlink()
        until_get(root, "web", "DefinitionState", "removed")
        machine.systemctl("stop", "ivshmem@web.socket", service_of("web"))
        until(lambda: "web" not in states(root), "it is gone")

    with machine.case("files of the administrator are not for the manager to change"):
        machine.define("web", definition({"Size": "1M"}))
        until(lambda: "web" in states(root), "web is there")
        refused("NotOurs", root.manager, "RemoveDomain", "s", "web")
        refused("NotOurs", root.domain, "web", "Set", "a{sv}", {"Size": "2M"})
        machine.path("/etc/ivshmem/web.domain").unlink()
        until(lambda: "web" not in states(root), "it is gone")

    with machine.case("a domain that fails to start says why, and is shown as failed"):
        machine.define("bad", definition({"Size": "1M", "Path": "/etc/passwd/bad"}))
        until(lambda: "bad" in states(root), "bad is there")
        text = refused("StartFailed", root.manager, "StartDomain", "s", "bad")
        assert "/etc/passwd: Not a directory" in text, text
        until_get(root, "bad", "State", "failed")
        machine.path("/etc/ivshmem/bad.domain").unlink()


def without_bus(machine, root, alice):
    with machine.case("the private socket is root's and the manager's"):
        private = Client(machine, None, PRIVATE)
        assert private.names() == root.names()
        private.close()
        result = machine.run("busctl", f"--address={PRIVATE}", "tree", user="alice", check=False)
        assert result.returncode != 0 and "Permission denied" in result.stderr, result.stderr

    with machine.case("it starts a manager that does not run"):
        machine.systemctl("stop", UNIT)
        private = Client(machine, None, PRIVATE)
        private.create("quiet")
        private.close()
        assert machine.is_active(UNIT)

    with machine.case("the bus is stopped under a running domain: root manages on"):
        machine.systemctl("stop", "dbus.socket", "dbus.service")
        private = Client(machine, None, PRIVATE)
        private.manager("StartDomain", "s", "quiet")
        assert private.get("quiet", "State") == "running"
        peer = machine.peer("quiet")
        until_get(private, "quiet", "NPeers", 1)
        peer.close()
        private.manager("StopDomain", "s", "quiet")
        private.close()

    with machine.case("the bus is back, and the manager is on it"):
        machine.systemctl("start", "dbus.socket", "dbus.service")
        for client in (root, alice):
            client.reconnect()
        until(lambda: "quiet" in root.names(), "it is there")
        root.manager("RemoveDomain", "s", "quiet")


def storm(machine):
    """Four clients make, start, stop and remove domains, while manager, servers and polkit are killed again and again."""
    workers = {f"storm{i}": Client(machine, "alice") for i in range(4)}
    # polkit seldom, for it has a limit of starts itself.
    victims = itertools.cycle([UNIT, service_of("storm1"), UNIT, service_of("storm2"), UNIT, "polkit.service"])
    lost = 0
    for turn in range(40):
        for name, client in workers.items():
            calls = [
                ("CreateDomain", "sa{sv}b", name, {"Size": "1M"}, False),
                ("StartDomain", "s", name),
                ("StopDomain", "s", name),
                ("RemoveDomain", "s", name),
            ]
            client.send(PATH, MANAGER, *calls[turn % 4])
        if turn % 3 == 2:
            victim = next(victims)
            if machine.is_active(victim):
                kill(machine, victim)
        for client in workers.values():
            try:
                client.answer()
            except BusError as error:
                lost += 1
                # AccessDenied: polkit was lost.
                assert error.name in LOST or error.name == DENIED or error.name.startswith(ERROR), error
    machine.comment(f"{lost} of {40 * len(workers)} calls ended with an error")
    for client in workers.values():
        client.close()


def body(machine):
    machine.add_user("alice", "ivshmem")
    root, alice = Client(machine), Client(machine, "alice")
    machine.callback(root.close)
    machine.callback(alice.close)
    activation(machine, alice)
    restarts(machine, root, alice)
    behind_its_back(machine, root)
    with machine.case("parts are killed under load, and afterwards all is as it should be"):
        storm(machine)
        check_true(machine, root)
        for name, state in states(alice).items():
            if state != "stopped":
                alice.manager("StopDomain", "s", name)
            alice.manager("RemoveDomain", "s", name)
        assert states(root) == {}
        left = machine.systemctl("list-units", "--no-legend", "--state=active", "ivshmem@*.service").stdout
        assert left == "", left
    without_bus(machine, root, alice)


run(body)
