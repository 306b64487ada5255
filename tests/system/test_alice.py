#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A user without root makes a domain with ivshmemctl, and runs two Linux guests on it; each client sees the same of it."""

import json
import shlex

from clients import Client, domain_path
from scenario import run, service_of

from harness import check_doorbells, check_memory, until

SIZE = 1 << 20
VECTORS = 2


def body(machine):
    machine.add_user("alice", "ivshmem")
    machine.add_user("bob", "ivshmem")

    def ctl(*arguments, user="alice", **more):
        return machine.run("ivshmemctl", *arguments, user=user, **more)

    with machine.case("alice makes and starts a domain"):
        ctl("create", "ring", "--size", "1M", "--vectors", VECTORS)
        ctl("start", "ring")
        assert machine.is_active(service_of("ring"))

    arguments = shlex.split(ctl("qemu-args", "ring").stdout)
    guests = [machine.guest(name, arguments, user="alice") for name in ("one", "two")]
    with machine.case("two guests of hers reach each other"):
        for guest in guests:
            guest.wait_ready()
        assert [guest.info()["id"] for guest in guests] == [0, 1]
        check_doorbells(VECTORS, *guests)
        check_memory(SIZE, *guests)

    with machine.case("ivshmemctl, busctl, gdbus and python3-dbus see the same peers"):
        by_ctl = {row["vm_id"] for row in json.loads(ctl("peers", "ring", "--json=short").stdout)}
        path, interface = domain_path("ring"), "org.ivshmem1.Domain"
        text = machine.run(
            "busctl", "--json=short", "call", "org.ivshmem1", path, interface, "ListPeers", user="alice"
        ).stdout
        by_busctl = {row[0] for row in json.loads(text)["data"][0]}
        text = machine.run(
            *("gdbus", "call", "--system", "--dest", "org.ivshmem1", "--object-path", path),
            *("--method", f"{interface}.ListPeers"),
            user="alice",
        ).stdout
        client = Client(machine, "alice")
        machine.callback(client.close)
        by_python = {row[0] for row in client.domain("ring", "ListPeers")}
        assert by_ctl == by_busctl == by_python == {0, 1}, (by_ctl, by_busctl, by_python)
        assert "[(uint32 0, " in text and ", (1, " in text, text

    with machine.case("busctl introspects what gdbus does"):
        tree = machine.run("busctl", "introspect", "org.ivshmem1", path, user="alice").stdout
        other = machine.run(
            "gdbus", "introspect", "--system", "--dest", "org.ivshmem1", "--object-path", path, user="alice"
        ).stdout
        for member in ("EvictPeer", "OpenMemory", "NPeers", "PeerJoined", "MaxPeers"):
            assert member in tree and member in other, member

    with machine.case("ivshmemctl rings a guest"):
        ctl("ring", "ring", "1", "1")
        assert guests[1].wait(1) == 1

    with machine.case("a guest that reboots is not a newcomer"):
        joins = client.get("ring", "Joins")
        guests[0].reboot()
        assert client.get("ring", "Joins") == joins
        check_doorbells(VECTORS, *guests)

    with machine.case("the manager is killed and the server restarted under the guests"):
        machine.kill_manager()
        ctl("restart", "ring")
        until(lambda: client.get("ring", "NPeers") == 2, "both are there")
        check_doorbells(VECTORS, *guests)

    with machine.case("bob neither sees the domain nor rings in it"):
        before = guests[1].counts()
        result = ctl("ring", "ring", "1", "0", user="bob", check=False)
        assert result.returncode != 0 and "no domain" in result.stderr, result.stderr
        assert guests[1].counts() == before

    with machine.case("an evicted guest lives on, hears nobody, and its VM ID is not given again"):
        ctl("evict", "ring", "1")
        until(lambda: client.get("ring", "NPeers") == 1, "it is gone")
        assert guests[1].alive()
        guests[1].kill()
        third = machine.guest("three", arguments, user="alice").wait_ready()
        assert third.info()["id"] == 2
        check_doorbells(VECTORS, guests[0], third)

    with machine.case("stopping ends the domain"):
        ctl("stop", "ring")
        ctl("remove", "ring")
        assert client.names() == []


run(body)
