#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may join, as the machine's own users, groups, units and machines; and what the journal has of it."""

from scenario import run, service_of, socket_of

from harness import definition, until

JOINED = "0a0bd87a97a24ee5a5e555b3cc530f0e"
LEFT = "1920cd2f284d485189a7deb350e642be"
REFUSED = "38bfeb2cca2648178bb28c293dc44eb3"

ROUTER = "machine-qemu\\x2d7\\x2drouter.scope"  # as systemd-machined names it for libvirt
ANOTHER = "machine-qemu\\x2d8\\x2dweb.scope"


def add_users(machine):
    """Two users, one of them in a group besides its own."""
    machine.add_user("alice")
    machine.add_user("bob", "vms")


def record(machine, message_id, domain, number=1):
    """One of the records of a kind about a domain. A client may be further than what is logged about it."""
    matches = (f"MESSAGE_ID={message_id}", f"IVSHMEM_DOMAIN={domain}")
    found = lambda: machine.journal(*matches)[number - 1 : number]
    return until(found, f"record {number} of {message_id} about {domain}")[0]


def check_refused(qemu, version=403):
    status, said = qemu.process.wait(), qemu.process.output()
    assert status == 1, f"exit status {status}: {said}"
    assert f"server sent version {version}, expecting 0" in said, said


def check_kept_out(qemu):
    """By the file system, before the server could say anything."""
    assert qemu.process.wait() == 1
    assert "Permission denied" in qemu.process.output(), qemu.process.output()


def check_fields(found, **wanted):
    for name, value in wanted.items():
        assert found.get(name) == str(value), f"{name} is {found.get(name)}, not {value}: {found}"


def start(machine, name, access, peers=None):
    machine.define(name, definition({"Size": "1M"}, access, peers))
    machine.systemctl("start", service_of(name))


def uid(machine, user):
    return machine.run("id", "--user", user).stdout.strip()


def body(machine):
    add_users(machine)
    start(machine, "user", {"User": "alice"})
    start(machine, "group", {"Group": "vms"})
    start(machine, "unit", {"Unit": "vm-*.scope"})
    start(machine, "machine", {"Machine": "qemu-*-router"}, {"router": {"VMID": 5, "Machine": "qemu-*-router"}})

    with machine.case("a user whom [Access] names is admitted, and the journal says as whom and by which rule"):
        qemu = machine.qemu("alice", "user", user="alice")
        check_fields(
            record(machine, JOINED, "user"),
            IVSHMEM_VM_ID=0,
            IVSHMEM_PEER_UID=uid(machine, "alice"),
            PRIORITY=6,
            _SYSTEMD_UNIT=service_of("user"),
        )

    with machine.case("when it leaves, the journal says so"):
        assert qemu.quit() == 0
        check_fields(record(machine, LEFT, "user"), IVSHMEM_VM_ID=0, IVSHMEM_PEER_UID=uid(machine, "alice"))

    with machine.case("another user's QEMU prints 403, and the journal says why"):
        check_refused(machine.start_qemu("bob", "user", user="bob"))
        found = record(machine, REFUSED, "user")
        check_fields(found, IVSHMEM_REFUSAL=403, IVSHMEM_PEER_UID=uid(machine, "bob"), PRIORITY=4)
        assert "[Access]" in found["IVSHMEM_RULE"] and found["IVSHMEM_RULE"] in found["MESSAGE"], found

    with machine.case("a member of a group that [Access] names is admitted; others are not"):
        machine.qemu("member", "group", user="bob")
        check_refused(machine.start_qemu("no-member", "group", user="alice"))

    with machine.case("a QEMU in a unit that [Access] names is admitted, and the journal names the unit"):
        machine.qemu("vm-1", "unit", user="alice", scope="vm-1.scope")
        check_fields(record(machine, JOINED, "unit"), IVSHMEM_PEER_UNIT="vm-1.scope")

    with machine.case("a QEMU of the same user in another unit, or in none, is refused"):
        check_refused(machine.start_qemu("other-unit", "unit", user="alice", scope="other.scope"))
        check_fields(record(machine, REFUSED, "unit"), IVSHMEM_PEER_UNIT="other.scope")
        check_refused(machine.start_qemu("no-unit", "unit", user="alice"))

    with machine.case("a machine that [Access] names gets the VM ID that is reserved for it"):
        machine.qemu("router", "machine", user="alice", scope=ROUTER)
        found = record(machine, JOINED, "machine")
        check_fields(found, IVSHMEM_VM_ID=5, IVSHMEM_PEER_MACHINE="qemu-7-router", IVSHMEM_PEER_UNIT=ROUTER)

    with machine.case("another machine is refused, and the journal names it"):
        check_refused(machine.start_qemu("web", "machine", user="alice", scope=ANOTHER))
        check_fields(record(machine, REFUSED, "machine"), IVSHMEM_PEER_MACHINE="qemu-8-web")

    with machine.case("a client of another PID namespace is nobody's unit, and not the server's own"):
        machine.peer("unit")  # root is always let in
        found = record(machine, JOINED, "unit", 2)
        check_fields(found, IVSHMEM_PEER_UID=0)
        assert "IVSHMEM_PEER_UNIT" not in found, found

    with machine.case("a drop-in that the manual shows leaves the socket to a group"):
        machine.drop_in("ivshmem@closed.socket", "[Socket]\nSocketGroup=vms\nSocketMode=0660\n")
        start(machine, "closed", {"User": "alice bob"})
        machine.qemu("closed-bob", "closed", user="bob")
        check_kept_out(machine.start_qemu("closed-alice", "closed", user="alice"))

    with machine.case("another one leaves it to a user, by an access control list"):
        command = f"/usr/bin/setfacl -P -m u:alice:rw {socket_of('acl')}"
        machine.drop_in("ivshmem@acl.socket", f"[Socket]\nSocketMode=0600\nExecStartPost={command}\n")
        start(machine, "acl", {"User": "alice bob"})
        machine.qemu("acl-alice", "acl", user="alice")
        check_kept_out(machine.start_qemu("acl-bob", "acl", user="bob"))


run(body)
