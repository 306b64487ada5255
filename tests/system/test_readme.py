#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does what README.md says: installs on a machine that was not booted since, and uses it as root and as the user alice."""

import pathlib
import shutil

from scenario import NO_GUEST, run, service_of, socket_of
from tutorial import Reader, parse

from harness import Qemu, doorbell_device, until

HOME = "/home/alice"
README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
FOLDERS = (("/etc/ivshmem", "root"), ("/run/ivshmem", "ivshmem"), ("/var/lib/ivshmem", "ivshmem"))


def uninstall_what_boot_made(machine):
    machine.run("userdel", "ivshmem")
    for folder, _ in FOLDERS:
        shutil.rmtree(machine.path(folder), ignore_errors=True)


def attach(machine, name, path, user):
    """A QEMU of somebody's, with as many vectors as README gives its domains; it fails unless the server takes it."""
    log = machine.logs / f"{name}.log"
    arguments = [*NO_GUEST, *doorbell_device(path, 4)]
    qemu = Qemu(shutil.which("qemu-system-x86_64"), None, log, name, arguments, enter=machine.enter(user))
    machine.callback(qemu.kill)
    qemu.negotiate()


def body(machine):
    machine.add_user("alice")
    uninstall_what_boot_made(machine)
    reader = Reader(lambda user: machine.enter(user), "alice", HOME)
    machine.callback(reader.close)
    steps = parse(README.read_text())

    def follow(section):
        ours = [step for step in steps if step.section == section]
        steps[:] = [step for step in steps if step.section != section]
        assert ours, f"README.md says nothing to do in '{section}'"
        for step in ours:
            reader.do(step)

    with machine.case("Build and install"):
        follow("Build and install")

    with machine.case("that made the manager's user, and folders that nobody but root and the manager may write to"):
        assert machine.run("id", "--user", "ivshmem").stdout.strip() != "0"
        for folder, owner in FOLDERS:
            listed = machine.run("stat", "--format=%U:%G %a", folder).stdout.split()
            assert listed == [f"{owner}:{owner}", "755"], f"{folder}: {listed}"

    with machine.case("Use it"):
        follow("Use it")

    with machine.case("the servers that were started by hand take VMs"):
        for path in ("/tmp/ivshmem_socket", "/tmp/ring.sock"):
            until(lambda path=path: machine.path(path).exists(), f"{path} is there")
            attach(machine, path.rpartition("/")[2], path, "alice")

    with machine.case("the domain of the unit starts with its first VM, and again after a reboot"):
        assert not machine.is_active(service_of("ring"))
        attach(machine, "first", socket_of("ring"), "libvirt-qemu")
        assert machine.is_active(service_of("ring"))
        assert machine.systemctl("is-enabled", "ivshmem@ring.socket").stdout == "enabled\n"

    with machine.case("alice's domains take VMs of hers, that of the system's manager and that of her own"):
        for path in (socket_of("shop"), f"{HOME}/ivshmem/ring.sock"):
            attach(machine, path.replace("/", "-"), path, "alice")

    with machine.case("nothing of what README.md says is left over"):
        assert not steps, steps[0].describe()


run(body)
