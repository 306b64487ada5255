#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a server of a former version left: its ledger is a stored one, and all that belongs to it is made here.

`Predecessor` lets clients join in the order in which that ledger has them, and says what they heard. As a program it is
the main process of a domain's unit, in place of the server: `predecessor.py LEDGER`. It needs nothing but Python.
"""

import array
import fcntl
import mmap
import os
import signal
import socket
import struct
import sys

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

# Of each version: where in a ledger the size of the memory and the number of vectors are.
_MEMORY_SIZE_AT, _VECTORS_AT = 16, 32

SEATS = range(4)  # those that tests/ledgers/1-told has: all were told everything
LEFT = 2  # and then this one left


def _sealed(name, size, content=b""):
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, content, 0)
    os.fchmod(fd, 0o600)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    return fd


def bag(fds, note=""):
    """Descriptors queued in a socket pair with a text, of which the reading end is kept."""
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    writing.sendmsg([note.encode() + b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    writing.close()
    return reading.detach()


class Predecessor:
    """The domain of a stored ledger."""

    def __init__(self, ledger, file=None):
        """With `file`, a path, the memory is that, and not in the store."""
        size, vectors = (struct.unpack_from(form, ledger, at)[0] for form, at in (("<Q", _MEMORY_SIZE_AT), ("<I", _VECTORS_AT)))
        self._vectors = vectors
        self._ledger = _sealed("ivshmem-ledger", len(ledger), ledger)
        self._file = file
        self._memory = os.open(file, os.O_RDWR) if file else _sealed("ivshmem:ring", size)
        self._doorbells = {seat: [os.eventfd(0, os.EFD_CLOEXEC) for _ in range(vectors)] for seat in SEATS}
        self._connections = {}

    def write(self, text):
        """Something that peers will find in the memory."""
        with mmap.mmap(self._memory, os.fstat(self._memory).st_size) as memory:
            memory[: len(text)] = text

    @staticmethod
    def _send(connection, number, fd=None):
        socket.send_fds(connection, [struct.pack("<q", number)], [fd] if fd is not None else [])

    def _tell(self, connection, seat):
        for fd in self._doorbells[seat]:
            self._send(connection, seat, fd)

    def admit(self, connection):
        """The next one in the ledger's order. It and the others are told what they must know."""
        seat = len(self._connections)
        self._send(connection, 0)
        self._send(connection, seat)
        self._send(connection, -1, self._memory)
        for other in (*self._connections, seat):
            self._tell(connection, other)
        for other in self._connections.values():
            self._tell(other, seat)
        self._connections[seat] = connection

    def store(self):
        """What is in the fd store: names and descriptors."""
        peers = [(f"peer-{seat}-{seat + 1}", self._connections[seat].fileno()) for seat in SEATS if seat != LEFT]
        bags = [(f"doorbells-{seat}", bag(fds)) for seat, fds in self._doorbells.items()]
        memory = [] if self._file else [("memory", self._memory)]
        return [*memory, *bags, *peers, ("ledger", self._ledger)]

    def leave(self, workshop, manager):
        """Lets peers join as the ledger has them and puts all into the manager's store. Returns those that stay."""
        peers = []
        for _ in SEATS:
            peers.append(workshop.start_peer(manager, self._vectors))
            self.admit(manager.listener.accept()[0])
            peers[-1].finish()
        peers.pop(LEFT).close()
        for name, fd in self.store():
            manager.keep(name, os.dup(fd))
        return peers


def _notify(text, fd=None):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        socket.send_fds(manager, [text.encode()], [fd] if fd is not None else [])


def _main():
    with open(sys.argv[1], "rb") as file:
        predecessor = Predecessor(file.read())
    predecessor.write(b"from before")
    names = os.environ["LISTEN_FDNAMES"].split(":")
    listener = socket.socket(fileno=3 + names.index("peers"))  # SD_LISTEN_FDS_START
    _notify("READY=1")
    for _ in SEATS:
        connection, _ = listener.accept()
        connection.setblocking(False)
        predecessor.admit(connection)
    for name, fd in predecessor.store():
        _notify(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", fd)
    _notify("STATUS=All were told")
    signal.pause()


if __name__ == "__main__":
    _main()
