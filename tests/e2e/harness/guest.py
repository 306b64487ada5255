# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Linux guest in a QEMU, obeying the test through its guest-agent (tests/guest)."""

import binascii

from .process import TIMEOUT, Deadline, Timeout
from .qemu import LineSocket, Qemu, QemuExited

BOOT_TIMEOUT = 180  # seconds; a boot takes three to four on an idle machine


class AgentError(Exception):
    """The agent could not do what it was told."""


class Agent:
    """The agent in a guest, at the end of a serial port: an object with send() and receive(), see Lines."""

    def __init__(self, name, port):
        self.name = name
        self._agent = port

    def gone(self, error):
        """Raises what it means that the port was closed."""
        raise QemuExited(f"{self.name}: {error}") from error

    def _receive(self, deadline, what):
        try:
            line = self._agent.receive(deadline)
        except ConnectionError as error:
            self.gone(error)
        if line is None:
            raise Timeout(f"{self.name}: no answer to '{what}'")
        return line

    def wait_ready(self):
        """Waits until the guest has booted and its device is up."""
        line = self._receive(Deadline(BOOT_TIMEOUT), "boot")
        if line != "ready":
            raise AgentError(f"{self.name}: {line}")
        return self

    def command(self, text, seconds=TIMEOUT):
        """Sends a command to the agent and returns the result in its answer."""
        self._agent.send(text)
        verdict, _, result = self._receive(Deadline(seconds), text).partition(" ")
        if verdict != "ok":
            raise AgentError(f"{self.name}: {text[:60]}: {result}")
        return result

    def info(self):
        """id, vectors and size, as the device shows them to the guest."""
        return {key: int(value) for key, value in (item.split("=") for item in self.command("info").split())}

    def read(self, offset, length):
        return binascii.unhexlify(self.command(f"read {offset} {length}"))

    def write(self, offset, data):
        self.command(f"write {offset} {data.hex()}")

    def fill(self, offset, length, seed):
        self.command(f"fill {offset} {length} {seed}")

    def sum(self, offset, length):
        """As zlib.crc32() of these bytes."""
        return int(self.command(f"sum {offset} {length}"), 16)

    def ring(self, peer, vector):
        self.command(f"ring {peer} {vector}")

    def wait(self, vector, seconds=TIMEOUT):
        """Waits for a doorbell; returns and forgets the rings since the last time."""
        rings = int(self.command(f"wait {vector} {seconds * 1000}", seconds + TIMEOUT))
        if rings == 0:
            raise Timeout(f"{self.name}: nobody rang vector {vector} within {seconds} s")
        return rings

    def counts(self):
        """All rings of each vector since the guest booted."""
        return list(map(int, self.command("counts").split()))


class Guest(Agent, Qemu):
    """A VM with Linux. The device is driven by a process of the guest, through VFIO."""

    MACHINE = [
        *("-machine", "q35,kernel-irqchip=split,accel=tcg", "-cpu", "max", "-m", "160M"),
        *("-device", "intel-iommu,intremap=on"),
    ]

    def __init__(self, program, folder, log, name, arguments, *, image, user=None, enter=()):
        agent = LineSocket()
        command = [
            *self.MACHINE,
            *("-kernel", image.kernel, "-initrd", image.initramfs, "-append", image.COMMAND_LINE),
            *("-serial", f"file:{log.with_suffix('.console')}" if not user and not enter else "null"),
            *("-chardev", f"socket,id=agent,fd={agent.remote.fileno()}", "-serial", "chardev:agent"),
        ]
        Agent.__init__(self, name, agent)
        arguments = [*command, *arguments]
        Qemu.__init__(self, program, folder, log, name, arguments, user=user, channels=[agent], enter=enter)

    def gone(self, error):
        raise QemuExited(f"{self.name} ended with {self.process.wait()}: {self.process.output()}") from error

    def reboot(self):
        """Restarts the guest inside its QEMU and waits until it is up again."""
        self.command("reboot")
        self.qmp.wait_event("RESET")
        return self.wait_ready()
