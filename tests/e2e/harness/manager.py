# SPDX-License-Identifier: LGPL-2.1-or-later
"""As much of systemd as a server needs that is restarted: its sockets, its notifications, its fd store.

Beside the tests on a booted systemd: this one can be told to lose, forge and delay what the real one keeps.
"""

import os
import select
import socket
import threading

from .process import TIMEOUT, Deadline, Process, Timeout
from .server import ServerFailed

FIRST_FD = 3  # SD_LISTEN_FDS_START

# Puts the descriptors where systemd puts them, and names the process that is meant.
_LAUNCHER = """
import os, resource, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [os.dup2(fd, 10000 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
    os.set_inheritable(3 + i, True)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
program = os.open(sys.argv[3], os.O_RDONLY)  # whoever may search the folders above it
nofile, uid = sys.argv[2].split(",")
if nofile:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(nofile), int(nofile)))
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), int(uid))
os.execve(program, sys.argv[3:], os.environ)
"""


# A user whom no other test has: descriptors in flight are counted for all processes of a user together.
LONELY_UID = 300000000 + os.getpid()


class Manager:
    """Keeps a server's sockets and descriptors over its deaths."""

    def __init__(self, program, folder, log, name, arguments, nofile=None):
        """nofile: how many descriptors the server may have, and have in flight, as a user of its own."""
        self._nofile = nofile
        self.path = folder / f"{name}.sock"
        self._command = [program, *arguments]
        self.under = []  # a command that executes the server in its own place
        self._log = log
        self._notify_path = folder / f"{name}.notify"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(self._notify_path))
        self._notify_path.chmod(0o666)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.path))
        self.listener.listen(4096)
        self.control_path = folder / f"{name}.control"
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.bind(str(self.control_path))
        self._control.listen()
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self.store = []  # (name, descriptor)
        self.status = None  # as this server told it last
        self.process = None
        self._wake, self._woken = os.pipe()
        self._reader = threading.Thread(target=self._read_notifications, daemon=True)
        self._reader.start()

    def _read_notifications(self):
        poll = select.poll()
        poll.register(self._notify, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._wake in ready:
                return
            data, fds, _, _ = socket.recv_fds(self._notify, 65536, 16)
            self._take(dict(line.split("=", 1) for line in data.decode().split("\n") if line), fds)

    def _take(self, fields, fds):
        with self._lock:
            # Without FDPOLL=0 systemd drops a connection whose other end is closed: that of a bag always is.
            if fields.get("FDSTORE") == "1" and fields.get("FDPOLL") == "0":
                self.store += [(fields["FDNAME"], fd) for fd in fds]
            if fields.get("FDSTOREREMOVE") == "1":
                for name, fd in [entry for entry in self.store if entry[0] == fields["FDNAME"]]:
                    os.close(fd)
                    self.store.remove((name, fd))
        self.status = fields.get("STATUS", self.status)
        if fields.get("READY") == "1":
            self._ready.set()

    def keep(self, name, fd):
        """Puts a descriptor into the store, which has it from then on."""
        with self._lock:
            self.store.append((name, fd))

    def pass_arguments(self, *arguments):
        """What the server is started with from now on."""
        self._command[1:] = arguments

    def names(self):
        """What is in the store."""
        with self._lock:
            return sorted(name for name, _ in self.store)

    def start(self):
        """Starts the server with the sockets and all that it had stored, and waits until it is ready."""
        self._ready.clear()
        self.status = None
        with self._lock:
            sockets = [("peers", self.listener.fileno()), ("control", self._control.fileno())]
            entries = [*sockets, *reversed(self.store)]
        for _, fd in entries:
            os.set_inheritable(fd, True)
        environment = {
            "NOTIFY_SOCKET": str(self._notify_path),
            "LISTEN_FDS": str(len(entries)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in entries),
        }
        launcher = ["python3", "-c", _LAUNCHER, ",".join(str(fd) for _, fd in entries), f"{self._nofile or ''},{LONELY_UID}"]
        self.process = Process(
            [*launcher, *self.under, *self._command],
            self._log,
            fds=[fd for _, fd in entries],
            environment=environment,
            all_descriptors=True,
        )
        deadline = Deadline()
        while not self._ready.wait(0.02):
            if self.process.status() is not None:
                raise ServerFailed(f"ended with {self.process.status()}: {self.process.output()}")
            if not deadline.left():
                raise Timeout(f"the server was not ready after {TIMEOUT} s: {self.process.output()}")

    def kill(self):
        """kill -9, and all that it had sent before is taken in, as PID 1 does."""
        self.process.kill()
        self.settle()

    def settle(self):
        """Waits until the notifications that were sent are taken in."""
        marker = f"settled-{os.urandom(4).hex()}"
        done = threading.Event()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, open("/dev/null", "rb") as null:
            sender.connect(str(self._notify_path))
            socket.send_fds(sender, [f"FDSTORE=1\nFDPOLL=0\nFDNAME={marker}".encode()], [null.fileno()])
            deadline = Deadline()
            while marker not in self.names():
                if not deadline.left():
                    raise Timeout("notifications were not read")
                done.wait(0.002)
            sender.send(f"FDSTOREREMOVE=1\nFDNAME={marker}".encode())
            while marker in self.names():
                done.wait(0.002)

    def restart(self):
        self.kill()
        self.start()

    def end(self):
        """Ends it all. Doing so twice is doing so once."""
        if self._notify.fileno() < 0:
            return
        if self.process:
            self.process.kill()
        os.write(self._woken, b"x")
        self._reader.join()
        for _, fd in self.store:
            os.close(fd)
        for fd in (self._wake, self._woken):
            os.close(fd)
        self._notify.close()
        self.listener.close()
        self._control.close()
