# SPDX-License-Identifier: LGPL-2.1-or-later
"""A peer that is no VM: speaks the ivshmem protocol, so that a test can see and ring what a VM would."""

import contextlib
import fcntl
import mmap
import os
import select
import socket
import struct
import termios

from .process import TIMEOUT, Deadline, Timeout, eventfd_count, eventfd_id


class Refused(Exception):
    """The server sent a version other than 0."""

    def __init__(self, version):
        super().__init__(f"refused with version {version}")
        self.version = version


def readable(fd, seconds):
    """Waits until something can be read; select() would end at descriptor 1023."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Peer:
    """One connection. Its doorbells are known when it has joined; those of others by and by, as the server tells them.

    A listener closes the doorbells of others as they come, having noted which they were: fifty peers with eight vectors
    each would otherwise hold 20,000 descriptors in the process of the test.
    """

    def __init__(self, path, vectors, *, listener=False, wait=True, connection=None):
        self.n_vectors = vectors
        self.ids = {}  # VM ID: the kernel's numbers of its eventfds, in the order of their vectors
        self.disconnects = 0
        self._fds = {}  # VM ID: the eventfds themselves
        self._listener = listener
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(connection or socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            self._owned = stack
            self._socket.settimeout(TIMEOUT)
            if not connection:
                self._socket.connect(str(path))
            if wait:
                self.finish()
            self._owned = stack.pop_all()

    def finish(self):
        """Takes the greeting and its own doorbells: of itself, unless it was told not to wait for them."""
        version, _ = self._receive()
        if version != 0:
            raise Refused(version)
        self.id, _ = self._receive()
        mark, memory_fd = self._receive()
        assert mark == -1 and memory_fd is not None, "the third message is not the memory"
        self.memory = self._owned.enter_context(mmap.mmap(memory_fd, os.fstat(memory_fd).st_size))
        os.close(memory_fd)
        self.expect(self.id)

    def _receive(self):
        """One message: its number, and its descriptor or None."""
        data, fds, _, _ = socket.recv_fds(self._socket, 8, 1)
        if len(data) != 8:
            raise ConnectionError(f"the server closed the connection (after {len(data)} of 8 bytes)")
        return struct.unpack("<q", data)[0], fds[0] if fds else None

    def _take_message(self):
        number, fd = self._receive()
        if fd is None:
            self.disconnects += 1
            return
        self.ids.setdefault(number, []).append(eventfd_id(fd))
        if self._listener and number != self.id:
            os.close(fd)
        else:
            self._owned.callback(os.close, fd)
            self._fds.setdefault(number, []).append(fd)

    def unread_messages(self):
        """How many messages have come that were not taken, without taking them."""
        size = fcntl.ioctl(self._socket, termios.FIONREAD, bytes(4))
        return struct.unpack("i", size)[0] // 8

    def fileno(self):
        return self._socket.fileno()

    def take_messages(self):
        """Takes what the server has sent up to now, and returns how many messages that were."""
        count = 0
        while readable(self._socket, 0):
            self._take_message()
            count += 1
        return count

    def expect(self, *seats):
        """Waits until each vector of these VM IDs is known."""
        deadline = Deadline()
        while any(len(self.ids.get(seat, ())) < self.n_vectors for seat in seats):
            if not readable(self._socket, deadline.left()):
                raise Timeout(f"the server told only these seats: {sorted(self.ids)}, not all of {sorted(seats)}")
            self._take_message()

    def ids_of(self, *seats):
        """The kernel's numbers of all eventfds of these seats."""
        return {number for seat in seats for number in self.ids[seat]}

    def ring(self, peer, vector):
        os.eventfd_write(self._fds[peer][vector], 1)

    def wait(self, vector, seconds=TIMEOUT):
        """Waits for our own doorbell; returns and forgets the rings since the last time."""
        fd = self._fds[self.id][vector]
        if not readable(fd, seconds):
            raise Timeout(f"nobody rang vector {vector} of VM ID {self.id} within {seconds} s")
        return os.eventfd_read(fd)

    def unread(self, peer):
        """The rings of each vector of a VM ID that its holder has not taken yet."""
        return [eventfd_count(fd) for fd in self._fds[peer]]

    def expect_end(self):
        """Waits until the server has closed the connection."""
        deadline = Deadline()
        while readable(self._socket, deadline.left()):
            try:
                self._take_message()
            except ConnectionError:
                return
        raise Timeout("the server did not close the connection")

    def close(self):
        self._owned.close()
