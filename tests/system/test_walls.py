#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the units promise of the sandbox, asked of a machine on which they run."""

import re

from scenario import run, service_of

from harness import definition

EXPOSURE_MAX = 0.6


def body(machine):
    with machine.case("systemd-analyze verify has nothing to say about the units"):
        for unit in ("ivshmem@x.service", "ivshmem@x.socket", "ivshmem.slice"):
            result = machine.run("systemd-analyze", "verify", "--man=no", unit)
            assert not result.stdout + result.stderr, result.stdout + result.stderr

    with machine.case(f"systemd-analyze security: an exposure of {EXPOSURE_MAX} at most"):
        text = machine.run("systemd-analyze", "security", "--no-pager", "ivshmem@x.service").stdout
        exposure = float(re.search(r"exposure level.*: (\d+\.\d+)", text).group(1))
        assert exposure <= EXPOSURE_MAX, text

    with machine.case("a domain on nodes of its own choice starts behind all walls"):
        machine.define("nodes", definition({"Size": "1M", "NUMANodes": "0", "Prefault": "yes"}))
        machine.systemctl("start", service_of("nodes"))


run(body)
