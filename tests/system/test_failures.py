#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Domains that cannot start: how one sees why, and that they start once it was mended."""

import contextlib
import re
import subprocess

from machine import CommandFailed
from scenario import run, service_of

from harness import Refused, definition, huge_pages_to_change

SMALL = definition({"Size": "1M"})
WRONG = "[Domain]\nSize=1M\nVectors=many\n"
WRONG_AT = "/etc/ivshmem/{}.domain:3: Vectors="

PAGE = 2 << 20
PAGES_TOO_MANY = 64  # more than this the test does not take from the machine

KNOCKS = 8


def check_failed(machine, domain, *texts):
    """The service has failed, once, and its status says why, to the administrator and to systemctl show."""
    unit = service_of(domain)
    assert machine.show(unit, "ActiveState") == "failed"
    assert machine.show(unit, "NRestarts") == "0"
    machine.run("journalctl", "--sync")
    status = machine.systemctl("status", unit, check=False).stdout
    for text in texts:
        assert text in machine.show(unit, "StatusText"), machine.show(unit, "StatusText")
        assert status.count(text) >= 2, status  # the status line and the log


def start_fails(machine, domain):
    try:
        machine.systemctl("start", service_of(domain))
    except CommandFailed:
        return
    raise AssertionError(f"{domain} has started")


def starts(machine, domain):
    """How often systemd has begun to start it."""
    return sum(message.startswith("Starting ") for message in machine.messages(service_of(domain)))


def refusal(machine, domain):
    try:
        machine.peer(domain)
    except Refused as refused:
        return refused.version
    raise AssertionError(f"{domain} took a client")


def ask_for_pages(machine, free):
    """A domain that needs two pages more than there are (a power of two)."""
    pages = 1 << (free + 1).bit_length()
    if pages > PAGES_TOO_MANY:
        raise AssertionError(f"the machine has {free} free huge pages; take some away")
    machine.define("pages", definition({"Size": pages * PAGE, "HugePages": "2M"}))
    return pages


def follow_advice(text):
    """Does what a refusal tells the administrator to do."""
    advice = re.search(r"as root, run: (echo \d+ >/sys/\S+/nr_hugepages)", text)
    assert advice, text
    subprocess.run(["sh", "-c", advice.group(1)], check=True)


def body(machine):
    with machine.case("a wrong definition fails the start with file and line, and is not tried again"):
        machine.define("wrong", WRONG)
        start_fails(machine, "wrong")
        check_failed(machine, "wrong", WRONG_AT.format("wrong"))
        assert machine.show(service_of("wrong"), "ExecMainStatus") == "78"

    with machine.case("once the definition was mended the domain starts without further ado"):
        machine.define("wrong", SMALL)
        machine.systemctl("start", service_of("wrong"))
        machine.peer("wrong")

    with machine.case("a client that wakes a domain with a wrong definition is refused, and wakes it once"):
        machine.define("woken", WRONG)
        machine.systemctl("start", "ivshmem@woken.socket")
        assert refusal(machine, "woken") == 503
        machine.until_shows(service_of("woken"), "ActiveState", "failed")
        check_failed(machine, "woken", WRONG_AT.format("woken"))
        assert starts(machine, "woken") == 1

    with machine.case("a QEMU that wakes it says 503"):
        qemu = machine.start_qemu("woken", "woken")
        assert qemu.process.wait() == 1
        assert "server sent version 503, expecting 0" in qemu.process.output(), qemu.process.output()

    with machine.case("the socket has outlived that: once the definition was mended the next client is served"):
        machine.define("woken", SMALL)
        machine.peer("woken")
        assert machine.is_active(service_of("woken"))

    with machine.case("a domain without a definition fails by saying where to write one"):
        start_fails(machine, "none")
        check_failed(machine, "none", 'No definition of domain "none": write /etc/ivshmem/none.domain')

    with machine.case("a wrong option in a drop-in fails the start and says which; who waits is refused"):
        command = "/usr/bin/ivshmem-server --fd-store=4099 --wrong-option %i"
        machine.drop_in(service_of("option"), f"[Service]\nExecStart=\nExecStart={command}\n")
        machine.define("option", SMALL)
        start_fails(machine, "option")
        check_failed(machine, "option", "wrong-option")
        assert machine.show(service_of("option"), "ExecMainStatus") == "64"
        assert refusal(machine, "option") == 503
        machine.until_shows(service_of("option"), "ActiveState", "failed")

    with machine.case("a name that cannot be a domain's gets no socket, and no server is started for it"):
        for name in ("Upper", "my.ring", r"my\x2dring", "a" * 28):
            start_fails(machine, name)
            assert machine.show(service_of(name), "ActiveState") == "inactive"
            assert machine.show(f"ivshmem@{name}.socket", "ActiveState") == "failed"
            assert any("is not a domain's name: a lower-case letter" in text for text in machine.messages(f"ivshmem@{name}.socket"))
            assert starts(machine, name) == 0
            for unit in (f"ivshmem-file@{name}.service", f"ivshmem-control@{name}.socket"):
                machine.until_shows(unit, "ActiveState", "inactive")

    with machine.case("clients that knock again and again do not cost a domain that fails its socket"):
        machine.define("knock", WRONG)
        machine.systemctl("start", "ivshmem@knock.socket")
        for _ in range(KNOCKS):
            assert refusal(machine, "knock") == 503
        # For a quarter of a second the server that failed goes on refusing who comes.
        machine.until_shows(service_of("knock"), "ActiveState", "failed")
        machine.define("knock", SMALL)
        machine.peer("knock")

    with contextlib.ExitStack() as stack:
        with machine.case("too few huge pages fail the start with their numbers and what to do"):
            free = stack.enter_context(huge_pages_to_change())
            pages = ask_for_pages(machine, free)
            start_fails(machine, "pages")
            check_failed(machine, "pages", f"needs {pages} pages of 2M", f"has {free} free")

        with machine.case("that done, it starts; the pages are its own until it is stopped"):
            follow_advice(machine.show(service_of("pages"), "StatusText"))
            machine.systemctl("start", service_of("pages"))
            with contextlib.closing(machine.peer("pages")) as peer:
                assert peer.memory.size() == pages * PAGE
            machine.systemctl("stop", service_of("pages"), "ivshmem@pages.socket")


run(body)
