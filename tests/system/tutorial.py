# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does what a tutorial says: types its commands, and holds what comes of them against what it shows.

A tutorial is a text in Markdown. What it has the reader type stands in blocks:

    ```console              a shell; lines that begin with "$ " are typed by the user, with "# " by root
    ```console NAME         a terminal of its own, in which something runs, and may be typed to; see PROMPTS

Other blocks are for reading. Below a command stands what it prints. Where nothing stands, it must succeed, and whatever
it prints is right. In what is shown, "..." stands for any text, on a line of its own for any lines; blanks are as good
as other blanks.
"""

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
import time
import uuid

from machine import CommandFailed

from harness import Timeout
from harness.peer import readable
from harness.process import TIMEOUT, Deadline

# What is typed to in terminals: a shell, a guest's, and an interactive peer.
GUEST = "/ # "
PROMPTS = ("$ ", "# ", GUEST, "> ")

# What looks at things that change by themselves: who sees too old a state looks again.
_LOOKS = re.compile(r"(ls|cat|journalctl|systemctl (status|show|list-units)|ivshmemctl (list|status|show|peers|limits))\b")

_FENCE = re.compile(r"^```console(?: (\w+))?$")
_HERE = re.compile(r"<<-?\s*(['\"]?)([A-Za-z]\w*)\1")
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r|\x1bc")


class Step:
    """Something to type, at a prompt; None where only something is to be seen. And what shows afterwards."""

    def __init__(self, number, terminal, prompt=None, text=None):
        self.section = ""
        self.number = number  # of the line, from 1
        self.terminal = terminal
        self.prompt = prompt
        self.text = text
        self.shows = []

    def describe(self):
        return f"line {self.number}: {self.prompt or ''}{self.text or self.shows[0]}"


def _prompt_of(line, terminal):
    """The longest prompt that the line begins with; in a shell there are two."""
    known = PROMPTS if terminal else PROMPTS[:2]
    return max((prompt for prompt in known if line.startswith(prompt)), key=len, default=None)


def _steps_of_block(lines, terminal):
    """lines: pairs of number and text."""
    steps, rest = [], iter(lines)
    for number, line in rest:
        prompt = _prompt_of(line, terminal)
        if prompt:
            text = line[len(prompt) :]
            here = _HERE.search(text)
            while text.endswith("\\") or (here and text.split("\n")[-1] != here.group(2)):
                text += "\n" + next(rest)[1]
            steps.append(Step(number, terminal, prompt, text))
            continue
        if not steps:
            assert terminal, f"line {number}: a shell's block begins with a prompt, not with '{line}'"
            steps.append(Step(number, terminal))
        steps[-1].shows.append(line)
    return steps


def parse(text):
    """The steps of a tutorial, in their order."""
    steps, block, terminal, section = [], None, None, ""
    for number, line in enumerate(text.splitlines(), 1):
        if block is None:
            found = _FENCE.match(line)
            if found:
                block, terminal = [], found.group(1)
            elif line.startswith("#"):
                section = line.lstrip("# ")
        elif line == "```":
            for step in _steps_of_block(block, terminal):
                step.section = section
                steps.append(step)
            block = None
        else:
            block.append((number, line))
    assert block is None, "the last block has no end"
    return steps


def pattern(lines):
    """A regular expression for what the lines show."""
    parts = []
    for line in lines:
        if line.strip() == "...":
            parts.append(r"(?:.*\n)*?")
            continue
        words = [".*".join(map(re.escape, word.split("..."))) for word in line.split()]
        parts.append(r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n")
    return "".join(parts)


class Differs(AssertionError):
    """The tutorial shows something else than what is to be seen."""


class _Shell:
    """A shell that lives as long as the tutorial is followed, so that folders and variables stay."""

    def __init__(self, command):
        self._child = subprocess.Popen(
            [*command, "bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
        self.run("cd")

    def run(self, text):
        """What the command printed, and its status."""
        mark = uuid.uuid4().hex
        self._child.stdin.write(f"{text}\necho {mark} $?\n".encode())
        self._child.stdin.flush()
        output, deadline = b"", Deadline()
        while not (found := re.search(mark.encode() + rb" (\d+)\n", output)):
            if not readable(self._child.stdout.fileno(), deadline.left()):
                raise Timeout(f"'{text}' still runs after {TIMEOUT} s; it has printed: {output.decode()}")
            data = os.read(self._child.stdout.fileno(), 65536)
            if not data:
                raise CommandFailed(f"the shell ended in '{text}': {output.decode()}")
            output += data
        return output[: found.start()].decode(errors="replace"), int(found.group(1))

    def do(self, step):
        deadline = Deadline(TIMEOUT if _LOOKS.match(step.text) else 0)
        while (wrong := self._try(step)) and deadline.left():
            time.sleep(0.05)
        if wrong:
            raise Differs(wrong)

    def _try(self, step):
        """What is wrong with what comes of it; None if nothing is."""
        output, status = self.run(step.text)
        if not step.shows:
            return f"status {status}: {output}" if status != 0 else None
        shown = output if output.endswith("\n") else output + "\n"
        return None if re.fullmatch(pattern(step.shows), shown) else f"it shows\n{output}"

    def close(self):
        self._child.stdin.close()
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()


class _Terminal:
    """A terminal in which one program runs, with which the user speaks."""

    def __init__(self, command):
        self._enter = command
        self._master, self._child, self._text = None, None, ""

    def _start(self, text):
        self._master, slave = pty.openpty()
        self._child = subprocess.Popen(
            [*self._enter, "bash", "--norc", "--noprofile", "-c", f"cd; {text}"],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd="/",
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def _wait(self, what, seconds=TIMEOUT, forget=True):
        """Waits until the expression matches what shows, and forgets everything up to the end of it."""
        deadline = Deadline(seconds)
        while not (found := re.search(what, self._text)):
            if not readable(self._master, deadline.left()):
                raise Differs(f"after {seconds} s it shows only\n{self._text}")
            try:
                data = os.read(self._master, 65536)
            except OSError as error:  # the program has ended
                raise Differs(f"it ended, and showed\n{self._text}") from error
            self._text = _ESCAPE.sub("", self._text + data.decode(errors="replace"))
        self._text = self._text[found.end() if forget else 0 :]

    def _wait_prompt(self, prompt, forget):
        self._wait(r"(?:^|\n)" + re.escape(prompt), 3 * TIMEOUT, forget)

    def do(self, step):
        if step.text and not self._child:
            self._start(step.text)
        elif step.text:
            self._wait_prompt(step.prompt, forget=True)
            os.write(self._master, step.text.encode() + b"\n")
            self._wait(r"\n")  # the echo
        shows = list(step.shows)
        prompt = shows.pop() + " " if shows and shows[-1] + " " in PROMPTS else None
        if step.prompt == GUEST:
            prompt = GUEST  # what others see of what it does they see when it has been done
        if shows:
            self._wait(r"(?:^|\n)" + pattern(shows).replace(r"[ \t]*\n", r"[ \t]*(?=\n)\n?"))
        if prompt:
            self._wait_prompt(prompt, forget=False)

    def close(self):
        if self._child:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            os.close(self._master)


class Reader:
    """Follows one tutorial. enter(user) is what a command line begins with so that it runs as root (None) or as the
    user; home is where the user is at home."""

    def __init__(self, enter, user, home):
        self._enter = enter
        self._people = {"# ": (None, "/root"), "$ ": (user, home)}
        self._places = {}

    def _command(self, prompt):
        user, home = self._people[prompt]
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        variables = {"HOME": home, "USER": user or "root", "PATH": path, "LANG": "C.UTF-8", "TERM": "vt100"}
        return [*self._enter(user), "env", "-i", *(f"{name}={value}" for name, value in variables.items())]

    def _place(self, step):
        """The shell of the one who types, or the terminal."""
        key = step.terminal or step.prompt
        if key not in self._places:
            kind = _Terminal if step.terminal else _Shell
            self._places[key] = kind(self._command(step.prompt))
        return self._places[key]

    def _log_out(self):
        """Groups count from the next login on: who types next in the user's shell has a new one."""
        shell = self._places.pop("$ ", None)
        if shell:
            shell.close()

    def do(self, step):
        try:
            self._place(step).do(step)
            if step.text and step.text.startswith("usermod "):
                self._log_out()
        except (AssertionError, OSError) as error:
            expected = "\n".join(step.shows) or "a success"
            raise Differs(f"{step.describe()}\nwanted: {expected}\n{error}") from error

    def close(self):
        for place in self._places.values():
            place.close()
