# SPDX-License-Identifier: LGPL-2.1-or-later
"""A bus of the test's own with the manager as it ships on it, and everybody else whom it takes.

There is a polkit that says what the test wants, and clients are whoever the test wants. Everything ends when the scene
is left.
"""

import argparse
import contextlib
import ctypes
import os
import pathlib
import pwd
import queue
import shutil
import signal
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Skip, Tap, until  # noqa: E402  (it lives with the tests that it was made for)
from harness.process import TIMEOUT, Process, children, listens  # noqa: E402

from wire import CALL, ERROR, RETURN, Connection, Variant  # noqa: E402

# Users whom each Debian machine has, and who have nothing to do with this. The bus daemon serves none that it does not
# know.
ALICE, BOB, CAROL = (pwd.getpwnam(name).pw_uid for name in ("games", "man", "lp"))

YES, NO, CHALLENGE, HANG, JUNK, FAIL = "yes", "no", "challenge", "hang", "junk", "fail"

POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = {"path": "/org/freedesktop/PolicyKit1/Authority", "interface": f"{POLKIT}.Authority"}

# As a system bus, but for a bound that would keep from the manager what it has a bound of its own for.
_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <limit name="max_replies_per_connection">50000</limit>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
  </policy>
</busconfig>
"""


_PR_SET_CHILD_SUBREAPER = 36


def _adopt_orphans():
    """Servers go on when their manager is killed; from now on they are children of ours then."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _end_orphans():
    """What the test itself started has ended by now."""
    for pid, _ in children(os.getpid()):
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


class Question:
    """What polkit was asked."""

    def __init__(self, message):
        (_, subject), self.action, self.details, self.flags, self.id = message.body
        self.subject = subject["name"].value
        self.message = message

    def __repr__(self):
        return f"{self.action} {self.details} of {self.subject}"


class Polkit(threading.Thread):
    """Answers what `decide` (a function of the question) says. What it was asked is kept, and what was called off."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._bus = Connection(path)
        self._bus.daemon("RequestName", "su", POLKIT, 0)
        self.decide = lambda question: NO
        self.questions = queue.Queue()
        self.cancelled = queue.Queue()
        self.start()

    def run(self):
        with contextlib.suppress(OSError, ValueError):  # the end
            while True:
                message = self._bus.receive(3600)
                if message.kind == CALL and message.member == "CheckAuthorization":
                    self._check(Question(message))
                elif message.kind == CALL and message.member == "CancelCheckAuthorization":
                    self.cancelled.put(message.body[0])
                    self._reply(message)

    def _check(self, question):
        answer = self.decide(question)
        self.questions.put(question)
        self.answer(question, answer)

    def answer(self, question, answer):
        message = question.message
        if answer == JUNK:
            self._reply(message, "s", "of course")
        elif answer == FAIL:
            self._bus.send(ERROR, "s", ("no",), error=f"{POLKIT}.Error.Failed", reply_serial=message.serial,
                           destination=message.sender)
        elif answer != HANG:
            self._reply(message, "(bba{ss})", (answer == YES, answer == CHALLENGE, {}))

    def _reply(self, message, signature="", *body):
        self._bus.send(RETURN, signature, body, reply_serial=message.serial, destination=message.sender)

    def change(self):
        """Rules have changed."""
        self._bus.send(4, path=AUTHORITY["path"], interface=AUTHORITY["interface"], member="Changed")

    def asked(self):
        """The oldest question that was not looked at yet."""
        return self.questions.get(timeout=TIMEOUT)

    def called_off(self):
        """Which question was called off first, of those that were not looked at yet."""
        return self.cancelled.get(timeout=TIMEOUT)

    def forget(self):
        while not self.questions.empty():
            self.questions.get()

    def end(self):
        self._bus._sock.shutdown(2)  # the thread stops reading
        self._bus.close()


class Scene(contextlib.ExitStack):
    """The bus with all that is on it."""

    def __init__(self, arguments, name):
        super().__init__()
        self.server = arguments.server
        self.program = arguments.ivshmemd
        self.sanitized = b"__asan_init" in self.program.read_bytes()
        self.logs = arguments.build / "bus-logs"
        self.logs.mkdir(exist_ok=True)
        self.name = name
        self._polkit = None
        self.manager = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("root is needed to be other users on the bus")
        if not shutil.which("dbus-daemon"):
            raise Skip("dbus-daemon (package dbus) is not installed")
        super().__enter__()
        with contextlib.ExitStack() as stack:
            stack.push(self)
            _adopt_orphans()
            self.callback(_end_orphans)
            self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ivshmem-bus-"))
            self.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o755)
            self.path = self.folder / "system_bus_socket"
            self.directory = self.folder / "ivshmem"
            self._start_daemon()
            stack.pop_all()
        return self

    def _process(self, what, command, **more):
        process = Process(command, self.logs / f"{self.name}-{what}.log", **more)
        self.callback(process.kill)
        return process

    def _start_daemon(self):
        config = self.folder / "bus.conf"
        config.write_text(_BUS_CONFIG.format(path=self.path))
        self.daemon = daemon = self._process("dbus", ["dbus-daemon", "--nofork", f"--config-file={config}"])
        until(lambda: daemon.status() is not None or listens(self.path), "the bus daemon listens")
        if daemon.status() is not None:
            raise AssertionError(f"dbus-daemon: {daemon.output()}")

    def start_manager(self, *options, **more):
        """Returns when it has its name on the bus. `more` are variables of its environment."""
        command = [self.program, "--embedded", "--system-bus", "--directory", self.directory, "--server", self.server]
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": self.address, **more}
        self.manager = self._process("ivshmemd", [*command, *options], environment=environment, all_descriptors=True)
        root = self.client()
        until(lambda: self.manager.status() is not None or root.daemon("NameHasOwner", "s", "org.ivshmem1")[0],
              "the manager is on the bus")
        if self.manager.status() is not None:
            raise AssertionError(f"ivshmemd: {self.manager.output()}")
        return root

    def stop_manager(self):
        """Stops what it runs, and then itself."""
        with contextlib.suppress(OSError, ConnectionError):
            with Connection(self.path) as root:
                for domain in root.call("ListDomains")[0]:
                    if domain[1] != "stopped":
                        root.call("StopDomain", "s", domain[0])
        self.manager.signal(signal.SIGTERM)
        return self.manager.wait()

    @property
    def address(self):
        return f"unix:path={self.path}"

    @property
    def private(self):
        return self.directory / "bus"

    def client(self, uid=None):
        return self.enter_context(Connection(self.path, uid))

    def private_client(self):
        return self.enter_context(Connection(self.private, hello=False))

    def polkit(self):
        """The polkit of this scene; it comes when it is first asked for."""
        if not self._polkit:
            self._polkit = Polkit(self.path)
            self.callback(self._end_polkit)
        return self._polkit

    def _end_polkit(self):
        if self._polkit:
            self._polkit.end()
            self._polkit = None

    end_polkit = _end_polkit


def settings(**values):
    """a{sv}, of text."""
    return {key: Variant("s", value) for key, value in values.items()}


def create(client, name, persistent=True, **values):
    return client.call("CreateDomain", "sa{sv}b", name, settings(**{"Size": "1M", **values}), persistent)[0]


def names(client):
    """The domains that a client sees."""
    return [domain[0] for domain in client.call("ListDomains")[0]]


def objects(client):
    """The objects of domains that a client sees."""
    managed = client.call("GetManagedObjects", interface="org.freedesktop.DBus.ObjectManager")[0]
    return sorted(path for path in managed if path.startswith("/org/ivshmem1/domain/"))


def anonymous_memory(pid):
    """Bytes of memory that are the process's own."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def _terminated(number, _frame):
    raise SystemExit(128 + number)  # so that everything is ended when meson's timeout ends us


def run(cases):
    """The main of a test file: `cases(scene, tap)` on a bus of its own."""
    signal.signal(signal.SIGTERM, _terminated)
    parser = argparse.ArgumentParser()
    for name in ("--build", "--server", "--ivshmemd", "--source"):
        parser.add_argument(name, type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    tap = Tap()
    error = None
    try:
        with Scene(arguments, pathlib.Path(sys.argv[0]).stem) as scene:
            scene.source = arguments.source
            cases(scene, tap)
    except (Exception, SystemExit) as caught:  # reported in the plan
        error = caught
    tap.finish(error)
    return 1 if tap.failures else 0
