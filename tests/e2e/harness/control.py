# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manager's end of a server's control link (service/core/control.h): records of one size, little-endian."""

import collections
import itertools
import socket
import struct

from .peer import readable
from .process import TIMEOUT

VERSION = 1
SIZE = 1792

KINDS = "domain peer synced joined left refused reply evict ring open memory reload".split()
RESULTS = [
    "ok",
    "no such peer",
    "no such vector",
    "reload failed",
    "takes a restart",
    "short of resources",
    "stopping",
    "not supported",
]

# Each field's place: after version and kind, without gaps.
_FIELDS = struct.Struct(
    "<II"  # version, kind
    "IIII?I"  # serial, result, VM ID, vector, read-only, refusal
    "IIIiQ272s256s256s256s"  # of a peer: VM ID, uid, gid, pid, since, identity, unit, machine, label
    "32sQ6I5Q?"  # of the domain: name, size; pages, vectors, peers at most, topology, peers, seats; counters; removed
    "512s"  # text
)
_NAMES = (
    "version kind serial result vm_id vector read_only refusal"
    " peer_vm_id uid gid pid since identity unit machine label"
    " name memory_size huge_pages vectors max_peers topology n_peers n_seats"
    " joins leaves refusals evictions messages_sent definition_removed"
    " text"
).split()
Record = collections.namedtuple("Record", _NAMES)

_NOTHING = Record(*_FIELDS.unpack(bytes(_FIELDS.size)))


class Closed(Exception):
    """The server has closed the link."""


class RequestFailed(AssertionError):
    """A request was answered with something other than "ok"."""

    def __init__(self, result, text):
        super().__init__(f"{result}: {text}")
        self.result = result


def _decode(data):
    assert len(data) == SIZE and not any(data[_FIELDS.size :]), data
    record = Record(*(
        value.split(b"\0")[0].decode() if isinstance(value, bytes) else value for value in _FIELDS.unpack_from(data)
    ))
    assert record.version == VERSION, record
    return record._replace(kind=KINDS[record.kind], result=RESULTS[record.result])


class Control:
    """One connection. The picture, and what changed of it, is in `peers`: VM ID: record."""

    def __init__(self, path):
        self._serials = itertools.count(1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(TIMEOUT)
        self._socket.connect(str(path))
        self.peers = {}
        self.events = []
        self.domain = None
        while self.receive()[0].kind != "synced":
            pass

    def receive(self):
        """The next record, and a descriptor that came with it or None."""
        data, fds, _, _ = socket.recv_fds(self._socket, SIZE + 1, 1)
        if not data:
            raise Closed()
        record = _decode(data)
        if record.kind == "domain":
            self.domain = record
        elif record.kind in ("peer", "joined"):
            self.peers[record.peer_vm_id] = record
        elif record.kind == "left":
            del self.peers[record.peer_vm_id]
        if record.kind in ("joined", "left", "refused"):
            self.events.append(record)
        return record, fds[0] if fds else None

    def until(self, condition):
        """Takes records in until the condition is met."""
        while not condition():
            self.receive()

    def begin(self, kind, **fields):
        """Asks for something, and does not wait for the answer. Returns the request's serial."""
        serial = next(self._serials)
        request = _NOTHING._replace(version=VERSION, kind=KINDS.index(kind), serial=serial, **fields)
        self._socket.send(_FIELDS.pack(*request).ljust(SIZE, b"\0"))
        return serial

    def has_answer(self):
        """Takes in what has come; whether there was an answer, or the end."""
        try:
            while readable(self._socket, 0):
                if self.receive()[0].kind == "reply":
                    return True
        except (Closed, ConnectionError):
            return True
        return False

    def ask(self, kind, **fields):
        """Asks for something; returns the descriptor that the answer brings, or None."""
        serial = self.begin(kind, **fields)
        while True:
            record, fd = self.receive()
            if record.kind == "reply":
                assert record.serial == serial
                if record.result != "ok":
                    raise RequestFailed(record.result, record.text)
                return fd

    def evict(self, vm_id):
        self.ask("evict", vm_id=vm_id)

    def ring(self, vm_id, vector):
        self.ask("ring", vm_id=vm_id, vector=vector)

    def memory(self, read_only):
        return self.ask("memory", read_only=read_only)

    def open(self, uid, gid, pid=0):
        return self.ask("open", uid=uid, gid=gid, pid=pid)

    def reload(self):
        self.ask("reload")

    def close(self):
        self._socket.close()
