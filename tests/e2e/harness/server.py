# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ivshmem-server under test, in either of its forms."""

import signal
import socket
import threading

from .process import TIMEOUT, Deadline, Process, Timeout


class ServerFailed(AssertionError):
    """The server ended before it was ready."""


def definition(domain, access=None, peers=None):
    """The text of a domain definition. A section is a dictionary; peers has one for each [Peer NAME]."""
    sections = [("Domain", domain), ("Access", access)]
    sections += [(f"Peer {name}", keys) for name, keys in (peers or {}).items()]
    return "\n".join(
        f"[{title}]\n" + "".join(f"{key}={value}\n" for key, value in keys.items()) for title, keys in sections if keys
    )


class Server:
    """A running server. Ready when it says so through the notification socket."""

    def __init__(self, program, folder, log, name, arguments):
        self.path = folder / f"{name}.sock"
        notify_path = folder / f"{name}.notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(notify_path))
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read_notifications, daemon=True)
        self._reader.start()
        self.process = Process(
            [program, "-S", self.path, *arguments], log, environment={"NOTIFY_SOCKET": str(notify_path)}
        )
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def _read_notifications(self):
        """Reads on after READY=1, as a service manager does: an unread socket fills up with the STATUS= of each join."""
        while datagram := self._notify.recv(65536):
            if b"READY=1" in datagram.split(b"\n"):
                self._ready.set()

    def _wait_ready(self):
        deadline = Deadline()
        while not self._ready.wait(0.05):
            if self.process.status() is not None:
                raise ServerFailed(f"ended with {self.process.status()}: {self.process.output()}")
            if not deadline.left():
                raise Timeout(f"the server was not ready after {TIMEOUT} s: {self.process.output()}")

    def stop(self):
        """Ends it as an administrator does, and returns its exit status."""
        self.process.signal(signal.SIGTERM)
        return self.process.wait()

    def kill(self):
        """Ends it, by force if need be: a server that is killed cannot remove its names."""
        if self.process.status() is None:
            self.process.signal(signal.SIGTERM)
            try:
                self.process.wait(seconds=5)
            except Timeout:
                pass
        self.process.kill()
        self._notify.shutdown(socket.SHUT_RDWR)  # ends the reader
        self._reader.join()
        self._notify.close()
