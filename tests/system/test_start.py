#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways in which a domain starts, goes on and ends under systemd."""

import pathlib
import re
import shutil

from scenario import run, service_of

from harness import definition, until

SMALL = definition({"Size": "1M"})


def prepare(machine):
    """An administrator enables two domains, and the machine is booted afterwards."""
    folder = machine.root / "etc/ivshmem"
    folder.mkdir(exist_ok=True)
    for name, unit in (("atboot", "service"), ("later", "socket")):
        (folder / f"{name}.domain").write_text(SMALL)
        machine.enable_at_boot(f"ivshmem@{name}.{unit}")


README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


def readme_commands(heading):
    """The commands below a heading of README.md, in their order, without sudo: those who do it here are root."""
    section = README.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [line.strip().removeprefix("sudo ") for line in section.splitlines() if line.startswith("    ")]


def follow_readme(machine):
    """On a machine where the project has just been installed, and that was not booted since."""
    for folder in ("/run/ivshmem", "/etc/ivshmem", "/var/lib/ivshmem"):
        shutil.rmtree(machine.path(folder), ignore_errors=True)
    commands = [line for line in readme_commands("Build and install") if not line.startswith("meson ")]
    commands += [line for line in readme_commands("Use it") if line.startswith(("printf ", "systemctl "))]
    assert len(commands) == 7, commands
    machine.run("sh", "-ec", "\n".join(commands).replace("libvirt-qemu", "root"))


def body(machine):
    with machine.case("a domain whose service is enabled runs after boot"):
        assert machine.is_active(service_of("atboot"))
        machine.peer("atboot")
        assert machine.systemctl("is-enabled", "ivshmem@atboot.socket").stdout == "enabled\n"

    with machine.case("a domain whose socket is enabled starts with the first connection after boot"):
        assert machine.is_active("ivshmem@later.socket")
        assert not machine.is_active(service_of("later"))
        machine.peer("later")
        assert machine.is_active(service_of("later"))

    with machine.case("systemctl start of the service brings the socket up, and a QEMU attaches"):
        machine.define("hand", SMALL)
        machine.systemctl("start", service_of("hand"))
        assert machine.is_active("ivshmem@hand.socket")
        machine.qemu("hand", "hand")

    with machine.case("the status line counts peers, and names memory and pages"):
        status = r'Status: "1 of \d+ peers, 1M in 4K pages"'
        until(lambda: re.search(status, machine.systemctl("status", service_of("hand")).stdout), "the status tells")

    with machine.case("what README.md says to do after installing makes a domain that starts with its first client"):
        follow_readme(machine)
        assert not machine.is_active(service_of("ring"))
        assert machine.peer("ring", vectors=4).memory.size() == 64 << 20
        assert machine.is_active(service_of("ring"))
        assert machine.systemctl("is-enabled", "ivshmem@ring.socket").stdout == "enabled\n"

    with machine.case("that made the manager's user, and folders that nobody but root and the manager may write to"):
        assert machine.run("id", "--user", "ivshmem").stdout.strip() != "0"
        for folder, owner in (("/etc/ivshmem", "root"), ("/run/ivshmem", "ivshmem"), ("/var/lib/ivshmem", "ivshmem")):
            listed = machine.run("stat", "--format=%U:%G %a", folder).stdout.split()
            assert listed == [f"{owner}:{owner}", "755"], f"{folder}: {listed}"


run(body, prepare)
