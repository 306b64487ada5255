# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of ivshmemctl have: an embedded manager in a folder of its own, or a bus with a manager that fails, and
the command as its user runs it. Everything that was started ends with the test."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness.process import TIMEOUT, Process, listens, until  # noqa: E402  (it lives with the tests of VMs)
from harness.qemu import NO_GUEST, Qemu  # noqa: E402, F401  (for tests that take it from here)
from harness.tap import Skip, Tap  # noqa: E402
from terminal import Terminal  # noqa: E402  (it needs the path from above)

OK, FAILED, NOT_RUNNING, NO_SUCH_DOMAIN, USAGE, NO_MANAGER, NOT_PERMITTED = 0, 1, 3, 4, 64, 69, 77

# What a user may have set, and a test must not see.
FOREIGN = ("IVSHMEM_DIRECTORY", "NO_COLOR", "SYSTEMD_COLORS", "PAGER", "SYSTEMD_PAGER", "EDITOR", "SYSTEMD_EDITOR",
           "VISUAL", "SUDO_UID", "XDG_RUNTIME_DIR", "DBUS_SYSTEM_BUS_ADDRESS")  # fmt: skip


class Result:
    """What a command came to."""

    def __init__(self, command, status, out, err):
        self.command, self.status, self.out, self.err = command, status, out, err

    def __repr__(self):
        return f"{' '.join(map(str, self.command))}: status {self.status}\n{self.out}{self.err}"

    def good(self):
        """Itself; the command has to have gone well, and said nothing on standard error."""
        assert (self.status, self.err) == (OK, ""), self
        return self

    def bad(self, status, *words):
        """Itself; the command has to have ended so, with these words on standard error and nothing on standard output."""
        assert self.status == status and self.out == "", self
        assert all(word in self.err for word in words), f"not {words}: {self}"
        return self

    def lines(self):
        return self.out.splitlines()


class Stage(contextlib.ExitStack):
    """One test file's run."""

    def __init__(self, arguments, logs):
        super().__init__()
        self.server, self.logs = arguments.server.resolve(), logs
        self.program = str(arguments.ctl.resolve())
        self._manager = arguments.manager.resolve()
        self._failing = arguments.failing.resolve()
        self._environment = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self._environment.update({"LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm"})
        self.folder = self._manager_process = None

    def __enter__(self):
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ivshmem-ctl-"))
        self.folder.chmod(0o755)
        self.callback(shutil.rmtree, self.folder)
        self._environment["TMPDIR"] = str(self.folder)
        return super().__enter__()

    def environment(self, **more):
        return {**self._environment, **more}

    def start_manager(self):
        """An embedded manager, which all following commands ask."""
        directory = self.folder / "domains"
        directory.mkdir()
        command = [self._manager, "--embedded", f"--directory={directory}", f"--server={self.server}"]
        manager = self._manager_process = Process(command, self.logs / "manager.log", environment=self._environment)
        self.callback(self.stop_manager)
        self._environment["IVSHMEM_DIRECTORY"] = str(directory)
        until(lambda: self._answers(manager), "the manager answers")
        return directory

    def _answers(self, manager):
        assert manager.status() is None, manager.output()
        return self.ctl("list").status == OK

    def stop_manager(self):
        """Stops its domains first: their servers outlive it."""
        if self._manager_process.status() is None:
            names = [row["name"] for row in self.json("list", "--state=running")]
            if names:
                self.ctl("stop", *names)
        self._manager_process.kill()

    def start_failing_manager(self):
        """A bus of its own, with a manager and a systemd that do as domains are called; all following commands ask it."""
        config = self.folder / "bus.conf"
        config.write_text(
            "<busconfig><type>system</type>"
            f"<listen>unix:path={self.folder}/system-bus</listen><auth>EXTERNAL</auth>"
            "<policy context='default'><allow user='*'/><allow own='*'/><allow send_destination='*'/>"
            "<allow send_type='signal'/><allow receive_sender='*'/></policy></busconfig>"
        )
        address = f"unix:path={self.folder}/system-bus"
        daemon = shutil.which("dbus-daemon")
        if not daemon:
            raise Skip("dbus-daemon is not installed")
        bus = Process([daemon, f"--config-file={config}", "--nofork"], self.logs / "bus.log")
        self.callback(bus.kill)
        until(lambda: bus.status() is not None or listens(self.folder / "system-bus"), "the bus listens")
        assert bus.status() is None, bus.output()
        self._environment["DBUS_SYSTEM_BUS_ADDRESS"] = address
        self.restart_failing_manager()

    def restart_failing_manager(self):
        manager = Process([self._failing], self.logs / "failing.log", environment=self._environment)
        self.callback(manager.kill)
        until(lambda: "ready" in manager.output(), "the failing manager has its name")
        return manager

    def ctl(self, *arguments, stdin="", **environment):
        """Runs ivshmemctl without a terminal."""
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            env=self.environment(**environment),
        )
        return Result(command, done.returncode, done.stdout, done.stderr)

    def json(self, *arguments):
        return json.loads(self.ctl(*arguments, "--json=short").good().out)

    def doctor(self, *names):
        """Its findings, whatever they are."""
        return json.loads(self.ctl("doctor", *names, "--json=short").out)

    def wait_peer(self, name):
        """The VM ID of the one peer that a domain has, once it has one."""
        (row,) = until(lambda: self.json("peers", name), "a peer has joined")
        return row["vm_id"]

    def show(self, name, *properties):
        """Properties of a domain as a tuple, of the first one alone when there is one."""
        (domain,) = self.json("show", name)
        values = tuple(domain[key] for key in properties)
        return values if len(values) > 1 else values[0]

    def start(self, *arguments, **environment):
        """ivshmemctl in the background, with pipes; it is ended with the test."""
        process = subprocess.Popen(
            [self.program, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            env=self.environment(**environment),
        )
        self.callback(_end, process)
        return process

    def terminal(self, *arguments, **environment):
        """ivshmemctl on a terminal."""
        terminal = Terminal([self.program, *map(str, arguments)], self.environment(**environment))
        self.callback(terminal.kill)
        return terminal


def _end(process):
    if process.poll() is None:
        process.kill()
    process.communicate()


def read_until(process, words):
    """Reads lines of a background command up to one with these words, and returns that."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} did not come, but {lines}")


def _terminated(number, _frame):
    raise SystemExit(128 + number)  # so that everything is cleaned up when meson's timeout ends us


def run(body):
    """Runs a test file: body(stage, tap). Exits with 1 when a case has failed."""
    parser = argparse.ArgumentParser(description="A test of ivshmemctl.")
    for name in ("server", "manager", "ctl", "failing", "build"):
        parser.add_argument(f"--{name}", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _terminated)
    signal.alarm(200)  # what hangs ends, and says where
    signal.signal(signal.SIGALRM, _terminated)
    tap, error = Tap(), None
    logs = arguments.build.resolve() / "ctl-logs" / pathlib.Path(sys.argv[0]).stem
    try:
        with Stage(arguments, logs) as stage:
            body(stage, tap)
    except Exception as raised:  # reported as a failure, with the traceback, by finish()
        error = raised
    tap.finish(error)
    if tap.failures:
        tap.comment(f"logs of the manager and its servers: {logs}")
        sys.exit(1)
