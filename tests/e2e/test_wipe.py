#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""WipeWhenIdle= on a file that outlives its server: nobody finds what others left, however the server ended."""

from harness import definition, run, until

SECRET = b"for nobody else"


def text(folder, **domain):
    return definition({"Size": "64K", "Path": folder / "memory", "WipeWhenIdle": "yes", **domain})


def body(workshop, tap):
    path = workshop.folder / "memory"

    with tap.case("the memory is zeroes when its last peer has left, and not before"):
        server = workshop.domain("always", text(workshop.folder, Keep="always"))
        first, second = (workshop.peer(server, 1) for _ in range(2))
        first.memory[0 : len(SECRET)] = SECRET
        first.close()
        assert second.memory[0 : len(SECRET)] == SECRET
        second.close()
        third = workshop.peer(server, 1)
        assert not any(third.memory[:])
        third.memory[0 : len(SECRET)] = SECRET

    with tap.case("what a server could not wipe, for it was stopped, its successor wipes before anybody joins"):
        assert server.stop() == 0
        assert path.read_bytes().startswith(SECRET)
        server = workshop.domain("again", text(workshop.folder, Keep="always"))
        peer = workshop.peer(server, 1)
        assert not any(peer.memory[:])
        peer.memory[0 : len(SECRET)] = SECRET
        peer.close()
        until(lambda: not any(path.read_bytes()), "the file is wiped")
        server.stop()

    with tap.case("a domain that ends when it is idle wipes first"):
        server = workshop.domain("idle", text(workshop.folder, Keep="until-idle"))
        peer = workshop.peer(server, 1)
        peer.memory[0 : len(SECRET)] = SECRET
        peer.close()
        assert server.process.wait() == 0
        assert not any(path.read_bytes())


run(body)
