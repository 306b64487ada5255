#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Callers who mean no good: what is too large, of the wrong type, too much at once, or gone before it is answered.

Each gets a clear error or nothing; others are served meanwhile, and the manager is as it was when they have left.
"""

import os
import random
import socket
import struct
import sys
import xml.etree.ElementTree as xml

from scene import ALICE, BOB, HANG, NO, YES, anonymous_memory, create, descriptors, names, run, until
from wire import CALL, SIGNAL, BusError, Connection, NoAnswer, Variant, build, handshake

INVALID = "org.ivshmem1.Error.InvalidSetting"
MISSING = "org.ivshmem1.Error.NoSuchDomain"

# What the manager's memory may grow by when all is over: the heap's own affairs, far below what is sent to it.
SLACK = 4 << 20


def unchanged(scene, what):
    """A function that fails when the manager has more memory or descriptors than now."""
    memory, fds = anonymous_memory(scene.manager.pid), descriptors(scene.manager.pid)

    def check():
        until(lambda: descriptors(scene.manager.pid) <= fds, f"{what}: no descriptor is left")
        grown = anonymous_memory(scene.manager.pid) - memory
        # A sanitizer keeps what was freed, and looks for leaks in its own way.
        assert scene.sanitized or grown < SLACK, f"{what}: {grown} bytes more than before"

    return check


def oversized(scene, tap):
    alice, root = scene.client(ALICE), scene.client()
    with tap.case("names that are too long or no names"):
        for name in ("r" * 28, "r" * 1000000, "", "Ring", "../ring", "ri ng", "ring\n", "\u202e", "-x", "ring.domain"):
            error = root.error("CreateDomain", "sa{sv}b", name, {"Size": Variant("s", "1M")}, True)
            assert error.name == "org.ivshmem1.Error.InvalidName" and len(error.text) < 600, error
            assert root.error("StartDomain", "s", name).name == MISSING
            assert alice.error("StartDomain", "s", name).name == MISSING
    with tap.case("values that are too long, too many or too deep"):
        deep = Variant("v", Variant("v", Variant("s", "1M")))
        wide = {f"Key{i}": Variant("s", "x") for i in range(5000)}
        peers = Variant("a(sa{sv})", [(f"p{i}", {"VMID": Variant("u", i)}) for i in range(20000)])
        for key, value, named in (
            ("Description", Variant("s", "x" * 300000), "Description"),
            ("User", Variant("as", ["u"] * 200000), "User"),
            ("Size", deep, "Size"),
            ("Peers", peers, "1024 [Peer] sections"),
        ):
            error = root.error("CreateDomain", "sa{sv}b", "ring", {key: value}, True)
            assert error.name == INVALID and named in error.text and len(error.text) < 600, error
        assert root.error("CreateDomain", "sa{sv}b", "ring", wide, True).name == INVALID
    with tap.case("wrong types name the key and what it takes"):
        for key, value in {
            "Size": Variant("d", 1.5),
            "Vectors": Variant("i", -1),
            "Prefault": Variant("y", 1),
            "User": Variant("a{ss}", {"a": "b"}),
            "Description": Variant("ay", [0, 255]),
            "Peers": Variant("as", ["router"]),
            "MaxPeers": Variant("(uu)", (1, 2)),
        }.items():
            error = root.error("CreateDomain", "sa{sv}b", "ring", {key: value}, True)
            assert error.name == INVALID and f'"{key}"' in error.text and "it takes" in error.text, error
    with tap.case("wrong signatures"):
        wrong = (("", ()), ("u", (1,)), ("ss", ("a", "b")), ("as", (["ring"],)), ("v", (Variant("s", "ring"),)))
        for signature, body in wrong:
            assert root.error("StartDomain", signature, *body).name == "org.freedesktop.DBus.Error.InvalidArgs"
    with tap.case("values that would be lines of a definition"):
        for text in ("x\nOwner=root", "x\r", "x\x7f", "x\u0085Owner=root"):
            error = root.error("CreateDomain", "sa{sv}b", "ring", {"Description": Variant("s", text)}, True)
            assert error.name == INVALID, error
        assert names(root) == []
    with tap.case("descriptors where none belong"):
        check = unchanged(scene, "descriptors")
        for fd in (os.memfd_create("x"), os.eventfd(0), socket.socket().detach(), os.open("/", os.O_PATH)):
            error = root.error("CreateDomain", "sa{sv}b", "ring", {"Path": Variant("h", 0)}, True, fds=[fd] * 10)
            assert error.name == INVALID and '"Path"' in error.text, error
            root.call("ListDomains", fds=[fd] * 10)
            os.close(fd)
        check()


def crowded(scene, tap):
    polkit = scene.polkit()
    root = scene.client()
    create(root, "ring")
    with tap.case("thousands of calls in flight"):
        polkit.decide = lambda question: NO
        for _ in range(2):  # the second time nothing is new
            check = unchanged(scene, "calls in flight")
            alice, bob = scene.client(ALICE), scene.client(BOB)
            serials = [alice.begin("GetLimits", "u", ALICE) for _ in range(5000)]
            serials += [alice.begin("GetDefinition", **alice.domain("ring")) for _ in range(5000)]
            assert names(bob) == []
            answered = 0
            for serial in serials:
                try:
                    answered += alice.finish(serial) is not None
                except BusError as error:
                    assert error.name == "org.freedesktop.DBus.Error.UnknownObject", error
            assert answered == 5000
            alice.close()
            bob.close()
        check()
    with tap.case("thousands of questions to polkit"):
        polkit.decide = lambda question: HANG
        check = unchanged(scene, "questions")
        alice, bob = scene.client(ALICE), scene.client(BOB)
        serials = [alice.begin("StartDomain", "s", "ring") for _ in range(3000)]
        refused = 0
        for serial in serials[1024:]:
            try:
                alice.finish(serial)
            except BusError as error:
                refused += error.name == "org.ivshmem1.Error.Busy"
        assert refused == 3000 - 1024
        assert bob.call("GetLimits", "u", BOB)[0] and names(root) == ["ring"]
        alice.close()
        for _ in range(32):
            polkit.called_off()
        polkit.forget()
        check()
    with tap.case("much to be kept while polkit thinks"):
        check = unchanged(scene, "what is kept")
        alice = scene.client(ALICE)
        large = {f"Key{i}": Variant("s", "x" * 4000) for i in range(60)}
        serials = [alice.begin("CreateDomain", "sa{sv}b", "large", large, True) for _ in range(40)]
        last = None
        for serial in serials[17:]:
            try:
                alice.finish(serial)
            except BusError as error:
                last = error
        assert last.name == "org.ivshmem1.Error.Busy" and "4096 KiB of a user" in last.text, last
        alice.close()
        until(lambda: names(root) == ["ring"], "root is served")
        check()
    with tap.case("callers who are gone before they are answered"):
        check = unchanged(scene, "gone callers")
        for i in range(300):
            with Connection(scene.path, ALICE) as gone:
                gone.begin("StartDomain", "s", "ring")
                gone.begin("ListDomains")
                gone.begin("CreateDomain", "sa{sv}b", f"d{i}", {"Size": Variant("s", "1M")}, True)
        until(lambda: names(root) == ["ring"], "root is served")
        while not polkit.questions.empty():
            polkit.forget()
        check()
        polkit.decide = lambda question: YES
    with tap.case("a start is begun by many at once"):
        serials = [root.begin("StartDomain", "s", "ring") for _ in range(200)]
        results = []
        for serial in serials:
            try:
                root.finish(serial)
                results.append("done")
            except BusError as error:
                results.append(error.name.rpartition(".")[2])
        assert results.count("done") >= 1 and set(results) <= {"done", "Busy"}, set(results)
        root.call("StopDomain", "s", "ring")
    with tap.case("a subscriber who reads nothing"):
        check = unchanged(scene, "a subscriber")
        deaf = scene.client()
        deaf.call("Subscribe")
        for _ in range(60):
            root.call("StartDomain", "s", "ring")
            root.call("StopDomain", "s", "ring")
        deaf.close()
        check()


def private(scene, tap):
    root = scene.client()
    with tap.case("the private socket is its user's alone"):
        assert scene.private.stat().st_mode & 0o777 == 0o600
    with tap.case("what is no D-Bus on the private socket"):
        check = unchanged(scene, "junk")
        for data in (
            b"",
            b"\0",
            b"GET / HTTP/1.0\r\n\r\n",
            b"\0AUTH ANONYMOUS\r\n",
            b"\0AUTH " * 20000,
            os.urandom(100000),
            handshake(12345),
        ):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(scene.private))
                try:
                    sock.sendall(data)
                except OSError:
                    pass  # it was closed already
        assert names(root) == ["ring"]
        check()
    with tap.case("one who does not wait for the end of the handshake"):
        for count in (1, 2, 3, 100):
            where = {"path": "/org/ivshmem1", "interface": "org.ivshmem1.Manager"}
            calls = [build(CALL, i + 1, **where, member="Unsubscribe") for i in range(count)]
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(scene.private))
                sock.settimeout(20)
                sock.sendall(handshake(os.geteuid()))
                assert sock.recv(2) == b"OK"
                sock.sendall(b"BEGIN\r\n" + b"".join(calls))
                data = b""
                while data.count(b"l\2") < count:  # a reply each
                    data += sock.recv(1000)
    with tap.case("messages that are not whole or not true"):
        check = unchanged(scene, "malformed messages")
        good = bytearray(build(CALL, 1, path="/org/ivshmem1", interface="org.ivshmem1.Manager", member="ListDomains"))
        for at, value in ((0, b"X"), (1, b"\0"), (3, b"\7"), (4, struct.pack("<I", 0x7FFFFFFF)), (8, bytes(4)),
                          (12, struct.pack("<I", 0x03FFFFFF)), (16, os.urandom(32))):
            bad = bytearray(good)
            bad[at : at + len(value)] = value
            client = Connection(scene.private, hello=False)
            client.send_bytes(bad)
            client.close()
        assert names(root) == ["ring"]
        check()
    with tap.case("more connections than there may be wait, and are served when others end"):
        check = unchanged(scene, "connections")
        many = [Connection(scene.private, hello=False) for _ in range(64)]
        for client in many:
            client.call("Unsubscribe")
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(str(scene.private))
            waiting.sendall(handshake(os.geteuid()))
            waiting.settimeout(0.2)
            try:
                waiting.recv(1)
                raise AssertionError("it was served")
            except TimeoutError:
                pass
            many.pop().close()
            waiting.settimeout(20)
            assert waiting.recv(2) == b"OK"
        for client in many:
            client.close()
        assert names(root) == ["ring"]
        check()
    with tap.case("one who asks for ever and reads nothing"):
        for _ in range(2):
            check = unchanged(scene, "answers that are not read")
            deaf = Connection(scene.private, hello=False)
            try:
                for _ in range(100000):
                    deaf.begin("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")
                raise AssertionError("it could send for ever")
            except ConnectionError:
                pass
            assert names(root) == ["ring"]
            deaf.close()
        check()


# ---- At random ----


def methods(source):
    """Each method of ours: interface, name, what goes in."""
    for name in ("org.ivshmem1.Manager", "org.ivshmem1.Domain"):
        for method in xml.parse(source / "dbus" / f"{name}.xml").getroot().iter("method"):
            kinds = [each.get("type") for each in method.findall("arg") if each.get("direction") == "in"]
            yield name, method.get("name"), kinds


class Caller:
    """Calls methods with values of the right types, most of which mean nothing."""

    KEYS = ("Size", "HugePages", "Vectors", "User", "Peers", "Owner", "Path", "MaxPeers", "Description", "", "\u00e4")
    TEXTS = ("ring", "d1", "d2", "", "1M", "64K", "yes", "0", "-1", "root", "../..", "[Peer x]", "a=b") + (
        "x" * 5000,
        "\u202e\U0001f4a9",
    )

    def __init__(self, seed, source):
        self.random = random.Random(seed)
        self.methods = list(methods(source))

    def value(self, kind):
        choose = self.random
        if kind == "s":
            return choose.choice(self.TEXTS)
        if kind == "b":
            return choose.random() < 0.5
        if kind == "u":
            return choose.choice((0, 1, 2, 63, 65535, 0xFFFFFFFF, choose.getrandbits(32)))
        if kind == "t":
            return choose.choice((0, 1 << 20, 1 << 63, choose.getrandbits(64)))
        if kind == "as":
            return [self.value("s") for _ in range(choose.randrange(4))]
        if kind == "a{sv}":
            return {choose.choice(self.KEYS): self.variant() for _ in range(choose.randrange(5))}
        if kind == "a(sa{sv})":
            return [(self.value("s"), self.value("a{sv}")) for _ in range(choose.randrange(3))]
        raise ValueError(kind)

    def variant(self):
        kind = self.random.choice(("s", "s", "b", "u", "t", "as", "a(sa{sv})"))
        return Variant(kind, self.value(kind))

    def call(self, client):
        interface, member, kinds = self.random.choice(self.methods)
        where = {"interface": interface}
        if interface == "org.ivshmem1.Domain":
            where = client.domain(self.random.choice(("ring", "d1", "d2", "none")))
        return client.begin(member, "".join(kinds), *map(self.value, kinds), **where)


def forged(scene, tap):
    """Signals that only the bus daemon may send, sent to the manager alone: no rule of a bus keeps these away."""
    alice, bob = scene.client(ALICE), scene.client(BOB)
    scene.polkit().decide = lambda question: YES
    daemon = {"path": "/org/freedesktop/DBus", "interface": "org.freedesktop.DBus", "destination": "org.ivshmem1"}
    alice.call("Subscribe")
    with tap.case("nobody tells the manager that it has lost its name, or that somebody else is gone"):
        bob.send(SIGNAL, "s", ("org.ivshmem1",), member="NameLost", **daemon)
        bob.send(SIGNAL, "sss", (alice.name, alice.name, ""), member="NameOwnerChanged", **daemon)
        bob.call("ListDomains")
        create(alice, "heard")
        assert alice.wait_signal("DomainAdded").plain()[0] == "heard"
        assert scene.manager.status() is None, scene.manager.output()[-2000:]
        alice.call("RemoveDomain", "s", "heard")
    for client in (alice, bob):
        client.close()


def at_random(scene, tap):
    polkit, root = scene.polkit(), scene.client()
    for seed in range(8):
        with tap.case(f"a caller at random, seed {seed}"):
            caller = Caller(seed, scene.source)
            polkit.decide = lambda question, choose=random.Random(seed): choose.choice((YES, NO, YES))
            alice = scene.client(ALICE)
            done = 0
            for client, count in ((alice, 400), (scene.client(), 400)):
                for serial in [caller.call(client) for _ in range(count)]:
                    try:
                        message = client.finish_message(serial)
                        done += 1
                        for fd in message.descriptors:
                            os.close(fd)
                    except BusError as error:
                        assert error.text and error.name != "org.freedesktop.DBus.Error.NoReply", error
                    except NoAnswer:
                        raise AssertionError(f"call {serial} is not answered") from None
            tap.comment(f"{done} of 800 calls were done")
            assert done > 50
            polkit.forget()
            alice.close()
            assert scene.manager.status() is None, scene.manager.output()[-2000:]
    with tap.case("and nothing of it is left"):
        for name in names(root):
            if root.property(name, "State") != "stopped":
                root.call("StopDomain", "s", name)
            root.call("RemoveDomain", "s", name)
        assert names(root) == []


def cases(scene, tap):
    scene.start_manager()
    for part in (oversized, crowded, private, forged, at_random):
        part(scene, tap)
    with tap.case("it ends when it is told to"):
        assert scene.stop_manager() == 0, scene.manager.output()[-2000:]


if __name__ == "__main__":
    sys.exit(run(cases))
