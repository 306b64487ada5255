# SPDX-License-Identifier: LGPL-2.1-or-later
"""One test file's run: arguments, folders, cases, and the end of everything that it started."""

import argparse
import contextlib
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile

from .control import Control
from .guest import Guest
from .manager import Manager
from .peer import Peer
from .qemu import NO_GUEST, Qemu, doorbell_device
from .server import Server
from .tap import Skip, Tap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "guest"))
import guest_image  # noqa: E402  (it lives beside the program that it puts into the image)


def _arguments():
    parser = argparse.ArgumentParser(description="An end-to-end test of ivshmem-server with real QEMUs.")
    parser.add_argument("--server", required=True, type=pathlib.Path, help="the ivshmem-server to test")
    parser.add_argument("--build", required=True, type=pathlib.Path, help="the build folder, for logs and guest image")
    parser.add_argument("rest", nargs="*", help="what else this file takes")
    return parser.parse_args()


def _terminated(number, _frame):
    raise SystemExit(128 + number)  # so that everything is cleaned up when meson's timeout ends us


class Workshop(contextlib.ExitStack):
    """Starts servers, QEMUs, guests and peers, and ends them all when it is left, the last one first."""

    def __init__(self, server, build, logs):
        super().__init__()
        self._program = pathlib.Path(server).resolve()
        self._build = pathlib.Path(build).resolve()
        self.logs = logs
        self._image = None

    def __enter__(self):
        signal.signal(signal.SIGTERM, _terminated)
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ivshmem-e2e-"))
        self.folder.chmod(0o755)  # some of the QEMUs run as another user
        self.callback(shutil.rmtree, self.folder)
        return super().__enter__()

    def _own(self, thing, end):
        self.callback(end)
        return thing

    def server(self, name, *arguments):
        """A server in the drop-in form, with the reference server's flags and a memory name of its own."""
        return self._server(name, "-F", "-M", f"{self.folder.name}-{name}", *arguments)

    def domain(self, name, text):
        """A server of a definition."""
        path = self.folder / f"{name}.domain"
        path.write_text(text)
        return self._server(name, "--definition", path)

    def managed(self, name, text, store=4096, before=None, nofile=None):
        """A definition's server that can be killed and started again, with its fd store. before(manager) can put something
        there first. nofile: how many descriptors it may have, as a user of its own."""
        path = self.folder / f"{name}.domain"
        path.write_text(text)
        manager = Manager(self._program, self.folder, self.logs / f"{name}.log", name, self.served(path, store), nofile)
        self.callback(manager.end)
        if before:
            before(manager)
        manager.start()
        return manager

    @staticmethod
    def served(path, store):
        """The arguments by which a managed server serves a definition."""
        return ["--definition", path, f"--fd-store={store}", "-v"]

    def _server(self, name, *arguments):
        server = Server(self._program, self.folder, self.logs / f"{name}.log", name, arguments)
        return self._own(server, server.kill)

    def peer(self, server, vectors, *, listener=False):
        peer = Peer(server.path, vectors, listener=listener)
        return self._own(peer, peer.close)

    def control(self, manager):
        """A control link to a managed server."""
        control = Control(manager.control_path)
        return self._own(control, control.close)

    def adopt(self, connection, vectors, *, wait=True):
        """A peer on a connection that somebody made for it."""
        peer = Peer(None, vectors, wait=wait, connection=connection)
        return self._own(peer, peer.close)

    def start_peer(self, server, vectors):
        """A peer that has connected and read nothing yet; finish() waits for its doorbells."""
        peer = Peer(server.path, vectors, wait=False)
        return self._own(peer, peer.close)

    @staticmethod
    def _qemu_program():
        program = shutil.which(os.environ.get("QEMU", "qemu-system-x86_64"))
        if not program:
            raise Skip("qemu-system-x86_64 is not installed")
        return program

    def start_qemu(self, name, *arguments, user=None):
        """A QEMU without a guest, its virtual CPU stopped; it may still refuse to start."""
        log = self.logs / f"{name}.log"
        qemu = Qemu(self._qemu_program(), self.folder, log, name, [*NO_GUEST, "-S", *arguments], user=user)
        return self._own(qemu, qemu.kill)

    def qemu(self, name, server, vectors, user=None):
        """A QEMU without a guest that is attached to a server."""
        return self.start_qemu(name, *doorbell_device(server.path, vectors), user=user).negotiate()

    def bare_qemu(self, name):
        """A QEMU without a guest and without a device."""
        return self.start_qemu(name).negotiate()

    def image(self):
        if not self._image:
            agent = self._build / "tests" / "guest" / "guest-agent"
            try:
                self._image = guest_image.build(self._build / "guest-image", agent)
            except guest_image.ImageError as error:
                raise Skip(f"no guest: {error}") from error
        return self._image

    def start_guest(self, name, *arguments, user=None):
        """A guest that begins to boot; wait_ready() waits for it, so that several boot side by side."""
        log = self.logs / f"{name}.log"
        image = self._public_image() if user else self.image()
        guest = Guest(self._qemu_program(), self.folder, log, name, arguments, image=image, user=user)
        return self._own(guest, guest.kill).negotiate()

    def _public_image(self):
        """A copy that another user can read, whoever may search the build folder."""
        image = self.image()
        kernel, initramfs = self.folder / "kernel", self.folder / "initramfs"
        for source, copy in ((image.kernel, kernel), (image.initramfs, initramfs)):
            if not copy.exists():
                shutil.copyfile(source, copy)
                copy.chmod(0o644)
        return guest_image.Image(kernel, initramfs)

    def guest(self, name, server, vectors, master=False, user=None):
        """A guest that is attached to a server and begins to boot."""
        return self.start_guest(name, *doorbell_device(server.path, vectors, master), user=user)


def run(body):
    """Runs a test file: body(workshop, tap, *rest of the arguments). Exits with 1 when a case has failed.

    Status 0 for a file that skips itself: meson takes any other status of a TAP test for an error.
    """
    arguments = _arguments()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # for the peers in this process; children are given less
    name = "-".join([pathlib.Path(sys.argv[0]).stem, *arguments.rest])
    tap, error = Tap(), None
    logs = arguments.build.resolve() / "e2e-logs" / name
    try:
        with Workshop(arguments.server, arguments.build, logs) as workshop:
            body(workshop, tap, *arguments.rest)
    except Exception as raised:  # reported as a failure, with the traceback, by finish()
        error = raised
    tap.finish(error)
    if tap.failures:
        tap.comment(f"logs of servers, QEMUs and guests: {logs}")
        sys.exit(1)
