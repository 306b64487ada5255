#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmemctl and peers: being one, seeing, ringing, reserving and evicting them, and watching what they do."""

import json
import os
import shutil
import subprocess

from stage import FAILED, NO_MANAGER, NOT_RUNNING, OK, TIMEOUT, USAGE, Skip, read_until, run, until

VECTORS = 2
SIZE = 1 << 20


def joined(stage, *more):
    """A peer in the background that waits for commands, its VM ID, and its process."""
    peer = stage.start("open", "ring", *more)
    peer.stdin.write("info\n")
    words = read_until(peer, "VM ID").split()
    return int(words[2].rstrip(",")), peer


def leave(peer):
    peer.stdin.write("quit\n")
    out, _ = peer.communicate(timeout=TIMEOUT)
    assert peer.returncode == OK, out
    return out


def opening(stage, tap):
    with tap.case("open: one writes and rings, the other wakes up and reads"):
        number, first = joined(stage)
        second = stage.ctl("open", "ring", "write 0x10 Hello, you", f"ring {number} 1", "peers").good()
        assert second.lines() == [f"VM ID 0, {VECTORS} vectors", f"VM ID 1, {VECTORS} vectors, ourselves"], second
        first.stdin.write("wait 1\nread 16 10\n")
        assert read_until(first, "rung") == "rung: vector 1, 1 time\n"
        assert read_until(first, "00000010") == (
            "00000010  48 65 6c 6c 6f 2c 20 79  6f 75                    |Hello, you|\n"
        )
        leave(first)

    with tap.case("open: bytes, vectors and places at the edges"):
        last = SIZE - 2
        shown = stage.ctl("open", "ring", f"poke {last} de ad", f"read {last} 2", "ring 0 all", "wait 0", "wait 1")
        assert shown.good().lines()[0].split()[1:3] == ["de", "ad"], shown
        assert sorted(shown.lines()[1:]) == ["rung: vector 0, 1 time", "rung: vector 1, 1 time"], shown

    with tap.case("open: a script ends with what fails, and says why"):
        for commands, words in (
            (["read 1M 1"], f"1 byte at 1M would be beyond the memory, which has {SIZE}"),
            (["read 0x100000001 1"], "would be beyond the memory"),
            (["read 0 18446744073709551615"], "would be beyond the memory"),
            (["write 1048575 ab"], "would be beyond the memory"),
            (["ring 9"], "VM ID 9 has no vector 0; see 'peers'"),
            (["ring 0 2"], "VM ID 0 has no vector 2"),
            (["ring x"], "'x' is no VM ID"),
            (["ring 0 64"], "'64' is no vector"),
            (["poke 0 1"], "'1' is no byte"),
            (["read"], "It is: read OFFSET [LENGTH]"),
            (["raed 0"], "There is no command 'raed'; did you mean 'read'?"),
            (["dance"], "There is no command 'dance'; see 'help'"),
            (["wait 0 0"], "0 s passed without a ring of this vector"),
        ):
            stage.ctl("open", "ring", *commands, "info").bad(FAILED, words)
            stage.ctl("open", "ring", stdin="\n".join([*commands, "info"])).bad(FAILED, words)

    with tap.case("one of a thing is one thing"):
        stage.ctl("create", "single", "--size=1M", "--max-peers=1", "--start").good()
        shown = stage.ctl("open", "single", "info", "peers").good().lines()
        assert shown == [f"VM ID 0, memory of {SIZE} bytes, 1 vector", "VM ID 0, 1 vector, ourselves"], shown
        status = until(lambda: stage.show("single", "StatusText"), "the server has said what it does")
        assert status.endswith(" of 1 peer, 1M in 4K pages"), status
        stage.ctl("ring", "single", 0, 5).bad(FAILED, "The domain has 1 vector, and the first is 0")
        assert "Serving 1M in 4K pages, 1 vector\n" in (stage.logs / "manager.log").read_text()
        stage.ctl("remove", "--now", "single").good()

    with tap.case("open: comments, blank lines and a last line without end are taken"):
        assert stage.ctl("open", "ring", stdin="# nothing\n\n   \ninfo").good().out.startswith("VM ID 0, memory of")
        assert "wait VECTOR" in stage.ctl("open", "ring", "help").good().out
        assert stage.ctl("open", "ring", stdin="quit\ninfo\n").good().out == ""

    with tap.case("open: who comes later is heard of"):
        number, first = joined(stage)
        later, second = joined(stage)
        first.stdin.write(f"expect {later}\nring {later}\npeers\n")
        read_until(first, f"VM ID {later}")
        second.stdin.write("wait 0\n")
        read_until(second, "rung: vector 0")
        leave(first)
        leave(second)
        assert number != later

    with tap.case("open --socket asks no manager"):
        path = stage.show("ring", "SocketPath")
        assert "VM ID 0" in stage.ctl("open", f"--socket={path}", "info", IVSHMEM_DIRECTORY="/nowhere").good().out
        stage.ctl("open", "--socket=/no/such.sock", "info").bad(FAILED, "/no/such.sock: No such file")
        stage.ctl("open", "--socket=/" + "x" * 200, "info").bad(FAILED, "the path is too long")
        stage.ctl("open").bad(USAGE, "give the NAME of a domain, or --socket")

    with tap.case("open: one who is refused is told so"):
        if os.geteuid() != 0:
            raise Skip("root is needed to be somebody else")
        path = stage.show("ring", "SocketPath")
        # Not everybody may search the folders above the program.
        program = shutil.copy(stage.program, stage.folder)
        done = subprocess.run(
            [program, "open", f"--socket={path}", "info"],
            capture_output=True,
            text=True,
            check=False,
            user="nobody",
            env=stage.environment(),
        )
        assert (done.returncode, done.stderr) == (FAILED, "Failed to join: the server refused: 403 not permitted\n"), done


def managing(stage, tap):
    with tap.case("peers: who they are"):
        number, peer = joined(stage)
        (row,) = stage.json("peers", "ring")
        assert (row["vm_id"], row["pid"], row["uid"]) == (number, peer.pid, os.geteuid()), row
        assert stage.ctl("peers", "ring").good().lines()[-1] == "1 peer listed."
        several = stage.json("peers", "ring", "other")
        assert [each["domain"] for each in several] == ["ring"], several
        status = stage.ctl("status", "ring").good().out
        assert "Peers: 1 of 16" in status and str(peer.pid) in status, status

    with tap.case("ring: a peer hears it, on each vector with all, as often as --count says"):
        stage.ctl("ring", "ring", number).good()
        assert read_until(peer, "rung") == "rung: vector 0, 1 time\n"
        stage.ctl("ring", "ring", number, "all").good()
        assert {read_until(peer, "rung") for _ in range(2)} == {f"rung: vector {i}, 1 time\n" for i in range(2)}
        stage.ctl("ring", "ring", number, 1, "--count=3").good()
        heard = 0
        while heard < 3:
            heard += int(read_until(peer, "rung: vector 1").split()[-2])
        assert heard == 3

    with tap.case("ring: what is not there"):
        stage.ctl("ring", "ring", 9).bad(FAILED, "Failed to ring vector 0 of VM ID 9: ")
        stage.ctl("ring", "ring", number, 2).bad(FAILED, "Failed to ring vector 2 of VM ID")
        stage.ctl("ring", "ring", 65536).bad(USAGE, "'65536' is no VM ID, which is a number from 0 to 65535")
        stage.ctl("ring", "ring", 0, 64).bad(USAGE, "'64' is no vector, which is a number from 0 to 63")
        stage.ctl("ring", "stopped", 0).bad(NOT_RUNNING)

    with tap.case("evict: the peer is disconnected, and its VM ID not given again"):
        stage.ctl("evict", "ring", number).good()
        read_until(peer, "The server closed the connection")
        leave(peer)
        assert stage.json("peers", "ring") == []
        again, peer = joined(stage)
        assert again != number
        leave(peer)
        stage.ctl("evict", "ring", number, 9).bad(FAILED, f"Failed to evict VM ID {number} ", "Failed to evict VM ID 9 ")
        stage.ctl("evict", "ring", "x").bad(USAGE, "'x' is no VM ID")

    with tap.case("reserve and release: a VM ID is kept"):
        stage.ctl("reserve", "ring", "mine", 7, f"--user={os.geteuid()}").good()
        assert [each["vm_id"] for each in stage.show("ring", "Peers")] == [7]
        number, peer = joined(stage)
        assert number == 7
        leave(peer)
        stage.ctl("reserve", "ring", "vm", 0, "--master", "--machine=qemu-*-vm").good()
        rows = {each["name"]: each for each in stage.show("ring", "Peers")}
        assert (rows["vm"]["master"], rows["vm"]["rules"]) == (True, [{"kind": "Machine", "entry": "qemu-*-vm"}]), rows
        stage.ctl("reserve", "ring", "vm2", 1).bad(USAGE, "nobody is said to have the VM ID")
        stage.ctl("reserve", "ring", "vm2", 1, "--master").bad(USAGE, "nobody is said to have the VM ID")
        stage.ctl("release", "ring", "mine", "vm").good()
        assert stage.show("ring", "Peers") == []
        stage.ctl("release", "ring", "mine").bad(FAILED, "mine")

    with tap.case("limits: what one has"):
        rows = {row["what"]: row for row in stage.json("limits")}
        assert set(rows) == {"Domains", "Bytes", "HugePageBytes", "Peers", "Vectors"}, rows
        assert rows["Domains"]["used"] == len(stage.json("list")) and rows["Bytes"]["used"] == 3 * SIZE, rows
        text = stage.ctl("limits", "root").good().lines()
        assert text[0].split() == ["USER", "WHAT", "USED", "LIMIT"] and text[1].split()[0] == "root", text
        stage.ctl("limits", "no-such-user").bad(FAILED, "There is no user 'no-such-user'")


def watching(stage, tap):
    with tap.case("monitor: what happens, as JSON"):
        monitor = stage.start("monitor", "ring", "--json=short", "--count=4")
        read_until(monitor, "Listening")
        number, peer = joined(stage)
        assert stage.ctl("open", "other", "info").status == OK  # of another domain: not to be heard of
        leave(peer)
        until(lambda: not stage.json("peers", "ring"), "the server has seen it leave")
        stage.ctl("stop", "ring").good()
        out, _ = monitor.communicate(timeout=TIMEOUT)
        events = [json.loads(line) for line in out.splitlines()]
        assert monitor.returncode == OK and {event["domain"] for event in events} == {"ring"}, out
        assert [event["event"] for event in events] == ["peer-joined", "peer-left", "state", "state"], events
        assert [event.get("state") for event in events[2:]] == ["stopping", "stopped"], events
        assert (events[0]["vm_id"], events[0]["uid"]) == (number, os.geteuid()), events[0]

    with tap.case("monitor: in words, and of domains that come and go"):
        monitor = stage.start("monitor", "-n", "2")
        read_until(monitor, "Listening")
        stage.ctl("create", "brief", "--size=1M").good()
        stage.ctl("remove", "brief").good()
        out, _ = monitor.communicate(timeout=TIMEOUT)
        assert [line.split()[1:] for line in out.splitlines()] == [["brief", "is", "there"], ["brief", "is", "gone"]], out

    with tap.case("top: running domains with rates, the busiest first"):
        stage.ctl("start", "ring").good()
        until(lambda: stage.show("other", "Joins") == 1, "the server's counters have come")
        top = stage.start("top", "--count=2", "--delay=1", "--json=short")
        first = json.loads(top.stdout.readline())
        assert sorted(row["name"] for row in first) == ["other", "ring"] and first[0]["joins"] is None, first
        assert stage.ctl("open", "ring", "info").status == OK
        out, _ = top.communicate(timeout=TIMEOUT)
        second = json.loads(out)
        assert [row["name"] for row in second] == ["ring", "other"], second
        assert second[0]["joins"] > 0 and second[0]["messages"] > 0 and second[1]["joins"] == 0, second
        text = stage.ctl("top", "ring", "-n", "1").good().lines()
        assert text[0] == "1 running" and text[3].split()[:4] == ["ring", "0", "16", "1M"], text
        bare = stage.ctl("top", "ring", "-n", "1", "--no-legend").good().lines()
        assert bare[0].split()[:4] == ["ring", "0", "16", "1M"], bare
        stage.ctl("top", "--sort=nose").bad(USAGE, "there is no column 'nose'")

    with tap.case("monitor ends when the manager does, and says so"):
        monitor = stage.start("monitor")
        read_until(monitor, "Listening")
        stage.stop_manager()
        out, _ = monitor.communicate(timeout=TIMEOUT)
        assert monitor.returncode == NO_MANAGER and "the manager closed the connection" in out, out
        stage.ctl("list").bad(NO_MANAGER, "Failed to connect to the manager of ", "ivshmemd --embedded --directory")


def body(stage, tap):
    stage.start_manager()
    for name in ("ring", "other", "stopped"):
        stage.ctl("create", name, "--size=1M", f"--vectors={VECTORS}").good()
    stage.ctl("start", "ring", "other").good()
    opening(stage, tap)
    managing(stage, tap)
    watching(stage, tap)


run(body)
