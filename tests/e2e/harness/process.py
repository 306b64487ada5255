# SPDX-License-Identifier: LGPL-2.1-or-later
"""Child processes that never outlive the test, and what /proc tells about them."""

import collections
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import time

TIMEOUT = 60  # seconds; for what takes well under one on an idle machine

_PR_SET_PDEATHSIG = 1
_USUAL_DESCRIPTORS = 1024
_libc = ctypes.CDLL(None, use_errno=True)


class Timeout(AssertionError):
    """Something that had to happen did not."""


class Deadline:
    """A point in time by which something must have happened."""

    def __init__(self, seconds=TIMEOUT):
        self._end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self._end - time.monotonic())


def until(condition, what, seconds=TIMEOUT):
    """Returns the condition's value once it is true. For states of other processes that announce no event."""
    deadline = Deadline(seconds)
    while True:
        value = condition()
        if value:
            return value
        if not deadline.left():
            raise Timeout(f"{seconds} s passed without this: {what}")
        time.sleep(0.005)


def listens(path):
    """Whether somebody accepts connections at the path of a socket."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
        return True
    return False


def _prepare_child():
    """Runs in the child: it ends when the test does, and has the usual number of descriptors, as in production."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_USUAL_DESCRIPTORS, most), most))


def _prepare_service():
    """Runs in the child: it ends when the test does, and has as many descriptors as there are."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Process:
    """A child whose stderr (and stdout) go to a log file."""

    def __init__(self, command, log, *, fds=(), environment=None, user=None, all_descriptors=False):
        self.log = pathlib.Path(log)
        self._stream = self.log.open("ab")
        self._stream.write(("$ " + " ".join(map(str, command)) + "\n").encode())
        self._stream.flush()
        self._begin = self._stream.tell()
        who = {"user": user, "group": "nogroup", "extra_groups": []} if user else {}
        self._child = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=self._stream,
            stderr=self._stream,
            pass_fds=fds,
            env={**os.environ, **(environment or {})},
            preexec_fn=_prepare_service if all_descriptors else _prepare_child,
            **who,
        )
        self.pid = self._child.pid

    def output(self):
        """What this process has printed so far."""
        with self.log.open("rb") as stream:
            stream.seek(self._begin)
            return stream.read().decode(errors="replace")

    def status(self):
        """The exit status, negative for a signal; None while it runs."""
        return self._child.poll()

    def wait(self, seconds=TIMEOUT):
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise Timeout(f"{self.log.name}: process {self.pid} still runs after {seconds} s") from error

    def signal(self, number):
        self._child.send_signal(number)

    def kill(self):
        """Ends it whatever it does; does nothing when it has ended already."""
        if self.status() is None:
            self._child.kill()
        self._child.wait()
        self._stream.close()


def children(pid):
    """The children of a process, with their names. One that ends while it is looked at is none of them."""
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            before, _, after = stat.read_text().rpartition(")")
            if int(after.split()[1]) == pid:
                yield int(stat.parent.name), before.partition("(")[2]


def eventfd_id(fd, pid="self"):
    """The kernel's number of an eventfd, the same in each process that holds it; None for other files."""
    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
        found = re.search(r"^eventfd-id:\s*(\d+)", pathlib.Path(f"/proc/{pid}/fdinfo/{fd}").read_text(), re.MULTILINE)
        return int(found.group(1)) if found else None
    return None


def eventfd_count(fd):
    """The unread rings in one of our own eventfds; reads nothing."""
    text = pathlib.Path(f"/proc/self/fdinfo/{fd}").read_text()
    return int(re.search(r"^eventfd-count:\s*([0-9a-f]+)", text, re.MULTILINE).group(1), 16)


def eventfds(pid):
    """Which eventfds a process holds, and through how many descriptors each."""
    ids = (eventfd_id(fd, pid) for fd in os.listdir(f"/proc/{pid}/fd"))
    return collections.Counter(number for number in ids if number is not None)
