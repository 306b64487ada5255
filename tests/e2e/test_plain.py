#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmem-plain guests on the named file of a domain see the same memory as its doorbell guests.

usage: test_plain.py ... tmpfs|hugetlbfs    where the file is
"""

import contextlib
import os
import pathlib
import zlib

from harness import AgentError, definition, huge_pages, hugetlbfs, plain_device, run

SIZE = 4 << 20


@contextlib.contextmanager
def named_file(workshop, where):
    """A path for the domain's file, and the definition's keys for it."""
    if where == "tmpfs":
        path = pathlib.Path("/dev/shm") / workshop.folder.name
        try:
            yield {"Path": path}
        finally:
            path.unlink(missing_ok=True)
    else:
        with huge_pages(SIZE >> 21), hugetlbfs(workshop.folder / "hugetlbfs") as folder:
            yield {"Path": folder / "memory", "HugePages": "2M"}


def body(workshop, tap, where):
    keys = workshop.enter_context(named_file(workshop, where))
    server = workshop.domain("domain", definition({"Size": SIZE, "Vectors": 2, **keys}))
    path = keys["Path"]

    with tap.case("the domain's file exists, with its whole size"):
        assert path.stat().st_size == SIZE
        if where == "hugetlbfs":
            assert os.statvfs(path).f_bsize == 2 << 20

    doorbell = workshop.guest("doorbell", server, 2)
    plain = workshop.start_guest("plain", *plain_device(path, SIZE)).wait_ready()
    doorbell.wait_ready()

    with tap.case("a plain guest has the whole memory and no vectors"):
        assert plain.info() == {"id": 0, "vectors": 0, "size": SIZE}

    with tap.case("the plain guest sees what the doorbell guest writes"):
        doorbell.fill(0, SIZE, 1)
        contents = doorbell.sum(0, SIZE)
        assert plain.sum(0, SIZE) == contents

    with tap.case("the doorbell guest sees what the plain guest writes"):
        plain.fill(0, SIZE, 2)
        assert plain.sum(0, SIZE) != contents
        assert doorbell.sum(0, SIZE) == plain.sum(0, SIZE)

    with tap.case("a peer on the host sees the same"):
        peer = workshop.peer(server, 2)
        assert zlib.crc32(peer.memory) == plain.sum(0, SIZE)
        peer.close()

    with tap.case("a plain guest has no doorbells to ring"):
        try:
            plain.ring(0, 0)
        except AgentError as error:
            assert "no doorbells" in str(error), error
        else:
            raise AssertionError("it rang")

    with tap.case("the plain guest takes no seat: the next doorbell peer is VM ID 1"):
        peer = workshop.peer(server, 2)
        assert peer.id == 1
        doorbell.ring(peer.id, 1)
        assert peer.wait(1) == 1


run(body)
