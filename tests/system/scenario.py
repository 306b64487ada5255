# SPDX-License-Identifier: LGPL-2.1-or-later
"""One file of scenarios: a machine that is booted once for all of them, TAP, and logs of what failed."""

import argparse
import contextlib
import pathlib
import re
import shutil
import signal
import socket
import sys

from machine import Machine

from harness import Guest, Peer, Qemu, Skip, Tap, doorbell_device, guest_image, until

# QEMU without a guest; nobody looks at what its virtual CPU does.
NO_GUEST = ["-machine", "pc,accel=tcg", "-m", "32M", "-S"]

# Where the guests' image is in the machine.
_IMAGES = "/srv/guest"


def _terminated(number, _frame):
    raise SystemExit(128 + number)  # so that everything is cleaned up when meson's timeout ends us


def socket_of(domain):
    return f"/run/ivshmem/{domain}.sock"


def service_of(domain):
    return f"ivshmem@{domain}.service"


class Stage(Machine):
    """A machine with clients."""

    def __init__(self, build, logs, tap):
        super().__init__(build, logs)
        self._tap = tap
        self._image = None
        self.build = build

    def comment(self, text):
        self._tap.comment(text)

    @contextlib.contextmanager
    def case(self, name):
        """A scenario. The journal of one that fails stays in the logs."""
        failures = self._tap.failures
        with self._tap.case(name):
            yield
        if self._tap.failures > failures:
            self.save_journal(re.sub(r"\W+", "-", name)[:60])

    def manager_on_bus(self):
        """The unique name of the manager on the system bus; "" when there is none."""
        bus = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
        return self.run("busctl", "call", *bus, "GetNameOwner", "s", "org.ivshmem1", check=False).stdout

    def kill_manager(self):
        """kill -9. Whoever called before the bus has noticed would wait for an answer of the dead."""
        killed = self.manager_on_bus()
        assert killed, "there is no manager"
        self.systemctl("kill", "--kill-whom=main", "--signal=KILL", "ivshmemd.service")
        until(lambda: self.manager_on_bus() != killed, "the bus knows that the manager is gone")

    def peer(self, domain, vectors=1):
        """A client of ours. The server sees root, and no process of the machine's."""
        peer = Peer(self.path(socket_of(domain)), vectors)
        self.callback(peer.close)
        return peer

    def adopt(self, connection, vectors=1):
        """A client of ours on a connection that a server has made, given as a descriptor."""
        peer = Peer(None, vectors, connection=socket.socket(fileno=connection))
        self.callback(peer.close)
        return peer

    def start_qemu(self, name, domain, **who):
        """A QEMU in the machine that connects to a domain; it may be refused."""
        log = self.logs / f"{name}.log"
        arguments = [*NO_GUEST, *doorbell_device(socket_of(domain), 1)]
        program = shutil.which("qemu-system-x86_64")
        qemu = Qemu(program, None, log, name, arguments, enter=self.enter(**who))
        self.callback(qemu.kill)
        return qemu

    def qemu(self, name, domain, **who):
        """A QEMU that is attached to a domain."""
        return self.start_qemu(name, domain, **who).negotiate()

    def image(self):
        """The guests' image, in files that everybody in the machine can read."""
        if not self._image:
            try:
                image = guest_image.build(self.build / "guest-image", self.build / "tests" / "guest" / "guest-agent")
            except guest_image.ImageError as error:
                raise Skip(f"no guest: {error}") from error
            self.path(_IMAGES).mkdir()
            for name in ("kernel", "initramfs"):
                shutil.copyfile(getattr(image, name), self.path(f"{_IMAGES}/{name}"))
            self._image = guest_image.Image(f"{_IMAGES}/kernel", f"{_IMAGES}/initramfs")
        return self._image

    def guest(self, name, arguments, **who):
        """A guest whose QEMU runs in the machine, and that begins to boot."""
        program = shutil.which("qemu-system-x86_64")
        log = self.logs / f"{name}.log"
        guest = Guest(program, None, log, name, arguments, image=self.image(), enter=self.enter(**who))
        self.callback(guest.kill)
        return guest.negotiate()


def run(body, prepare=None, is_bare=lambda *rest: False):
    """Runs a file of scenarios: body(machine, *rest of the arguments). prepare(machine, *rest) sees it installed and
    not yet booted. is_bare(*rest): whether it is to be a container without systemd."""
    parser = argparse.ArgumentParser(description="What the units do, on a machine of its own that runs systemd.")
    parser.add_argument("--build", required=True, type=pathlib.Path, help="the build folder to install from")
    parser.add_argument("rest", nargs="*", help="what else this file takes")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    logs = build / "system-logs" / "-".join([pathlib.Path(sys.argv[0]).stem, *arguments.rest])
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    signal.signal(signal.SIGTERM, _terminated)
    tap, error = Tap(), None
    try:
        with Stage(build, logs, tap) as machine:
            if prepare:
                prepare(machine, *arguments.rest)
            start = machine.start_bare if is_bare(*arguments.rest) else machine.boot
            tap.comment(f"booted in {start():.1f} s")
            body(machine, *arguments.rest)
    except Exception as raised:  # reported as a failure, with the traceback, by finish()
        error = raised
    tap.finish(error)
    if tap.failures:
        tap.comment(f"journals and logs: {logs}")
        sys.exit(1)
