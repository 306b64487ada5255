# SPDX-License-Identifier: LGPL-2.1-or-later
"""A D-Bus client with the standard library alone.

It stays connected, is who it wants to be, hears its signals, and can be as ill-mannered as a test wants it.
Little-endian, and without what the tests have no use for.
"""

import array
import collections
import os
import re
import socket
import struct
import time

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY, NO_START, INTERACTIVE = 1, 2, 4

PATIENCE = 60  # seconds; for what takes well under one on an idle machine

_FIELDS = {1: "path", 2: "interface", 3: "member", 4: "error", 5: "reply_serial", 6: "destination", 7: "sender",
           8: "signature", 9: "fds"}
_FIELD_TYPES = {"path": "o", "interface": "s", "member": "s", "error": "s", "reply_serial": "u", "destination": "s",
                "sender": "s", "signature": "g", "fds": "u"}
_FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "x": "q", "t": "Q", "d": "d", "h": "I"}
_ALIGN = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "d": 8, "(": 8, "{": 8}

Variant = collections.namedtuple("Variant", "signature value")


class BusError(Exception):
    """An error reply."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


class NoAnswer(Exception):
    """Nothing came in time."""


# ---- Values ----


def split(signature):
    """The complete types in a signature."""
    types = []
    while signature:
        end = _end(signature)
        types.append(signature[:end])
        signature = signature[end:]
    return types


def _end(signature):
    """Where the first complete type ends."""
    if signature[0] == "a":
        return 1 + _end(signature[1:])
    if signature[0] in "({":
        depth = 0
        for i, char in enumerate(signature):
            depth += (char in "({") - (char in ")}")
            if depth == 0:
                return i + 1
        raise ValueError(signature)
    return 1


def alignment(kind):
    return _ALIGN.get(kind[0], 4)


def _pad(out, size):
    out += bytes(-len(out) % size)


def marshal(out, kind, value):
    """Appends a value of one complete type."""
    _pad(out, alignment(kind))
    if kind == "b":
        out += struct.pack("<I", value)
    elif kind in _FIXED:
        out += struct.pack("<" + _FIXED[kind], value)
    elif kind in "so":
        text = value if isinstance(value, bytes) else value.encode()
        out += struct.pack("<I", len(text)) + text + b"\0"
    elif kind == "g":
        out += bytes([len(value)]) + value.encode() + b"\0"
    elif kind == "v":
        marshal(out, "g", value.signature)
        marshal(out, value.signature, value.value)
    elif kind[0] == "a":
        _marshal_array(out, kind[1:], value)
    else:
        for inner, item in zip(split(kind[1:-1]), value, strict=True):
            marshal(out, inner, item)


def _marshal_array(out, kind, value):
    at = len(out)
    out += bytes(4)
    _pad(out, alignment(kind))
    begin = len(out)
    for item in value.items() if isinstance(value, dict) else value:
        marshal(out, kind, item)
    out[at : at + 4] = struct.pack("<I", len(out) - begin)


class _Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def align(self, size):
        self.at += -self.at % size

    def take(self, size):
        self.at += size
        return self.data[self.at - size : self.at]

    def read(self, kind):
        self.align(alignment(kind))
        if kind == "b":
            return bool(struct.unpack("<I", self.take(4))[0])
        if kind in _FIXED:
            code = "<" + _FIXED[kind]
            return struct.unpack(code, self.take(struct.calcsize(code)))[0]
        if kind in "sog":
            size = self.read("y") if kind == "g" else self.read("u")
            return self.take(size + 1)[:-1].decode()
        if kind == "v":
            signature = self.read("g")
            return Variant(signature, self.read(signature))
        if kind[0] == "a":
            return self._read_array(kind[1:])
        return tuple(self.read(inner) for inner in split(kind[1:-1]))

    def _read_array(self, kind):
        size = self.read("u")
        self.align(alignment(kind))
        end = self.at + size
        items = []
        while self.at < end:
            items.append(self.read(kind))
        return dict(items) if kind[0] == "{" else items


# ---- Messages ----


class Message:
    """A message that came; `body` is a tuple."""

    def __init__(self, data, fds):
        self.kind, self.flags = data[1], data[2]
        self.serial = struct.unpack_from("<I", data, 8)[0]
        reader = _Reader(data)
        reader.at = 12
        self.signature = ""
        for name in _FIELD_TYPES:
            setattr(self, name, None)
        for code, value in reader.read("a(yv)"):
            setattr(self, _FIELDS.get(code, "unknown"), value.value)
        reader.align(8)
        self.body = tuple(reader.read(kind) for kind in split(self.signature or ""))
        self.descriptors = fds

    def plain(self):
        """The body, without the types of variants."""
        return plain(self.body)


def plain(value):
    """A value without the types of its variants."""
    if isinstance(value, Variant):
        return plain(value.value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(item) for item in value)
    return value


def build(kind, serial, flags=0, signature="", body=(), **fields):
    """The bytes of a message."""
    content = bytearray()
    for each, value in zip(split(signature), body, strict=True):
        marshal(content, each, value)
    if signature:
        fields["signature"] = signature
    numbers = {name: code for code, name in _FIELDS.items()}
    header = bytearray(struct.pack("<cBBBII", b"l", kind, flags, 1, len(content), serial))
    marshal(header, "a(yv)", [(numbers[name], Variant(_FIELD_TYPES[name], value)) for name, value in fields.items()])
    _pad(header, 8)
    return bytes(header + content)


# ---- Connections ----


def _connect_as(path, uid):
    """A socket that the other side takes for a process of this user."""
    if uid is None or uid == os.geteuid():
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            socket.send_fds(theirs, [b"x"], [sock.fileno()])
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(child, 0)
    ours.close()
    if not fds:
        raise ConnectionRefusedError(f"uid {uid} cannot connect to {path}")
    return socket.socket(fileno=fds[0])


def handshake(uid):
    """The first line."""
    return b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n"


class Connection:
    """A client of a bus, or of a private socket where `hello` is false."""

    def __init__(self, path, uid=None, hello=True, destination="org.ivshmem1"):
        self.uid = os.geteuid() if uid is None else uid
        self.destination = destination if hello else None
        self._sock = _connect_as(str(path), uid)
        self._sock.settimeout(PATIENCE)
        self._data = bytearray()
        self._fds = []
        self._serial = 0
        self.signals = []
        self._replies = {}
        self._authenticate()
        self.name = None
        if hello:
            self.name = self.call("Hello", "", path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                                  destination="org.freedesktop.DBus")[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._sock.close()
        for fd in self._fds:
            os.close(fd)
        self._fds = []

    def _authenticate(self):
        self._sock.sendall(handshake(self.uid))
        self._expect(b"OK")
        self._sock.sendall(b"NEGOTIATE_UNIX_FD\r\n")
        self._expect(b"AGREE_UNIX_FD")
        self._sock.sendall(b"BEGIN\r\n")

    def _expect(self, word):
        line = b""
        while not line.endswith(b"\r\n"):
            char = self._sock.recv(1)
            if not char:
                raise ConnectionError(f"closed while {word.decode()} was expected")
            line += char
        if not line.startswith(word):
            raise ConnectionError(f"{line!r}, where {word.decode()} was expected")

    # ---- Out ----

    def fileno(self):
        return self._sock.fileno()

    def send_bytes(self, data):
        self._sock.sendall(data)

    def next_serial(self):
        self._serial += 1
        return self._serial

    def send(self, kind, signature="", body=(), flags=0, fds=(), **fields):
        """Sends a message and returns its serial."""
        serial = self.next_serial()
        if fds:
            fields["fds"] = len(fds)
        data = build(kind, serial, flags, signature, body, **{key: value for key, value in fields.items() if value})
        if fds:
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
            sent = self._sock.sendmsg([data], [rights])
            data = data[sent:]
        self._sock.sendall(data)
        return serial

    def begin(self, member, signature="", *body, path="/org/ivshmem1", interface="org.ivshmem1.Manager",
              destination=None, flags=0, fds=()):
        """Sends a call; its serial is for finish()."""
        return self.send(CALL, signature, body, flags, fds, path=path, interface=interface, member=member,
                         destination=destination or self.destination)

    # ---- In ----

    def _receive(self, deadline):
        """The next message, NoAnswer, or ConnectionError."""
        while True:
            if len(self._data) >= 16:
                body, fields = struct.unpack_from("<I", self._data, 4)[0], struct.unpack_from("<I", self._data, 12)[0]
                size = 16 + fields + -fields % 8 + body
                if len(self._data) >= size:
                    return self._take(size)
            left = deadline - time.monotonic()
            if left <= 0:
                raise NoAnswer()
            self._sock.settimeout(left)
            try:
                data, fds, _, _ = socket.recv_fds(self._sock, 65536, 16)
            except TimeoutError:
                raise NoAnswer() from None
            finally:
                self._sock.settimeout(PATIENCE)
            if not data:
                raise ConnectionError("the bus closed the connection")
            self._data += data
            self._fds += fds

    def _take(self, size):
        data = bytes(self._data[:size])
        del self._data[:size]
        message = Message(data, [])
        if message.fds:
            message.descriptors, self._fds = self._fds[: message.fds], self._fds[message.fds :]
        return message

    def receive(self, seconds=PATIENCE):
        """The next message that is not one that somebody waited for."""
        return self._receive(time.monotonic() + seconds)

    def _sort(self, message):
        if message.kind == SIGNAL:
            self.signals.append(message)
        elif message.kind in (RETURN, ERROR):
            self._replies[message.reply_serial] = message

    def finish_message(self, serial, seconds=PATIENCE):
        """The reply, as a message."""
        deadline = time.monotonic() + seconds
        while serial not in self._replies:
            self._sort(self._receive(deadline))
        message = self._replies.pop(serial)
        if message.kind == ERROR:
            raise BusError(message.error, message.body[0] if message.body else "")
        return message

    def finish(self, serial, seconds=PATIENCE):
        return self.finish_message(serial, seconds).plain()

    def is_answered(self, serial):
        """Whether the reply has come by now."""
        try:
            while serial not in self._replies:
                self._sort(self._receive(time.monotonic()))
        except NoAnswer:
            pass
        return serial in self._replies

    def wait_signal(self, member, seconds=PATIENCE):
        """The next signal of that name; it and those before it are forgotten."""
        deadline = time.monotonic() + seconds
        while True:
            while self.signals:
                message = self.signals.pop(0)
                if message.member == member:
                    return message
            self._sort(self._receive(deadline))

    # ---- Both ----

    def call(self, member, signature="", *body, seconds=PATIENCE, **where):
        return self.finish(self.begin(member, signature, *body, **where), seconds)

    def error(self, member, signature="", *body, **where):
        """The error that a call ends with."""
        try:
            result = self.call(member, signature, *body, **where)
        except BusError as error:
            return error
        raise AssertionError(f"{member} was done: {result}")

    def domain(self, name):
        """Where a domain's object is, for call()."""
        escaped = re.sub(r"[^A-Za-z0-9]|^(?=\d)", lambda match: f"_{ord(match[0]):02x}" if match[0] else "", name)
        return {"path": f"/org/ivshmem1/domain/{escaped}", "interface": "org.ivshmem1.Domain"}

    def property(self, domain, name):
        where = {**self.domain(domain), "interface": "org.freedesktop.DBus.Properties"}
        return self.call("Get", "ss", "org.ivshmem1.Domain", name, **where)[0]

    def daemon(self, member, signature="", *body):
        """A call to the bus daemon itself."""
        return self.call(member, signature, *body, path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                         destination="org.freedesktop.DBus")
