#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the guest of the end-to-end tests: Debian's cloud kernel and an initramfs with busybox, VFIO and guest-agent.

The kernel package is fetched once with apt-get and kept in the cache folder; the initramfs is written anew whenever one
of its parts has changed. Nothing is installed on the host, and root is not needed.
"""

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys

KERNEL_METAPACKAGE = "linux-image-cloud-amd64"

# In the order in which they are loaded. A kernel that has one of them built in, or has folded it into another, is fine:
# vfio_virqfd, for one, became a part of vfio in Linux 6.2.
MODULES = ("irqbypass", "vfio", "vfio_virqfd", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci")

INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in {modules}; do
    /bin/busybox insmod /modules/$module.ko
done
/bin/guest-agent /dev/ttyS1
echo "guest-agent ended with status $?"
exec /bin/busybox poweroff -f
"""


class ImageError(Exception):
    """The image cannot be made on this machine; the text says why."""


class Image:
    """The two files that QEMU boots."""

    COMMAND_LINE = "console=ttyS0 intel_iommu=on panic=-1 quiet"

    def __init__(self, kernel, initramfs):
        self.kernel = kernel
        self.initramfs = initramfs


class Archive:
    """Writes a cpio archive in the format that the kernel unpacks ("newc"), everything owned by root."""

    def __init__(self, stream):
        self._stream = stream
        self._inode = 0

    def add(self, name, mode, data=b""):
        self._inode += 1
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self._write(header + name.encode() + b"\0")
        self._write(data)

    def _write(self, data):
        self._stream.write(data + b"\0" * (-len(data) % 4))

    def add_directory(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def add_program(self, name, data):
        self.add(name, stat.S_IFREG | 0o755, data)

    def finish(self):
        self.add("TRAILER!!!", 0)


def run(*command, directory=None):
    """Runs a command to its end and returns what it printed."""
    try:
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ImageError(f"{command[0]} is not installed") from error
    if result.returncode != 0:
        raise ImageError(f"'{' '.join(command)}' failed: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def kernel_package():
    """The package that the metapackage stands for today, such as linux-image-6.1.0-42-cloud-amd64."""
    output = run("apt-cache", "depends", "--important", KERNEL_METAPACKAGE)
    found = re.search(r"Depends: (linux-image-\S+)", output)
    if not found:
        raise ImageError(f"apt knows no {KERNEL_METAPACKAGE}")
    return found.group(1)


def fetch_kernel(folder):
    """Downloads and unpacks the kernel package into the folder."""
    try:
        package = kernel_package()
    except ImageError:
        run("apt-get", "update", "-q")
        package = kernel_package()
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package, directory=unfinished)
    except ImageError:
        run("apt-get", "update", "-q")  # the list is older than the archive
        run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", kernel_package(), directory=unfinished)
    for archive in unfinished.glob("*.deb"):
        run("dpkg-deb", "-x", str(archive), str(unfinished))
        archive.unlink()
    unfinished.rename(folder)


def find_modules(folder):
    """The files of the modules that this kernel has, by name, in the order in which to load them."""
    files = {path.stem: path for path in folder.glob("lib/modules/**/*.ko")}
    return {name: files[name] for name in MODULES if name in files}


def find_busybox():
    """A busybox that needs no libraries."""
    path = shutil.which("busybox")
    if not path or b"/ld-linux" in pathlib.Path(path).read_bytes():
        raise ImageError("busybox-static is not installed")
    return pathlib.Path(path)


def write_initramfs(path, modules, busybox, agent):
    with path.open("wb") as stream:
        archive = Archive(stream)
        for directory in ("bin", "dev", "modules", "proc", "sys"):
            archive.add_directory(directory)
        archive.add_program("bin/busybox", busybox.read_bytes())
        archive.add_program("bin/guest-agent", agent.read_bytes())
        for name, module in modules.items():
            archive.add(f"modules/{name}.ko", stat.S_IFREG | 0o644, module.read_bytes())
        archive.add_program("init", INIT.format(modules=" ".join(modules)).encode())
        archive.finish()


def digest(*parts):
    """Changes when one of the files or texts does."""
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part.read_bytes() if isinstance(part, pathlib.Path) else part.encode()).digest())
    return total.hexdigest()


@contextlib.contextmanager
def locked(cache):
    """One maker at a time; the others wait and then find everything made."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(cache, agent):
    """Returns the image, made of the program at the given path; what is in the cache and still right is kept."""
    cache, agent = pathlib.Path(cache), pathlib.Path(agent)
    folder = cache / "kernel"
    with locked(cache):
        if not folder.exists():
            fetch_kernel(folder)
        kernels = sorted(folder.glob("boot/vmlinuz-*"))
        if not kernels:
            raise ImageError(f"{folder} contains no kernel")
        modules, busybox = find_modules(folder), find_busybox()
        name = digest(INIT, agent, busybox, *modules.values())[:16]
        initramfs = cache / f"initramfs-{name}"
        if not initramfs.exists():
            for old in cache.glob("initramfs-*"):
                old.unlink()
            unfinished = cache / "unfinished"
            write_initramfs(unfinished, modules, busybox, agent)
            os.replace(unfinished, initramfs)
    return Image(kernels[-1], initramfs)


def main():
    if len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} CACHE-FOLDER GUEST-AGENT")
    try:
        image = build(sys.argv[1], sys.argv[2])
    except ImageError as error:
        sys.exit(f"{sys.argv[0]}: {error}")
    print(f"kernel:    {image.kernel}\ninitramfs: {image.initramfs}")


if __name__ == "__main__":
    main()
