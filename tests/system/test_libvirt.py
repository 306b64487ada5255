#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""VMs of libvirt share a domain: all under one user, told apart by the machines that libvirt makes of them. Their devices
are what ivshmemctl libvirt-xml prints.

Neither AppArmor nor SELinux is to be had in a container: what they keep libvirt's VMs from is not seen here.
"""

from scenario import run, service_of
from virt import Libvirt, prepare

from harness import check_doorbells, check_memory, definition, until

SIZE = 1 << 20
VECTORS = 2
SERVICE = service_of("ring")
REFUSED = "38bfeb2cca2648178bb28c293dc44eb3"

# Directly on the root complex: libvirt would put it behind a bridge.
ON_ROOT = "<address type='pci' domain='0x0000' bus='0x00' slot='0x10' function='0x0'/>"


def device_of(machine, *arguments):
    """The element that ivshmemctl prints for a domain."""
    return machine.run("ivshmemctl", "libvirt-xml", *arguments).stdout


def on_root(device):
    return device.replace("</shmem>", f"{ON_ROOT}</shmem>")


def joined(machine, name):
    """The last record of somebody's joining from a machine."""
    records = until(lambda: machine.journal(f"IVSHMEM_PEER_MACHINE={name}"), f"a record about {name}")
    return records[-1]


def body(machine):
    machine.define(
        "ring",
        definition(
            {"Size": SIZE, "Vectors": VECTORS},
            {"Machine": "qemu-*-router qemu-*-fw qemu-*-pluggable"},
            {"router": {"VMID": 3, "Machine": "qemu-*-router"}, "fw": {"VMID": 5, "Machine": "qemu-*-fw"}},
        ),
    )
    machine.systemctl("enable", "--now", "ivshmem@ring.socket")
    virt = machine.enter_context(Libvirt(machine))
    machine.callback(virt.save_logs, machine.logs)
    device = on_root(device_of(machine, "ring"))
    vms = {name: virt.vm(name, device) for name in ("router", "fw")}

    def check():
        assert {name: vm.info()["id"] for name, vm in vms.items()} == {"router": 3, "fw": 5}
        check_doorbells(VECTORS, *vms.values())
        check_memory(SIZE, *vms.values())

    with machine.case("two VMs of libvirt get the VM IDs of their machines' names, and reach each other"):
        for vm in vms.values():
            vm.start()
        for vm in vms.values():
            vm.wait_ready()
        check()

    with machine.case("both run under one user; their machines tell them apart"):
        records = [joined(machine, vm.machine_name()) for vm in vms.values()]
        users = {record["IVSHMEM_PEER_UID"] for record in records}
        assert users == {machine.run("id", "--user", "libvirt-qemu").stdout.strip()}, users

    with machine.case("a VM that [Access] does not name does not start, and libvirt says why"):
        virt.vm("stranger", device)
        assert "server sent version 403, expecting 0" in virt.fails("start", "stranger")
        found = until(lambda: machine.journal(f"MESSAGE_ID={REFUSED}"), "a record of the refusal")[-1]
        assert found["IVSHMEM_PEER_MACHINE"].endswith("-stranger"), found

    with machine.case("virsh reset and a reboot from inside keep VM ID and connection"):
        before = len(machine.journal(f"IVSHMEM_PEER_MACHINE={vms['fw'].machine_name()}"))
        vms["fw"].reset()
        check()
        vms["fw"].reboot()
        check()
        assert len(machine.journal(f"IVSHMEM_PEER_MACHINE={vms['fw'].machine_name()}")) == before

    with machine.case("virsh destroy and start: another machine, the same VM ID, and the memory as it was"):
        contents, name = vms["fw"].sum(0, SIZE), vms["router"].machine_name()
        vms["router"].destroy()
        vms["router"].start().wait_ready()
        assert vms["router"].machine_name() != name
        assert vms["router"].sum(0, SIZE) == contents
        check()

    with machine.case("the server is restarted and killed: no VM notices, and one started afterwards has its VM ID"):
        machine.systemctl("restart", SERVICE)
        check()
        old = machine.show(SERVICE, "MainPID")
        machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", SERVICE)
        until(lambda: machine.show(SERVICE, "MainPID") not in ("0", old), "another server")
        check()
        vms["fw"].destroy()
        vms["fw"].start().wait_ready()
        check()

    with machine.case("libvirtd is restarted: no VM notices"):
        machine.systemctl("restart", "libvirtd.service")
        check()

    with machine.case("attach-device and detach-device of a running VM, again and again"):
        virt.start_pluggable("pluggable")
        xml = virt.write("device", device_of(machine, "ring"))
        for _ in range(2):
            virt.virsh("attach-device", "pluggable", xml, "--live")
            assert virt.shmem("pluggable") == 1
            found = joined(machine, virt.machine_name("pluggable"))
            assert found["IVSHMEM_VM_ID"] == "0", found
            virt.virsh("detach-device", "pluggable", xml, "--live")
            until(lambda: virt.shmem("pluggable") == 0, "the device is gone")
        check()

    with machine.case("attach-device to a VM that is not let in fails, and the VM goes on"):
        virt.start_pluggable("alien")
        assert "server sent version 403" in virt.fails("attach-device", "alien", xml, "--live")
        assert virt.shmem("alien") == 0
        assert virt.virsh("domstate", "alien").strip() == "running"

    with machine.case("ivshmem-plain maps the file of a domain with Path=/dev/shm/NAME"):
        machine.define(
            "table",
            definition({"Size": "1M", "Path": "/dev/shm/table", "PathMode": "0666"}, {"User": "libvirt-qemu"}),
        )
        machine.systemctl("start", service_of("table"))
        path = machine.path("/dev/shm/table")
        vm = virt.vm("plain", on_root(device_of(machine, "table", "--plain"))).start().wait_ready()
        assert vm.info()["vectors"] == 0
        vm.write(4096, b"from the guest")
        assert path.read_bytes()[4096:4110] == b"from the guest"
        vm.destroy()
        machine.systemctl("stop", service_of("table"))
        until(lambda: not path.exists(), "its file is gone")


run(body, prepare)
