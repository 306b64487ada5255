# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt in the machine: its daemon, virsh, and domains of its own sense, which are called VMs here."""

import contextlib
import shutil
import socket

from machine import CommandFailed

from harness import Agent, Lines, Skip, guest_image, until
from harness.guest import BOOT_TIMEOUT

# Where the second serial port of a VM leads to.
_PORTS = "/srv/ports"

# The first serial port is the console, the second the agent's. An IOMMU is there for the guest's VFIO.
_LINUX = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>160</memory>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/><apic/><ioapic driver='qemu'/></features>
  <cpu mode='maximum'/>
  <devices>
    <iommu model='intel'><driver intremap='on'/></iommu>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/var/log/libvirt/qemu/{name}.console'/></serial>
    <serial type='unix'><source mode='connect' path='{port}'/></serial>
    {device}
  </devices>
</domain>
"""

# A machine whose bus takes hot-plug. Linux carries it out; nobody in the guest uses the device.
_PLUGGABLE = """\
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>160</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initramfs}</initrd>
    <cmdline>console=ttyS0 panic=-1 rdinit=/bin/busybox -- sleep 1000000</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <serial type='file'><source path='/var/log/libvirt/qemu/{name}.console'/></serial>
    {device}
  </devices>
</domain>
"""


def prepare(machine):
    """Before the boot: a libvirt without the VMs of this host."""
    configuration = machine.root / "etc/libvirt/qemu.conf"
    if not configuration.exists() or not shutil.which("virsh"):
        raise Skip("libvirt (libvirt-daemon-system, libvirt-clients) is not installed")
    shutil.rmtree(machine.root / "etc/libvirt/qemu", ignore_errors=True)
    # Where the host has control groups of the first version, the container sees them read-only, and libvirt would fail
    # to make its own there. Machines have names without them.
    with configuration.open("a") as stream:
        stream.write("cgroup_controllers = []\n")


class Vm(Agent):
    """A Linux guest that libvirt runs."""

    def __init__(self, libvirt, name):
        super().__init__(name, None)
        self._libvirt = libvirt
        self._listener = None

    def listen(self, path):
        """Where QEMU connects the agent's port to, each time that it is started."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        path.chmod(0o666)

    def start(self):
        """Begins to boot; wait_ready() waits for it."""
        self._libvirt.virsh("start", self.name)
        self._listener.settimeout(BOOT_TIMEOUT)
        connection, _ = self._listener.accept()
        self._close_port()
        self._agent = Lines(connection)
        return self

    def destroy(self):
        self._libvirt.virsh("destroy", self.name)

    def reset(self):
        """As the button of a machine does."""
        self._libvirt.virsh("reset", self.name)
        return self.wait_ready()

    def reboot(self):
        """From inside the guest."""
        self.command("reboot")
        return self.wait_ready()

    def machine_name(self):
        return self._libvirt.machine_name(self.name)

    def _close_port(self):
        if self._agent:
            self._agent.close()

    def close(self):
        self._close_port()
        self._listener.close()


class Libvirt(contextlib.ExitStack):
    """The running daemon. What it runs ends with the machine."""

    def __init__(self, machine):
        super().__init__()
        self._machine = machine
        self._image = machine.image()
        machine.path(_PORTS).mkdir()
        machine.systemctl("start", "libvirtd.service")

    def virsh(self, *arguments):
        return self._machine.run("virsh", "--quiet", *arguments).stdout

    def fails(self, *arguments):
        """Runs a command that must fail, and returns what it said."""
        result = self._machine.run("virsh", "--quiet", *arguments, check=False)
        if result.returncode == 0:
            raise CommandFailed(f"virsh {' '.join(arguments)} did not fail: {result.stdout}")
        return result.stderr

    def write(self, name, xml):
        """A file that virsh reads."""
        self._machine.path(f"/srv/{name}.xml").write_text(xml)
        return f"/srv/{name}.xml"

    def _define(self, name, template, device, **more):
        xml = template.format(
            name=name,
            kernel=self._image.kernel,
            initramfs=self._image.initramfs,
            command_line=guest_image.Image.COMMAND_LINE,
            device=device,
            **more,
        )
        self.virsh("define", "--validate", self.write(name, xml))

    def vm(self, name, device):
        """Defines a Linux guest that drives the given device, an element of XML."""
        vm = Vm(self, name)
        self.callback(vm.close)
        vm.listen(self._machine.path(f"{_PORTS}/{name}"))
        self._define(name, _LINUX, device, port=f"{_PORTS}/{name}")
        return vm

    def define_pluggable(self, name):
        """Defines a Linux guest to plug devices into."""
        self._define(name, _PLUGGABLE, "")

    def start_pluggable(self, name):
        """Such a guest, whose kernel is up."""
        self.define_pluggable(name)
        self.virsh("start", name)
        console = self._machine.path(f"/var/log/libvirt/qemu/{name}.console")
        until(lambda: "Run /bin/busybox as init" in console.read_text(), f"{name} has booted", BOOT_TIMEOUT)

    def machine_name(self, name):
        """The name by which systemd-machined knows a running VM."""
        return f"qemu-{self.virsh('domid', name).strip()}-{name}"

    def shmem(self, name):
        """How many <shmem> devices a running VM has."""
        return self.virsh("dumpxml", name).count("<shmem ")

    def save_logs(self, folder):
        for log in self._machine.path("/var/log/libvirt/qemu").glob("*.*"):
            with contextlib.suppress(OSError):
                shutil.copyfile(log, folder / log.name)
