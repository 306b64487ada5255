# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine that runs systemd, with the project installed: a container over a throw-away copy of this machine's files.

Nothing of it outlives the test. Its mounts belong to a mount namespace of the test's own, and so end with it however it
ends; the container ends with the process that started it; its control groups are removed.
"""

import contextlib
import ctypes
import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
from harness import Skip, Timeout, until  # noqa: E402  (it lives with the tests that it was made for)
from harness.process import TIMEOUT, Process, children  # noqa: E402

_CLONE_NEWNS = 0x00020000
_MS_REC_PRIVATE = 0x4000 | (1 << 18)
_libc = ctypes.CDLL(None, use_errno=True)

# What the host has enabled is not started: the units below, and what a test starts.
_DEFAULT_TARGET = "multi-user.target"


def _check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _enter_mount_namespace():
    """What this process mounts from now on nobody else sees, and it is gone when the process is."""
    _check(_libc.unshare(_CLONE_NEWNS))
    _check(_libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None))


def _mount(kind, options, where):
    subprocess.run(["mount", "-t", kind, "-o", options, "none", where], check=True)


# ---- Control groups ----


def _cgroup_folders():
    """Our own group in each hierarchy that systemd-nspawn uses."""
    groups = dict(line.rstrip("\n").split(":", 2)[1:] for line in open("/proc/self/cgroup"))
    for line in open("/proc/self/mountinfo"):
        fields, _, kind = line.partition(" - ")
        options = kind.split()[2]
        name = "" if kind.startswith("cgroup2 ") else "name=systemd" if "name=systemd" in options else None
        if name in groups:
            root, where = fields.split()[3:5]
            inside = os.path.relpath(groups[name], root)
            yield pathlib.Path(where) / inside


def _remove_tree(folder):
    """A control group has no files that could be removed, only groups below it."""

    def empty():
        for parent, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):  # still busy: its processes are about to end
                os.rmdir(parent)
        return not folder.exists()

    until(empty, f"{folder} is empty")


@contextlib.contextmanager
def _own_cgroups():
    """Groups for one container: two in the same one would be each other's systemd."""
    folders = []
    try:
        for folder in _cgroup_folders():
            own = folder / f"ivshmem-test-{os.getpid()}"
            own.mkdir()
            folders.append(own)
        yield folders
    finally:
        for folder in folders:
            _remove_tree(folder)


# ---- The machine ----


class CommandFailed(AssertionError):
    """A command in the machine failed."""


class Machine(contextlib.ExitStack):
    """Installed, booted, and driven through its own tools. Everything ends when it is left."""

    def __init__(self, build, logs):
        super().__init__()
        self._build = build
        self.logs = logs
        self.leader = None

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("root is needed to boot a container")
        if not shutil.which("systemd-nspawn"):
            raise Skip("systemd-nspawn (systemd-container) is not installed")
        super().__enter__()
        with contextlib.ExitStack() as stack:
            stack.push(self)
            self._prepare()
            stack.pop_all()
        return self

    def _prepare(self):
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="ivshmem-system-"))
        self.callback(shutil.rmtree, self._folder, ignore_errors=True)
        _enter_mount_namespace()
        _mount("tmpfs", "mode=0755", self._folder)
        self.callback(subprocess.run, ["umount", "--recursive", "--lazy", self._folder], check=True)
        for name in ("upper", "work", "root"):
            (self._folder / name).mkdir()
        self.root = self._folder / "root"
        layers = f"lowerdir=/,upperdir={self._folder / 'upper'},workdir={self._folder / 'work'}"
        _mount("overlay", layers, self.root)
        self._make_distinct()
        self._install()

    def _make_distinct(self):
        """Not the host over again: another identity, and nothing that the host's administrator enabled."""
        (self.root / "etc/machine-id").unlink(missing_ok=True)
        (self.root / "etc/machine-id").write_text(uuid.uuid4().hex + "\n")
        shutil.rmtree(self.root / "etc/systemd/system", ignore_errors=True)
        (self.root / "etc/systemd/system").mkdir()
        shutil.rmtree(self.root / "etc/ivshmem", ignore_errors=True)

    def _install(self):
        install = ["meson", "install", "-C", str(self._build), "--no-rebuild", "--quiet"]
        subprocess.run(install, env={**os.environ, "DESTDIR": str(self.root)}, stdin=subprocess.DEVNULL, check=True)

    def enable_at_boot(self, unit):
        """What `systemctl enable` does, before the machine is booted."""
        subprocess.run(["systemctl", f"--root={self.root}", "--quiet", "enable", unit], check=True)

    def boot(self):
        """Starts systemd, and returns when it has started all that is enabled."""
        begin = time.monotonic()
        systemd = ("systemd.unified_cgroup_hierarchy=1", f"systemd.unit={_DEFAULT_TARGET}")
        container = self._contain("systemd", "--boot", *systemd)
        until(lambda: self._has_booted(container), "systemd has booted", 2 * TIMEOUT)
        return time.monotonic() - begin

    def start_bare(self):
        """Instead of boot(): a container as most are, in which nothing runs and no systemd is to be had."""
        begin = time.monotonic()
        self._contain("sleep", "sleep", "infinity")
        return time.monotonic() - begin

    def _contain(self, first, *arguments):
        """Starts the container; first: the name of its first process."""
        cgroups = self.enter_context(_own_cgroups())
        command = [
            # A first process that ends with us ends the container, which systemd-nspawn alone would leave behind.
            *("unshare", "--fork", "--pid", "--kill-child", "--mount-proc"),
            *("systemd-nspawn", "--quiet", "--keep-unit", "--register=no", "--directory", self.root),
            *(f"--machine=ivshmem-test-{os.getpid()}", "--capability=all", "--console=pipe", *arguments),
        ]
        join = "".join(f"echo $$ >{shlex.quote(str(folder))}/cgroup.procs && " for folder in cgroups)
        script = f"{join} exec {shlex.join(map(str, command))}"
        container = Process(["sh", "-c", script], self.logs / "console.log")
        self.callback(self._end, container)
        self.leader = until(lambda: self._find_leader(container, first), "the container has a first process")
        return container

    def _end(self, container):
        container.kill()
        if self.leader:
            until(lambda: not pathlib.Path(f"/proc/{self.leader}").exists(), "the container is gone")

    @staticmethod
    def _check_alive(container):
        if container.status() is not None:
            raise CommandFailed(f"systemd-nspawn ended with {container.status()}: {container.output()}")

    def _find_leader(self, container, name):
        """The container's first process: a grandchild of unshare(1)."""
        self._check_alive(container)
        leaders = (child for nspawn, _ in children(container.pid) for child in children(nspawn))
        return next((leader for leader, called in leaders if called == name), None)

    def _has_booted(self, container):
        self._check_alive(container)
        state = self.run("systemctl", "is-system-running", "--wait", check=False).stdout.strip()
        return state in ("running", "degraded")

    # ---- What a test does with it ----

    def enter(self, user=None, scope=None):
        """What a command line begins with so that it runs inside and ends with us: as root or as another user, in a scope
        unit of its own or in none of the machine's units."""
        inside = ["nsenter", "--target", str(self.leader), "--all"]
        unit = ["systemd-run", "--quiet", "--collect", "--scope", f"--unit={scope}", "--"] if scope else []
        groups = "--clear-groups" if str(user).isdecimal() else "--init-groups"
        who = ["--reuid", user, "--regid", user, groups] if user else []
        return [*inside, *unit, "setpriv", *who, "--pdeathsig", "KILL", "--"]

    def run(self, *command, check=True, user=None, input=None, seconds=TIMEOUT):
        """Runs a command inside and returns what came of it (text)."""
        try:
            result = subprocess.run(
                [*self.enter(user), *map(str, command)],
                **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}),
                capture_output=True,
                text=True,
                check=False,
                timeout=seconds,
                cwd="/",
            )
        except subprocess.TimeoutExpired as error:
            raise Timeout(f"{shlex.join(map(str, command))}: still runs after {seconds} s") from error
        if check and result.returncode != 0:
            raise CommandFailed(
                f"{shlex.join(map(str, command))}: status {result.returncode}\n{result.stdout}{result.stderr}"
            )
        return result

    def add_user(self, name, *groups):
        """A user with a group of its own, who is a member of these groups besides; those that are not there are made."""
        for group in groups:
            self.run("groupadd", "--system", "--force", group)
        more = ["--groups", ",".join(groups)] if groups else []
        self.run("useradd", "--system", "--user-group", *more, "--create-home", name)

    def systemctl(self, *arguments, check=True):
        return self.run("systemctl", "--no-pager", *arguments, check=check)

    def show(self, unit, name):
        """One property of a unit."""
        return self.systemctl("show", "--property", name, "--value", unit).stdout.strip()

    def is_active(self, unit):
        return self.show(unit, "ActiveState") == "active"

    def until_shows(self, unit, name, value):
        until(lambda: self.show(unit, name) == value, f"{unit}: {name}={value}")

    def path(self, inside):
        """A file of the running machine, as seen from here; also in file systems that are mounted inside."""
        return pathlib.Path(f"/proc/{self.leader}/root") / str(inside).lstrip("/")

    def define(self, name, text):
        """Writes a definition, as an administrator does."""
        path = self.path(f"/etc/ivshmem/{name}.domain")
        path.write_text(text)
        return path

    def drop_in(self, unit, text):
        folder = self.path(f"/etc/systemd/system/{unit}.d")
        folder.mkdir(parents=True)
        (folder / "test.conf").write_text(text)
        self.systemctl("daemon-reload")

    def journal(self, *matches):
        """Records as dictionaries, oldest first; matches are those of journalctl, FIELD=VALUE."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--output=json", "--all", "--no-pager", "--quiet", *matches).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def messages(self, unit, *matches):
        """The text of all that was logged by or about a unit."""
        about = [record["MESSAGE"] for record in self.journal(f"UNIT={unit}", *matches)]
        return about + [record["MESSAGE"] for record in self.journal(f"_SYSTEMD_UNIT={unit}", *matches)]

    def save_journal(self, name):
        with contextlib.suppress(CommandFailed, Timeout):
            text = self.run("journalctl", "--no-pager", "--all", "--output=short-precise").stdout
            (self.logs / f"{name}.journal").write_text(text)
