# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of the manager, with one connection for as long as it runs. Runs in the machine, as one of its users.

Reads a command a line and answers each with a line, both JSON:

    {"path": ..., "interface": ..., "member": ..., "signature": ..., "arguments": [...]}
    {"result": ..., "seconds": ...}  or  {"error": [NAME, TEXT]}

What has a signature is sent as such; in variants numbers are "t", and lists "as". A descriptor in an answer is described by
what it is, and closed.

usage: bus_agent.py [ADDRESS]    the system's bus, or a connection to this address
"""

import json
import mmap
import os
import socket
import stat
import sys
import time

import dbus
import dbus.connection
import dbus.lowlevel

NAME = "org.ivshmem1"


def variant(value):
    if isinstance(value, bool):
        return dbus.Boolean(value, variant_level=1)
    if isinstance(value, int):
        return dbus.UInt64(value, variant_level=1)
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return dbus.Array(value, signature="s", variant_level=1)
    if isinstance(value, list):  # pairs of a name and settings
        entries = [dbus.Struct((name, settings(more)), signature="sa{sv}") for name, more in value]
        return dbus.Array(entries, signature="(sa{sv})", variant_level=1)
    return dbus.String(value, variant_level=1)


def settings(values):
    return dbus.Dictionary({key: variant(value) for key, value in values.items()}, signature="sv")


def can_map_writable(fd):
    try:
        mmap.mmap(fd, 4096).close()
    except (OSError, ValueError):
        return False
    return True


def can_reopen_writable(fd):
    try:
        os.close(os.open(f"/proc/self/fd/{fd}", os.O_RDWR))
    except OSError:
        return False
    return True


def describe(fd):
    """What can be said of a descriptor: the greeting of a socket, and what may be done with memory."""
    status = os.fstat(fd)
    if stat.S_ISSOCK(status.st_mode):
        with socket.socket(fileno=os.dup(fd)) as connection:
            connection.settimeout(60)
            return {"version": int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "little")}
    return {"size": status.st_size, "map": can_map_writable(fd), "reopen": can_reopen_writable(fd)}


def plain(value):
    if isinstance(value, dbus.types.UnixFd):
        fd = value.take()
        try:
            return describe(fd)
        finally:
            os.close(fd)
    if isinstance(value, dict):
        return {str(key): plain(more) for key, more in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(more) for more in value]
    if isinstance(value, dbus.Boolean):
        return bool(value)
    return int(value) if isinstance(value, int) else str(value)


class Agent:
    def __init__(self, address):
        self._connection = dbus.connection.Connection(address) if address else dbus.SystemBus()
        self._name = None if address else NAME

    def _message(self, command):
        message = dbus.lowlevel.MethodCallMessage(
            self._name, command["path"], command["interface"], command["member"]
        )
        signature = command["signature"]
        arguments = [settings(value) if isinstance(value, dict) else value for value in command["arguments"]]
        message.append(*arguments, signature=signature)
        return message

    def _one(self, command):
        message = self._message(command)
        begin = time.monotonic()
        reply = self._connection.send_message_with_reply_and_block(message, 90)
        seconds = time.monotonic() - begin
        values = [plain(value) for value in reply.get_args_list()]
        return {"result": values[0] if len(values) == 1 else values, "seconds": seconds}

    def run(self, command):
        try:
            return self._one(command)
        except dbus.DBusException as error:
            return {"error": [error.get_dbus_name(), error.get_dbus_message()]}


def main():
    agent = Agent(sys.argv[1] if len(sys.argv) > 1 else None)
    print("{}", flush=True)
    for line in sys.stdin:
        print(json.dumps(agent.run(json.loads(line))), flush=True)


main()
