#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The control socket of a domain: whose it is, when it is there, and that it outlives what its domain outlives."""

from scenario import run, service_of

from harness import Control, Refused, RequestFailed, definition, until

SERVICE = service_of("ring")
SOCKET = "ivshmem-control@ring.socket"
NOBODY = "65534"
PATH = "/run/ivshmem-control/ring"

# What a user gets who connects: how many bytes, or why not.
CONNECT = f"""
import socket
try:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as link:
        link.settimeout(30)
        link.connect("{PATH}")
        print(len(link.recv(4096)))
except OSError as error:
    print(type(error).__name__)
"""


def connect_as(machine, user):
    return machine.run("python3", "-", input=CONNECT, user=user).stdout.strip()


def connect(machine):
    control = Control(machine.path(PATH))
    machine.callback(control.close)
    return control


def kill(machine):
    old = machine.show(SERVICE, "MainPID")
    machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", SERVICE)
    until(
        lambda: machine.show(SERVICE, "MainPID") not in ("0", old) and machine.is_active(SERVICE),
        "systemd has started the server again",
    )


def body(machine):
    machine.define("ring", definition({"Size": "1M"}, {"User": "nobody"}))
    with machine.case("a domain that does not run has no control socket, so that nothing starts it there"):
        machine.systemctl("start", "ivshmem@ring.socket")
        assert not machine.path(PATH).exists()
        assert connect_as(machine, None) == "FileNotFoundError"
        assert not machine.is_active(SERVICE)

    with machine.case("one that runs has one, for root and the manager's user only"):
        machine.systemctl("start", SERVICE)
        assert machine.run("stat", "--format=%U %a %F", PATH).stdout == "ivshmem 600 socket\n"
        assert connect_as(machine, None) == connect_as(machine, "ivshmem") == "1792"
        assert connect_as(machine, NOBODY) == "PermissionError"

    with machine.case("nobody but root can put something else in its place, which systemd would then give away"):
        for socket in (SOCKET, "ivshmemd.socket"):
            machine.systemctl("start", socket)
            path = machine.show(socket, "Listen").split(" (")[0]
            owner = machine.run("stat", "--format=%U", path.rpartition("/")[0]).stdout.strip()
            assert owner == "root" or not machine.show(socket, "SocketUser"), (socket, path, owner)
            assert owner == "root" or not machine.show(socket, "SocketGroup"), (socket, path, owner)

    with machine.case("should the file system let somebody else through, the server does not"):
        machine.path(PATH).chmod(0o666)
        assert connect_as(machine, NOBODY) == "0"
        assert connect_as(machine, "ivshmem") == "1792"
        assert any("it is neither root nor the socket's owner" in line for line in machine.messages(SERVICE))
        machine.path(PATH).chmod(0o600)

    peers = [machine.peer("ring") for _ in range(3)]
    inode = machine.path(PATH).stat().st_ino
    with machine.case("the picture is the same after systemctl restart and kill -9, and the socket is, too"):
        before = connect(machine).peers
        assert sorted(before) == [0, 1, 2]
        for again in (lambda: machine.systemctl("restart", SERVICE), lambda: kill(machine)):
            again()
            assert machine.path(PATH).stat().st_ino == inode
            after = connect(machine).peers
            assert {seat: record.since for seat, record in after.items()} == {
                seat: record.since for seat, record in before.items()
            }

    with machine.case("who was evicted stays evicted over a restart, and the others stay connected"):
        connect(machine).evict(1)
        peers[1].expect_end()
        kill(machine)
        control = connect(machine)
        assert sorted(control.peers) == [0, 2]
        try:
            control.evict(1)
            raise AssertionError("it was there again")
        except RequestFailed as failed:
            assert failed.result == "no such peer"
        late = machine.peer("ring")
        assert late.id == 3
        for peer in (peers[0], peers[2], late):
            peer.expect(0, 2, 3)
            late.ring(peer.id, 0)
            assert peer.wait(0) == 1

    with machine.case("the journal has it, with the VM ID"):
        entries = machine.messages(SERVICE, "MESSAGE_ID=dcb051702c1540a9b3425fc45bd4441b", "IVSHMEM_VM_ID=1")
        assert len(entries) == 1 and "evicted" in entries[0], entries

    with machine.case("a reload over the link is one, and tells what is wrong"):
        control = connect(machine)
        control.reload()
        machine.define("ring", definition({"Size": "2M"}))
        try:
            control.reload()
            raise AssertionError("it was taken")
        except RequestFailed as failed:
            assert (failed.result, str(failed)) == ("takes a restart", "takes a restart: Size")
        machine.define("ring", "[Domain]\nSize=1M\nColour=red\n")
        try:
            control.reload()
            raise AssertionError("it was taken")
        except RequestFailed as failed:
            assert failed.result == "reload failed" and "/etc/ivshmem/ring.domain:3: " in str(failed)
        machine.define("ring", definition({"Size": "1M"}))

    with machine.case("a process that is connected over the link is let in by its unit, as the kernel has it"):
        machine.define("ring", definition({"Size": "1M"}, {"Unit": "app.service"}))
        control.reload()
        machine.run("systemd-run", "--unit=app", "--property=User=nobody", "sleep", "infinity")
        machine.run("systemd-run", "--unit=other", "--property=User=nobody", "sleep", "infinity")
        app, other = (int(machine.show(f"{unit}.service", "MainPID")) for unit in ("app", "other"))
        local = machine.adopt(control.open(int(NOBODY), int(NOBODY), app))
        control.until(lambda: local.id in control.peers)
        record = control.peers[local.id]
        assert (record.uid, record.pid, record.unit) == (int(NOBODY), app, "app.service"), record
        late.expect(local.id)
        late.ring(local.id, 0)
        assert local.wait(0) == 1
        for pid, uid in ((other, int(NOBODY)), (app, 4711), (0, int(NOBODY))):
            try:
                machine.adopt(control.open(uid, uid, pid))
                raise AssertionError("it was let in")
            except Refused as refused:
                assert refused.version == 403
        machine.systemctl("stop", "app", "other")

    with machine.case("systemctl stop takes it away, and connecting to it starts nothing"):
        machine.systemctl("stop", SERVICE)
        until(lambda: not machine.path(PATH).exists(), "the control socket is gone")
        assert not machine.is_active(SOCKET)
        assert connect_as(machine, None) == "FileNotFoundError"
        assert not machine.is_active(SERVICE)

    with machine.case("a domain that fails leaves none behind"):
        machine.define("bad", "[Domain]\nSize=none\n")
        machine.systemctl("start", service_of("bad"), check=False)
        assert machine.show(service_of("bad"), "ActiveState") == "failed"
        until(lambda: not machine.path("/run/ivshmem-control/bad").exists(), "the control socket is gone")

    with machine.case("without the manager's user domains are served all the same"):
        machine.drop_in("ivshmem-control@.socket", "[Socket]\nSocketUser=no-such-user\n")
        machine.systemctl("start", SERVICE)
        assert machine.peer("ring").id == 0
        assert not machine.path(PATH).exists()


run(body)
