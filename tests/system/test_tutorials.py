#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does what a tutorial says, on a machine where the project has just been installed, with the users alice and bob; for
libvirt with the VMs that it speaks of.

usage: test_tutorials.py ... NAME    of docs/tutorial-NAME.md
"""

import itertools
import os
import pathlib
import shutil

from scenario import run
from tutorial import Reader, parse
from virt import Libvirt
from virt import prepare as prepare_libvirt

from harness import guest_image

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"


def give_kernel(machine):
    """This machine may have booted a kernel that is in none of its files. The guests' kernel stands in for it."""
    image = guest_image.build(machine.build / "guest-image", machine.build / "tests" / "guest" / "guest-agent")
    shutil.copyfile(image.kernel, machine.path(f"/boot/vmlinuz-{os.uname().release}"))


def body(machine, name):
    for user in ("alice", "bob"):
        machine.add_user(user)
    give_kernel(machine)
    if name == "libvirt":
        virt = machine.enter_context(Libvirt(machine))
        machine.callback(virt.save_logs, machine.logs)
        for vm in ("router", "fw", "stranger"):
            virt.define_pluggable(vm)
    reader = Reader(lambda user: machine.enter(user), "alice", "/home/alice")
    machine.callback(reader.close)
    steps = parse((DOCS / f"tutorial-{name}.md").read_text())
    assert steps, f"tutorial {name} says nothing to do"
    for section, group in itertools.groupby(steps, lambda step: step.section):
        with machine.case(section):
            for step in group:
                reader.do(step)


def prepare(machine, name):
    if name == "libvirt":
        prepare_libvirt(machine)


run(body, prepare, is_bare=lambda name: name == "containers")
