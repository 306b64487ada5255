# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU processes, driven through QMP, and what their ivshmem device shows, read and written through the gdb stub."""

import json
import signal
import socket

from .process import Deadline, Process, Timeout, eventfds, until

DEVICE_ID = "ivshmem0"

REGISTER_POSITION = 8
REGISTER_DOORBELL = 12


class QemuExited(AssertionError):
    """QEMU ended while the test still needed it."""


class QmpError(Exception):
    """QEMU refused a QMP command."""


class Lines:
    """A connected socket that carries lines."""

    def __init__(self, connection):
        self._socket = connection
        self._buffer = b""

    def send(self, line):
        self._socket.sendall(line.encode() + b"\n")

    def receive(self, deadline):
        """The next line, or None when the deadline has passed. ConnectionError when the other end was closed."""
        while b"\n" not in self._buffer:
            self._socket.settimeout(deadline.left() or 0.001)
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                return None
            if not data:
                raise ConnectionError("QEMU closed the connection")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line.decode(errors="replace").rstrip("\r")

    def close(self):
        self._socket.close()


class LineSocket(Lines):
    """Our end of a pair of sockets, the other being a character device of QEMU's."""

    def __init__(self):
        ours, self.remote = socket.socketpair()
        super().__init__(ours)

    def started(self):
        """QEMU has its own copy of the remote end now."""
        self.remote.close()

    def close(self):
        self.remote.close()
        super().close()


class Qmp:
    """The QEMU machine protocol: commands with their answers, and events."""

    def __init__(self, lines):
        self._lines = lines
        self._events = []

    def _receive(self, deadline):
        line = self._lines.receive(deadline)
        if line is None:
            raise Timeout("QEMU did not answer in time")
        return json.loads(line)

    def negotiate(self):
        assert "QMP" in self._receive(Deadline()), "no QMP greeting"
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        self._lines.send(json.dumps({"execute": command, "arguments": arguments}))
        deadline = Deadline()
        while True:
            message = self._receive(deadline)
            if "event" in message:
                self._events.append(message)
            elif "error" in message:
                raise QmpError(message["error"]["desc"])
            else:
                return message["return"]

    def wait_event(self, name, **data):
        """Waits for an event whose data contain these values. Events before it that nobody waited for are forgotten."""
        deadline = Deadline()
        while True:
            event = self._events.pop(0) if self._events else self._receive(deadline)
            if event.get("event") == name and data.items() <= event.get("data", {}).items():
                return event


class Gdb:
    """The few packets of the gdb remote protocol that read and write guest-physical memory. Attaching stops the VM."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rb")
        self._command("Qqemu.PhyMemMode:1", "OK")

    def _command(self, text, expected=None):
        self._socket.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())
        while self._stream.read(1) != b"$":
            pass
        reply = b""
        while not reply.endswith(b"#"):
            reply += self._stream.read(1)
        self._stream.read(2)
        self._socket.sendall(b"+")
        answer = reply[:-1].decode()
        assert expected in (None, answer), f"gdb stub: {text}: {answer}"
        return answer

    def read32(self, address):
        return int.from_bytes(bytes.fromhex(self._command(f"m{address:x},4")), "little")

    def write32(self, address, value):
        self._command(f"M{address:x},4:{value.to_bytes(4, 'little').hex()}", "OK")

    def close(self):
        self._stream.close()
        self._socket.close()


def doorbell_device(path, vectors, master=False):
    """The arguments that attach a VM to a domain."""
    role = ",master=on" if master else ""
    return [
        *("-chardev", f"socket,id={DEVICE_ID}-server,path={path}"),
        *("-device", f"ivshmem-doorbell,id={DEVICE_ID},chardev={DEVICE_ID}-server,vectors={vectors}{role}"),
    ]


def plain_device(path, size):
    """The arguments that map a domain's named file, without doorbells."""
    return [
        *("-object", f"memory-backend-file,id={DEVICE_ID}-memory,mem-path={path},size={size},share=on"),
        *("-device", f"ivshmem-plain,id={DEVICE_ID},memdev={DEVICE_ID}-memory"),
    ]


# No guest: the firmware at most, on the machine type whose bus takes hot-plug without further bridges.
NO_GUEST = ["-machine", "pc,accel=tcg", "-m", "32M"]


class Qemu:
    """One QEMU process. Started stopped ("-S") unless the caller's arguments boot something.

    enter: what its command line begins with, so that it runs elsewhere (in a container, as another user). Such a QEMU has
    no gdb stub, and needs no folder.
    """

    def __init__(self, program, folder, log, name, arguments, *, user=None, channels=(), enter=()):
        self.name = name
        self._gdb = None
        control = LineSocket()
        self._lines = [control, *channels]
        command = [*enter, program, "-nodefaults", "-display", "none", "-name", name]
        command += ["-chardev", f"socket,id=qmp,fd={control.remote.fileno()}", "-mon", "chardev=qmp,mode=control"]
        if not user and not enter:
            self._gdb_path = folder / f"{name}.gdb"
            self._gdb_path.unlink(missing_ok=True)
            command += ["-chardev", f"socket,id=gdb,path={self._gdb_path},server=on,wait=off", "-gdb", "chardev:gdb"]
        self.process = Process(
            [*command, *arguments], log, fds=[lines.remote.fileno() for lines in self._lines], user=user
        )
        for lines in self._lines:
            lines.started()
        self.qmp = Qmp(control)

    def negotiate(self):
        """Waits until QEMU has realized its devices and takes commands."""
        try:
            self.qmp.negotiate()
        except ConnectionError as error:
            raise QemuExited(f"{self.name} ended with {self.process.wait()}: {self.process.output()}") from error
        return self

    def alive(self):
        """Whether it runs and answers."""
        return self.process.status() is None and "status" in self.qmp.execute("query-status")

    def stop(self):
        """SIGSTOP: the whole process stands still; its sockets fill up."""
        self.process.signal(signal.SIGSTOP)
        until(lambda: "\nState:\tT" in open(f"/proc/{self.process.pid}/status").read(), f"{self.name} stands still")

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def quit(self):
        """Ends it as a user does, and returns its exit status."""
        try:
            self.qmp.execute("quit")
        except ConnectionError:
            pass
        return self.process.wait()

    def kill(self):
        self.process.kill()
        for lines in self._lines:
            lines.close()
        if self._gdb:
            self._gdb.close()
            self._gdb = None

    def eventfds(self):
        """Which eventfds the process holds, by the kernel's number, and through how many descriptors each."""
        return eventfds(self.process.pid)

    def plug(self, path, vectors):
        """Hot-plugs a device that connects to a server. QmpError when it is refused, with nothing left behind."""
        self.qmp.execute("chardev-add", id="plugged-server", backend=_client_socket(path))
        try:
            self.qmp.execute(
                "device_add", driver="ivshmem-doorbell", id="plugged", chardev="plugged-server", vectors=str(vectors)
            )
        except QmpError:
            self.qmp.execute("chardev-remove", id="plugged-server")
            raise

    def unplug(self):
        """Hot-unplugs that device. Nobody in a VM without a guest answers the request; a reset carries it out."""
        self.qmp.execute("device_del", id="plugged")
        self.qmp.execute("system_reset")
        self.qmp.wait_event("DEVICE_DELETED", device="plugged")
        self.qmp.execute("chardev-remove", id="plugged-server")

    def region(self, number, device=DEVICE_ID):
        """Address and size of one of the device's BARs; None as long as the firmware has not placed it."""
        for bus in self.qmp.execute("query-pci"):
            for candidate in bus["devices"]:
                if candidate["qdev_id"] != device:
                    continue
                for region in candidate["regions"]:
                    if region["bar"] == number and region["address"] > 0:
                        return region["address"], region["size"]
        return None

    def run_firmware(self):
        """Lets the firmware place the device's BARs, then stops the virtual CPU again."""
        self.qmp.execute("cont")
        until(lambda: self.region(0), f"{self.name}: the firmware places BAR 0")
        self.qmp.execute("stop")

    def gdb(self):
        if not self._gdb:
            self._gdb = Gdb(self._gdb_path)
        return self._gdb

    def position(self):
        """The VM ID that the device shows to its guest."""
        return self.gdb().read32(self.region(0)[0] + REGISTER_POSITION)

    def ring(self, peer, vector):
        """Writes the doorbell register as a guest would."""
        self.gdb().write32(self.region(0)[0] + REGISTER_DOORBELL, peer << 16 | vector)


def _client_socket(path):
    address = {"type": "unix", "data": {"path": str(path)}}
    return {"type": "socket", "data": {"addr": address, "server": False}}
