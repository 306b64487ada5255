#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ways in which a domain starts, goes on and ends under systemd."""

import re

from scenario import run, service_of

from harness import definition, until

SMALL = definition({"Size": "1M"})


# A name service that knows a user only when whatever does not wait for it has started, or failed to.
LATE = """[Unit]
Wants=nss-user-lookup.target
Before=nss-user-lookup.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until [ "$(systemctl list-jobs --no-legend | grep -c running)" = 1 ]; do :; done'
ExecStart=/usr/sbin/useradd --system late
[Install]
WantedBy=multi-user.target
"""


def prepare(machine):
    """An administrator enables some domains, and the machine is booted afterwards."""
    folder = machine.root / "etc/ivshmem"
    folder.mkdir(exist_ok=True)
    (machine.root / "etc/systemd/system/late-users.service").write_text(LATE)
    machine.enable_at_boot("late-users.service")
    of_late = definition({"Size": "1M"}, {"User": "late"})
    for name, unit, text in (("atboot", "service", SMALL), ("later", "socket", SMALL), ("late", "service", of_late)):
        (folder / f"{name}.domain").write_text(text)
        machine.enable_at_boot(f"ivshmem@{name}.{unit}")


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

    with machine.case("a domain whose definition names a user of a name service waits for that at boot"):
        assert machine.is_active(service_of("late")), machine.messages(service_of("late"))

    with machine.case("systemctl start of the service brings the socket up, and a QEMU attaches"):
        machine.define("hand", SMALL)
        machine.systemctl("start", service_of("hand"))
        assert machine.is_active("ivshmem@hand.socket")
        machine.qemu("hand", "hand")

    with machine.case("the status line counts peers, and names memory and pages"):
        status = r'Status: "1 of \d+ peers, 1M in 4K pages"'
        until(lambda: re.search(status, machine.systemctl("status", service_of("hand")).stdout), "the status tells")


run(body, prepare)
