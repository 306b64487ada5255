#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a refused QEMU says and does: it names the reason and ends; a running VM lives on without the device."""

import re

from harness import QmpError, definition, doorbell_device, run, until

STRANGER = "nobody"


def check_refused(qemu, version):
    """A refused QEMU does not start, and says why."""
    status = qemu.process.wait()
    said = qemu.process.output()
    assert status == 1, f"exit status {status}: {said}"
    assert f"server sent version {version}, expecting 0" in said, said


def check_logged(server, *words):
    """Some line of the server's log has all these words."""
    lines = [line for line in server.process.output().splitlines() if all(re.search(word, line) for word in words)]
    assert lines, f"no line with {words} in: {server.process.output()}"


def body(workshop, tap):
    closed = workshop.domain("closed", definition({"Size": "1M"}, {"User": "daemon"}))
    small = workshop.domain("small", definition({"Size": "1M", "MaxPeers": 2}, {"User": STRANGER}))
    seat = {"VMID": 3, "User": STRANGER}
    reserved = workshop.domain("reserved", definition({"Size": "1M"}, {"User": STRANGER}, {"only": seat}))
    sparing = workshop.domain("sparing", definition({"Size": "1M"}, {"User": STRANGER, "PeersPerUser": 1}))

    def start(name, server):
        return workshop.start_qemu(name, *doorbell_device(server.path, 1), user=STRANGER)

    with tap.case("a user whom [Access] does not name is refused with 403"):
        check_refused(start("not-permitted", closed), 403)

    with tap.case("the server's log says who was refused, and by which rule"):
        check_logged(closed, "403", r"\b65534\b", "Access")

    with tap.case("the user whom [Access] names is admitted"):
        admitted = start("admitted", small).negotiate()
        assert admitted.alive()

    with tap.case("one more than MaxPeers is refused with 507, and the others stay"):
        last = start("last", small).negotiate()
        check_refused(start("too-many", small), 507)
        assert admitted.alive() and last.alive()

    with tap.case("a reserved seat that is taken is refused with 409, and its holder stays"):
        holder = start("holder", reserved).negotiate()
        check_refused(start("latecomer", reserved), 409)
        assert holder.alive()

    with tap.case("one more than PeersPerUser is refused with 429"):
        single = start("single", sparing).negotiate()
        check_refused(start("another", sparing), 429)
        assert single.alive()

    with tap.case("a refused hot-plug is an error of device_add, and the VM lives on"):
        host = workshop.start_qemu("host", user=STRANGER).negotiate()
        try:
            host.plug(closed.path, 1)
        except QmpError as error:
            assert "server sent version 403, expecting 0" in str(error), error
        else:
            raise AssertionError("the device was plugged in")
        assert host.alive()

    with tap.case("the same VM can be plugged into a domain that lets it in"):
        assert last.quit() == 0
        host.plug(small.path, 1)
        peer = workshop.peer(reserved, 1)  # root is always let in; any connection will do to see that servers are well
        assert peer.id != 3
        until(lambda: len(host.qmp.execute("query-chardev")) > 1, "the device is there")
        host.unplug()
        assert host.alive()


run(body)
