#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ivshmemctl tells VMs to take works: its arguments in a real QEMU, its XML in libvirt's schema."""

import json
import pathlib
import shlex
import shutil
import subprocess

from stage import FAILED, NO_GUEST, NO_SUCH_DOMAIN, USAGE, Qemu, Skip, run, until

# As little of a machine as libvirt's schema lets through.
MACHINE = """<domain type='qemu'{namespace}>
  <name>vm</name><memory>65536</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>{devices}</devices>
  {beside}
</domain>
"""
NAMESPACE = " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"


def validate(stage, devices, beside=""):
    """libvirt's own program says whether it is valid."""
    program = shutil.which("virt-xml-validate")
    if not program or not shutil.which("xmllint"):
        raise Skip("virt-xml-validate (libvirt-clients) or xmllint (libxml2-utils) is not installed")
    path = stage.folder / "machine.xml"
    path.write_text(MACHINE.format(devices=devices, beside=beside, namespace=NAMESPACE if beside else ""))
    done = subprocess.run([program, path, "domain"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{path.read_text()}\n{done.stdout}{done.stderr}"


def start_qemu(stage, name, arguments):
    program = shutil.which("qemu-system-x86_64")
    if not program:
        raise Skip("qemu-system-x86_64 is not installed")
    qemu = Qemu(program, stage.folder, stage.logs / f"{name}.log", name, [*NO_GUEST, "-S", *arguments])
    stage.callback(qemu.kill)
    return qemu.negotiate()


def qemu_property(qemu, device, name):
    return qemu.qmp.execute("qom-get", path=f"/machine/peripheral/{device}", property=name)


def in_qemu(stage, tap):
    with tap.case("qemu-args: a QEMU with these joins, with all vectors"):
        line = stage.ctl("qemu-args", "ring").good().out
        qemu = start_qemu(stage, "vm", shlex.split(line))
        rows = until(lambda: stage.json("peers", "ring"), "QEMU is a peer")
        assert [row["pid"] for row in rows] == [qemu.process.pid], rows
        assert (qemu_property(qemu, "ring", "vectors"), qemu_property(qemu, "ring", "master")) == (4, "off")
        assert "--" not in qemu.process.output() and "not enough" not in qemu.process.output()

    with tap.case("qemu-args --json: one string for each argument"):
        assert stage.json("qemu-args", "ring") == shlex.split(line)
        stage.json("qemu-args", "ring", "--id=other")
        qemu.kill()

    with tap.case("qemu-args --master: the migration master, once VM ID 0 is kept for it"):
        result = stage.ctl("qemu-args", "ring", "--master")
        assert result.out.endswith(",master=on\n") and "VM ID 0, which a master needs, is not reserved" in result.err
        stage.ctl("reserve", "ring", "vm", 0, "--master", "--user=root").good()
        line = stage.ctl("qemu-args", "ring", "--master", "--id=the-master").good().out
        qemu = start_qemu(stage, "master", shlex.split(line))
        assert qemu_property(qemu, "the-master", "master") == "on"
        qemu.kill()

    with tap.case("qemu-args --plain: a QEMU has the file's memory"):
        path = pathlib.Path(stage.show("file", "Path"))
        line = stage.ctl("qemu-args", "file", "--plain").good().out
        qemu = start_qemu(stage, "plain", shlex.split(line))
        maps = pathlib.Path(f"/proc/{qemu.process.pid}/maps").read_text()
        assert str(path).replace("'", "\\047") in maps or str(path) in maps, maps
        qemu.kill()

    with tap.case("qemu-args: paths with commas, blanks and quotes survive QEMU and the shell"):
        odd = stage.folder / "a,b 'c'"
        odd.mkdir()
        stage.ctl("create", "odd", "--size=1M", f"--set=Path={odd}/me mory").good()
        stage.ctl("start", "odd").good()
        line = stage.ctl("qemu-args", "odd", "--plain").good().out
        words = subprocess.run(["/bin/sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
        assert words.stdout.splitlines() == stage.json("qemu-args", "odd", "--plain")
        qemu = start_qemu(stage, "odd", words.stdout.splitlines())
        qemu.kill()

    with tap.case("qemu-args: what does not fit together"):
        stage.ctl("qemu-args", "ring", "--plain").bad(FAILED, "Domain ring has memory without a file", "--path=/dev/shm/ring")
        stage.ctl("qemu-args", "ring", "--id=1x").bad(USAGE, "an ID is a letter")
        stage.ctl("qemu-args", "ring", "--id=a,b").bad(USAGE, "an ID is a letter")
        stage.ctl("qemu-args", "nobody").bad(NO_SUCH_DOMAIN)
        many = stage.ctl("qemu-args", "many")
        assert "with 1024 doorbells QEMU needs more than the usual 1024 open files" in many.err, many
        assert stage.ctl("qemu-args", "many", "--quiet").good().out == many.out


def in_libvirt(stage, tap):
    with tap.case("libvirt-xml: libvirt's schema takes the element"):
        element = stage.ctl("libvirt-xml", "ring").good().out
        assert "<size" not in element and "vectors='4'" in element, element
        validate(stage, element)
        assert json.loads(stage.ctl("libvirt-xml", "ring", "--json=short").good().out) == element

    with tap.case("libvirt-xml --master: with the override beside the devices"):
        element, override = stage.ctl("libvirt-xml", "ring", "--master", "--id=m").good().out.split("\n\n", 1)
        assert "alias='ua-m'" in override and "<alias name='ua-m'/>" in element, element + override
        validate(stage, element, override)

    with tap.case("libvirt-xml --plain: for memory in /dev/shm"):
        name = pathlib.Path(stage.show("file", "Path")).name
        element = stage.ctl("libvirt-xml", "file", "--plain").good().out
        assert f"<shmem name='{name}' role='peer'>" in element and "<server" not in element, element
        validate(stage, element)
        master = stage.ctl("libvirt-xml", "file", "--plain", "--master").good().out
        assert "role='master'" in master
        validate(stage, master)

    with tap.case("libvirt-xml: what libvirt has no way to say"):
        stage.ctl("libvirt-xml", "ring", "--plain").bad(FAILED, "memory without a file")
        stage.ctl("libvirt-xml", "odd", "--plain").bad(FAILED, "have their memory in /dev/shm/NAME")
        stage.ctl("libvirt-xml", "small", "--plain").bad(FAILED, "have at least 1M")


def body(stage, tap):
    stage.start_manager()
    shm = f"/dev/shm/{stage.folder.name}"
    stage.ctl("create", "ring", "--size=1M", "--vectors=4").good()
    stage.ctl("create", "file", "--size=2M", f"--path={shm}").good()
    stage.ctl("create", "small", "--size=4K", f"--path={shm}-small").good()
    stage.ctl("create", "many", "--size=1M", "--vectors=64", "--max-peers=16").good()
    stage.ctl("start", "ring", "file").good()
    in_qemu(stage, tap)
    in_libvirt(stage, tap)


run(body)
