#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installs the built project into an empty folder and looks at what came.

usage: install.py SOURCE-DIRECTORY BUILD-DIRECTORY
"""

import glob
import json
import os
import re
import subprocess
import sys
import tempfile

from tap import Tap

# What an installation is for: endings of paths below the prefix.
WANTED = (
    "/bin/ivshmem-server",
    "/bin/ivshmemctl",
    "/bash-completion/completions/ivshmemctl",
    "/doc/ivshmemd/ivshmemd.conf",
    "/systemd/system/ivshmem@.service",
    "/systemd/system/ivshmem@.socket",
    "/systemd/system/ivshmem-control@.socket",
    "/libexec/ivshmem-prepare",
    "/systemd/system/ivshmem-file@.service",
    "/systemd/system/ivshmem.slice",
    "/systemd/system/ivshmemd.service",
    "/systemd/system/ivshmemd.socket",
    "/dbus-1/interfaces/org.ivshmem1.Domain.xml",
    "/dbus-1/interfaces/org.ivshmem1.Manager.xml",
    "/dbus-1/system-services/org.ivshmem1.service",
    "/dbus-1/system.d/org.ivshmem1.conf",
    "/polkit-1/actions/org.ivshmem1.policy",
    "/polkit-1/rules.d/60-ivshmem.rules",
    "/sysusers.d/ivshmem.conf",
    "/tmpfiles.d/ivshmem.conf",
)


def meson(*arguments):
    return subprocess.run(["meson", *arguments], capture_output=True, text=True, check=False)


def files_below(folder):
    """Path from the root of the installed system: path here."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            found["/" + os.path.relpath(path, folder)] = path
    return found


def promised(build):
    return set(json.loads(meson("introspect", "--installed", build).stdout or "{}").values())


def wanted(source):
    """Programs, and a manual page for each source of one."""
    pages = [os.path.basename(path).removesuffix(".rst") for path in glob.glob(f"{source}/docs/*.[1-8].rst")]
    return list(WANTED) + [f"/man/man{page[-1]}/{page}" for page in sorted(pages)]


def mode_problems(files):
    for name, path in files.items():
        mode = os.lstat(path).st_mode & 0o7777
        if mode & 0o7022:
            yield f"{name} has mode {mode:o}"
        elif bool(mode & 0o111) != bool(re.search(r"/(s?bin|libexec)/|/lib/ivshmem/|\.so\b", name)):
            yield f"{name} has mode {mode:o}"


def path_problems(files, folders):
    """Text that names a folder of this build. Programs name them in their debug information and are left out."""
    for name, path in files.items():
        with open(path, "rb") as file:
            content = file.read()
        if not content.startswith(b"\x7fELF"):
            yield from (f"{name} mentions {folder}" for folder in folders if folder.encode() in content)


def main(source, build):
    tap = Tap(5)
    with tempfile.TemporaryDirectory(prefix="install.") as root:
        result = meson("install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root)
        files = files_below(root)
        tap.result("meson install", [result.stdout + result.stderr] if result.returncode else [])
        tap.result(
            "what meson promises is what comes",
            [f"{name} did not come" for name in sorted(promised(build) - set(files))]
            + [f"{name} was not promised" for name in sorted(set(files) - promised(build))],
        )
        tap.result(
            "programs, units and manual pages are there",
            [f"no {name}" for name in wanted(source) if not any(path.endswith(name) for path in files)],
        )
        tap.result("modes", mode_problems(files))
        tap.result("no installed text names a build folder", path_problems(files, [source, build]))
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main(*map(os.path.realpath, sys.argv[1:])))
