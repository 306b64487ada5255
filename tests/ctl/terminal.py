# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commands on a terminal. harness must be on the path of the one who imports this."""

import os
import pty
import select
import signal

from harness.process import TIMEOUT, Deadline, Timeout


class Terminal:
    """A command on a terminal of its own, and what it has written there."""

    def __init__(self, command, environment=None):
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execvpe(command[0], list(map(str, command)), environment or os.environ)  # does not return
        self.text = ""
        self._status = None

    def _read(self, deadline):
        """Reads more; False at the end."""
        if not select.select([self._fd], [], [], deadline.left())[0]:
            raise Timeout(f"nothing came any more after {self.text!r}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: nobody has the other side any more
            return False
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)

    def expect(self, words, seconds=TIMEOUT):
        deadline = Deadline(seconds)
        while words not in self.text:
            if not self._read(deadline):
                raise AssertionError(f"{words!r} did not come, but {self.text!r}")
        return self

    def send(self, text):
        os.write(self._fd, text.encode())
        return self

    def end(self):
        """Waits for its end; the exit status."""
        deadline = Deadline()
        while self._read(deadline):
            pass
        return self.wait()

    def wait(self):
        if self._status is None:
            _, status = os.waitpid(self._pid, 0)
            self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def kill(self):
        """Ends it whatever it does. Doing so twice is doing so once."""
        if self._status is None:
            os.kill(self._pid, signal.SIGKILL)
            self.wait()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
