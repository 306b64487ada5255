# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manager as its clients see it, from inside the machine: one connection of python3-dbus, and busctl."""

import json
import pathlib
import subprocess

from machine import CommandFailed

from harness import Timeout
from harness.peer import readable

MANAGER = "org.ivshmem1.Manager"
DOMAIN = "org.ivshmem1.Domain"
PROPERTIES = "org.freedesktop.DBus.Properties"
ERROR = "org.ivshmem1.Error."
PATH = "/org/ivshmem1"

_AGENT = pathlib.Path(__file__).resolve().parent / "bus_agent.py"
_PATIENCE = 100  # seconds; the agent itself gives up after 90


class BusError(Exception):
    """The manager, or the bus, answered with an error."""

    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name = name
        self.text = text


def domain_path(name):
    """As sd_bus_path_encode(3)."""
    return f"{PATH}/domain/" + "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in name)


class Client:
    """A user with a connection to the manager, which lasts until close()."""

    def __init__(self, machine, user=None, address=None):
        self.user = user
        self.seconds = None  # that the last call took which was answered with a result
        # Not from a file: the machine does not see the source tree.
        program = ["/usr/bin/python3", "-c", _AGENT.read_text()]
        self._command = [*machine.enter(user), *program, *([address] if address else [])]
        self._start()

    def _start(self):
        self._child = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/"
        )
        self._buffer = b""
        self._receive()

    def _receive(self):
        while b"\n" not in self._buffer:
            if not readable(self._child.stdout.fileno(), _PATIENCE):
                raise Timeout(f"{self.user}: no answer after {_PATIENCE} s")
            data = self._child.stdout.read1(65536)
            if not data:
                raise CommandFailed(f"{self.user}: the client ended: {self._child.stderr.read().decode()}")
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def send(self, path, interface, member, signature="", *arguments):
        """Calls, and does not wait for the answer; see answer()."""
        command = {
            "path": path,
            "interface": interface,
            "member": member,
            "signature": signature,
            "arguments": arguments,
        }
        self._child.stdin.write(json.dumps(command).encode() + b"\n")
        self._child.stdin.flush()

    def answer(self):
        answer = self._receive()
        if "error" in answer:
            raise BusError(*answer["error"])
        self.seconds = answer["seconds"]
        return answer["result"]

    def call(self, *call):
        self.send(*call)
        return self.answer()

    def manager(self, member, signature="", *arguments):
        return self.call(PATH, MANAGER, member, signature, *arguments)

    def domain(self, name, member, signature="", *arguments):
        return self.call(domain_path(name), DOMAIN, member, signature, *arguments)

    def create(self, name, persistent=False, **settings):
        return self.manager("CreateDomain", "sa{sv}b", name, {"Size": "1M", **settings}, persistent)

    def get(self, name, prop):
        """A property of a domain."""
        return self.call(domain_path(name), PROPERTIES, "Get", "ss", DOMAIN, prop)

    def properties(self, name):
        return self.call(domain_path(name), PROPERTIES, "GetAll", "s", DOMAIN)

    def names(self):
        """Of the domains that are listed."""
        return [row[0] for row in self.manager("ListDomains")]

    def objects(self):
        return self.call(PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")

    def limits(self, uid):
        return {what: (used, limit) for what, used, limit in self.manager("GetLimits", "u", uid)}

    def reconnect(self):
        """Begins anew, for instance because the bus is another one."""
        self.close()
        self._start()

    def close(self):
        """Ends the connection."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            stream.close()


def refused(error, function, *arguments, **settings):
    """Calls what must be answered with this error (without the common prefix, or whole), and returns its text."""
    try:
        result = function(*arguments, **settings)
    except BusError as answer:
        wanted = error if "." in error else ERROR + error
        assert answer.name == wanted, f"{answer}, and not {wanted}"
        return answer.text
    raise AssertionError(f"no error {error}, but {result}")
