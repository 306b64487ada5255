#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manager and systemd: what one does the other knows, whoever did it, and whichever of them was restarted."""

import json
import subprocess
import time

from scenario import run, service_of, socket_of

from harness import definition, until

NAME = "org.ivshmem1"
MANAGER = ("/org/ivshmem1", "org.ivshmem1.Manager")
DAEMON = "ivshmemd.service"


def object_of(domain):
    return f"/org/ivshmem1/domain/{domain}"


def call(machine, path, interface, method, *arguments, check=True):
    return machine.run("busctl", "call", "--json=short", NAME, path, interface, method, *arguments, check=check)


def manager(machine, method, *arguments, check=True):
    return call(machine, *MANAGER, method, *arguments, check=check)


def create(machine, domain, settings, persistent=False):
    pairs = [text for key, value in settings.items() for text in (key, "s", str(value))]
    manager(machine, "CreateDomain", "sa{sv}b", domain, len(settings), *pairs, str(persistent).lower())


def start(machine, domain):
    manager(machine, "StartDomain", "s", domain)


def stop(machine, domain):
    manager(machine, "StopDomain", "s", domain)


def prop(machine, domain, name):
    text = machine.run(
        "busctl", "get-property", "--json=short", NAME, object_of(domain), "org.ivshmem1.Domain", name
    ).stdout
    return json.loads(text)["data"]


def until_is(machine, domain, name, value):
    until(lambda: prop(machine, domain, name) == value, f"{domain}: {name} is {value}")


def main_pid(machine, domain):
    return int(machine.show(service_of(domain), "MainPID"))


def check_in_step(machine, domain):
    """What the manager shows is what systemd shows."""
    until_is(machine, domain, "MainPID", main_pid(machine, domain))
    entered = machine.show(service_of(domain), "ActiveEnterTimestamp")
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(prop(machine, domain, "RunningSince") // 1_000_000))
    entered = machine.run("date", "--utc", "--date", entered, "+%Y-%m-%d %H:%M:%S").stdout.strip()
    assert shown == entered, (shown, entered)


def watch(machine):
    """ivshmemctl monitor, once it listens."""
    command = [*machine.enter(), "ivshmemctl", "monitor", "--json=short"]
    monitor = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/")
    machine.callback(monitor.kill)
    assert "Listening" in monitor.stdout.readline()
    return monitor


def heard(machine, monitor, domain):
    """What it has heard of a domain by now, and the end of it."""
    create(machine, "mark", {"Size": "1M"})
    events = []
    while not events or events[-1]["domain"] != "mark":
        events.append(json.loads(monitor.stdout.readline()))
    manager(machine, "RemoveDomain", "s", "mark")
    monitor.kill()
    monitor.wait()
    return [event for event in events if event["domain"] == domain]


def refused(result):
    assert result.returncode != 0, result.stdout
    return result.stderr


def body(machine):
    with machine.case("a domain is made, started and stopped, and its sockets stop with it"):
        create(machine, "ring", {"Size": "1M", "Vectors": 2})
        assert machine.path("/run/ivshmem/ring.domain").read_text() == "[Domain]\nSize=1M\nVectors=2\n"
        start(machine, "ring")
        assert prop(machine, "ring", "State") == "running"
        assert machine.is_active(service_of("ring"))
        check_in_step(machine, "ring")
        stop(machine, "ring")
        assert prop(machine, "ring", "State") == "stopped"
        for unit in (service_of("ring"), "ivshmem@ring.socket", "ivshmem-control@ring.socket"):
            assert machine.show(unit, "ActiveState") == "inactive", unit
        assert not machine.path(socket_of("ring")).exists()

    with machine.case("what systemctl does shows"):
        machine.systemctl("start", service_of("ring"))
        until_is(machine, "ring", "State", "running")
        check_in_step(machine, "ring")
        machine.systemctl("stop", service_of("ring"))
        until_is(machine, "ring", "State", "stopped")
        until_is(machine, "ring", "MainPID", 0)

    with machine.case("a peer that wakes a domain shows"):
        machine.systemctl("start", "ivshmem@ring.socket")
        peer = machine.peer("ring", vectors=2)
        until_is(machine, "ring", "State", "running")
        until_is(machine, "ring", "NPeers", 1)

    with machine.case("a server that was killed or restarted is followed to its successor, and its peers have not left"):
        monitor = watch(machine)
        for replace in ("kill", "--signal=KILL"), ("restart",):
            before = main_pid(machine, "ring")
            machine.systemctl(*replace, service_of("ring"))
            until(lambda: main_pid(machine, "ring") not in (0, before), "there is a successor")
            until_is(machine, "ring", "State", "running")
            check_in_step(machine, "ring")
            until_is(machine, "ring", "NSeats", 1)
            assert prop(machine, "ring", "NPeers") == 1
        events = heard(machine, monitor, "ring")
        assert not [event for event in events if event["event"].startswith("peer")], events
        states = [event["state"] for event in events if event["event"] == "state"]
        assert states[-1] == "running" and not {"failed", "stopped"} & set(states), states

    with machine.case("a manager that was killed or restarted finds all, and no domain notices"):
        pid = main_pid(machine, "ring")
        machine.kill_manager()
        until(lambda: main_pid(machine, "ring") == pid, "the domain goes on")
        assert prop(machine, "ring", "State") == "running"
        machine.systemctl("restart", DAEMON)
        assert prop(machine, "ring", "State") == "running"
        check_in_step(machine, "ring")
        assert main_pid(machine, "ring") == pid
        until_is(machine, "ring", "NPeers", 1)
        peer.close()
        until_is(machine, "ring", "NPeers", 0)

    with machine.case("a definition that was edited is shown as changed until the server has read it"):
        machine.path("/run/ivshmem/ring.domain").write_text("[Domain]\nSize=1M\nVectors=2\nDescription=new\n")
        until_is(machine, "ring", "DefinitionState", "changed")
        machine.systemctl("reload", service_of("ring"))
        until_is(machine, "ring", "DefinitionState", "current")
        machine.systemctl("restart", DAEMON)
        assert prop(machine, "ring", "DefinitionState") == "current"

    for what in ("daemon-reload", "daemon-reexec"):
        with machine.case(f"systemd is followed after {what}"):
            machine.systemctl(what)
            machine.systemctl("stop", service_of("ring"))
            until_is(machine, "ring", "State", "stopped")
            start(machine, "ring")
            check_in_step(machine, "ring")

    with machine.case("a start that fails says why, and shows"):
        machine.define("wrong", definition({"Size": "1M", "Path": "/proc/nowhere/file"}))
        until_is(machine, "wrong", "State", "stopped")
        said = refused(manager(machine, "StartDomain", "s", "wrong", check=False))
        assert "/proc/nowhere" in said, said
        assert prop(machine, "wrong", "State") == "failed"
        assert "/proc/nowhere" in prop(machine, "wrong", "StatusText")
        stop(machine, "wrong")
        assert prop(machine, "wrong", "State") == "stopped"
        assert machine.show(service_of("wrong"), "ActiveState") == "inactive"
        machine.define("wrong", definition({"Size": "1M"}))
        until_is(machine, "wrong", "Path", "")
        start(machine, "wrong")
        assert prop(machine, "wrong", "State") == "running"

    with machine.case("a domain for a user who comes later starts when there is one"):
        machine.define("later", "[Domain]\nSize=1M\n[Access]\nUser=dora\n")
        until_is(machine, "later", "DefinitionState", "invalid")
        assert "dora" in refused(manager(machine, "StartDomain", "s", "later", check=False))
        machine.add_user("dora")
        start(machine, "later")
        assert prop(machine, "later", "DefinitionState") == "current"
        stop(machine, "later")

    with machine.case("a definition that was removed shows until its domain has stopped"):
        machine.path("/etc/ivshmem/wrong.domain").unlink()
        until_is(machine, "wrong", "DefinitionState", "removed")
        stop(machine, "wrong")
        until(lambda: "wrong" not in manager(machine, "ListDomains").stdout, "it is gone")

    with machine.case("a domain that was removed leaves no socket that waits for peers"):
        create(machine, "gone", {"Size": "1M"})
        machine.systemctl("start", "ivshmem@gone.socket")
        manager(machine, "RemoveDomain", "s", "gone")
        machine.until_shows("ivshmem@gone.socket", "ActiveState", "inactive")
        assert not machine.path("/run/ivshmem/gone.domain").exists()


if __name__ == "__main__":
    run(body)
