#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmemctl when things go wrong that a real manager does not do at will, on a bus of its own; and unit files, which are
systemd's, so that a real embedded manager has none."""

import os
import pathlib
import shutil
import subprocess

from stage import FAILED, NO_MANAGER, NO_SUCH_DOMAIN, NOT_PERMITTED, OK, TIMEOUT, USAGE, Skip, read_until, run


def busctl(stage, *arguments):
    address = "--address=" + stage.environment()["DBUS_SYSTEM_BUS_ADDRESS"]
    result = subprocess.run(["busctl", address, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0 or "emit" in arguments, result.stderr
    return result.stdout


def errors(stage, tap):
    with tap.case("a start that fails names the journal of the unit"):
        stage.ctl("start", "refused").bad(
            FAILED,
            "Failed to start domain refused: 32 huge pages of 2M are wanted, and 3 are free; "
            "see 'journalctl -u ivshmem@refused.service'\n",
        )

    with tap.case("a domain is named once in what went wrong with it"):
        for verb, words in (
            ("start", "the memory is too small; see 'journalctl -u ivshmem@named.service'"),
            ("stop", "the job was cancelled"),
            ("restart", "it is being started; wait for it"),
        ):
            result = stage.ctl(verb, "named").bad(FAILED)
            assert result.err == f"Failed to {verb} domain named: {words}\n", result

    with tap.case("what polkit denies is status 77"):
        stage.ctl("start", "secret").bad(NOT_PERMITTED, "Failed to start domain secret: you may not start this domain")
        stage.ctl("start", "locked", "--no-ask-password").bad(NOT_PERMITTED, "it takes the password of an administrator")

    with tap.case("what a manager of another version does not know is said to be that"):
        stage.ctl("evict", "ring", 3).bad(FAILED, "Failed to evict VM ID 3 of domain ring: ", "is of another version")

    with tap.case("of several, each failure is said, and the first one is the status"):
        result = stage.ctl("start", "nobody", "ring", "secret", "refused")
        assert result.status == NO_SUCH_DOMAIN and result.err.count("Failed to ") == 3, result

    with tap.case("hostile text reaches no terminal"):
        shown = stage.ctl("status", "ring").out
        assert "?[31mred?line" in shown and "\x1b" not in shown, shown
        assert "Description=?[31mred?line" in stage.ctl("show", "ring").good().lines()
        assert stage.show("ring", "Description") == "\x1b[31mred\nline"

    with tap.case("progress on a terminal, gone in the end, and none elsewhere"):
        terminal = stage.terminal("start", "slow")
        assert terminal.end() == OK, terminal.text
        assert "slow: preparing memory [" in terminal.text and "25%" in terminal.text and "75%" in terminal.text
        assert terminal.text.endswith("\r\x1b[K"), terminal.text
        assert stage.ctl("start", "slow").good().out == ""
        terminal = stage.terminal("start", "slow", "--quiet")
        assert (terminal.end(), terminal.text) == (OK, "")

    with tap.case("a manager that goes away within a call"):
        stage.ctl("start", "lost").bad(NO_MANAGER, "Failed to start domain lost: the manager went away")
        stage.ctl("start", "ring").bad(NO_MANAGER, "is it installed?")
        stage.restart_failing_manager()
        stage.ctl("start", "ring").good()

    with tap.case("what somebody else says to monitor is no event"):
        monitor = stage.start("monitor", "-n", "3")
        read_until(monitor, "Listening")
        for name in busctl(stage, "list", "--unique", "--no-legend").split("\n"):
            if name.startswith(":"):
                path = "/org/ivshmem1"
                forged = ("org.ivshmem1.Manager", "DomainAdded", "so", "forged", path)
                busctl(stage, "emit", f"--destination={name.split()[0]}", path, *forged)
        stage.ctl("start", "slow").good()
        out, _ = monitor.communicate(timeout=TIMEOUT)
        words = [line.split(maxsplit=2)[1:] for line in out.splitlines()]
        # And each state is said once.
        assert words == [["slow", text] for text in ("is starting", "memory prepared: 25%", "memory prepared: 75%")], out
        assert monitor.returncode == OK

    with tap.case("monitor says that the manager is gone, and goes on with the next one"):
        monitor = stage.start("monitor", "-n", "2")
        read_until(monitor, "Listening")
        stage.ctl("start", "lost").bad(NO_MANAGER)
        read_until(monitor, "The manager is gone")
        stage.restart_failing_manager()
        stage.ctl("start", "slow").good()
        assert "memory prepared: 25%" in read_until(monitor, "memory")
        assert monitor.wait() == OK


def unit_files(stage, tap):
    with tap.case("enable and disable ask systemd for the domain's socket"):
        assert stage.ctl("enable", "ring").err == "Created symlink /etc/wanted -> ivshmem@ring.socket.\n"
        assert stage.ctl("disable", "ring").err == "Removed /etc/wanted.\n"
        assert stage.ctl("enable", "--now", "--quiet", "ring").good().out == ""

    with tap.case("what systemd denies, and what does not exist, is not enabled"):
        stage.ctl("enable", "secret").bad(NOT_PERMITTED, "Failed to enable: Permission denied")
        stage.ctl("enable", "nobody").bad(NO_SUCH_DOMAIN, "nobody")
        stage.ctl("enable", "--now", "refused").bad(FAILED, "Failed to start domain refused")

    with tap.case("polkit that goes away while systemd asks it is said to be that"):
        stage.ctl("enable", "slow").bad(FAILED, "Failed to enable: polkit, which systemd asks, went away", "systemctl status polkit")


def far_away(stage, tap):
    with tap.case("-H asks the manager of another machine, through ssh"):
        bridge = shutil.which("systemd-stdio-bridge")
        if not bridge:
            raise Skip("systemd-stdio-bridge (systemd) is not installed")
        folder = stage.folder / "bin"
        folder.mkdir()
        ssh = folder / "ssh"
        ssh.write_text(f'#!/bin/sh\necho "$@" >{folder}/asked\nexec {bridge} "--bus-path=$DBUS_SYSTEM_BUS_ADDRESS"\n')
        ssh.chmod(0o755)
        path = {"PATH": f"{folder}:{os.environ['PATH']}"}
        assert "Name=ring" in stage.ctl("show", "ring", "-H", "root@far", **path).good().lines()
        assert "root@far systemd-stdio-bridge" in (folder / "asked").read_text()
        stage.ctl("start", "nobody", "--host=far", **path).bad(NO_SUCH_DOMAIN, "nobody")
        stage.ctl("open", "ring", "-H", "far", **path).bad(USAGE, "memory cannot come through ssh")
        ssh.write_text("#!/bin/sh\necho no such host >&2\nexit 255\n")
        stage.ctl("list", "-H", "far", **path).bad(NO_MANAGER, "no such host\n", "Failed to ", ": ssh has ended\n")


def places(stage, tap):
    with tap.case("a place without a manager is status 69, and says how to get one"):
        stage.ctl("list", "--directory=/no/such").bad(NO_MANAGER, "ivshmemd --embedded --directory /no/such")
        stage.ctl("list", "--address=unix:path=/no/such").bad(NO_MANAGER, "Failed to connect to unix:path=/no/such")
        stage.ctl("list", "--address=nonsense").bad(NO_MANAGER, "Failed to connect to nonsense")
        stage.ctl("list", "-M", "no-such-machine").bad(NO_MANAGER, "Failed to connect to the bus of no-such-machine")
        nowhere = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/no/such"}
        stage.ctl("list", **nowhere).bad(NO_MANAGER, "Failed to connect to the system bus", "$IVSHMEM_DIRECTORY")
        stage.ctl("list", "-M", "a", "--directory=b").bad(USAGE, "give one of them")

    with tap.case("a manager that does not answer to everybody is not said to be missing"):
        closed = stage.folder / "closed"
        closed.mkdir(mode=0)
        # Root passes over modes, but for capabilities.
        plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
        command = [*plain, stage.program, "list", f"--directory={closed}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=stage.environment())
        closed.chmod(0o755)
        assert done.returncode == NO_MANAGER and "Permission denied" in done.stderr, done
        assert "its own user and root" in done.stderr and "start it" not in done.stderr, done

    with tap.case("enable without a systemd says so"):
        directory = stage.start_manager()
        stage.ctl("create", "own", "--size=1M").good()
        stage.ctl("enable", "own").bad(FAILED, "an embedded manager starts them with 'ivshmemctl start' only")
        stage.ctl("disable", "own").bad(FAILED, "Failed to disable: ")
        assert pathlib.Path(directory, "own.domain").exists()

    with tap.case("a folder whose name means something in addresses"):
        odd = stage.folder / "a;b,c=%20 d"
        odd.symlink_to(directory)
        assert stage.ctl("list", f"--directory={odd}", "--no-legend").good().out.startswith("own ")

    with tap.case("the manager at a private socket can be addressed, too"):
        address = f"--address=unix:path={directory}/bus"
        assert stage.ctl("list", address, "--no-legend", IVSHMEM_DIRECTORY="/nowhere").good().out.startswith("own ")

    with tap.case("doctor looks at the machine, with a manager and without"):
        rows = {(row["subject"], row["severity"]) for row in stage.doctor()}
        assert ("manager", "good") in rows and ("own", "good") in rows, rows
        quiet = {row["severity"] for row in stage.doctor("--quiet")}
        assert "good" not in quiet, quiet
        assert " to mend.\n" in stage.ctl("doctor").out
        bare = stage.ctl("doctor", "--no-legend").out
        assert "SUBJECT" not in bare and " to mend.\n" not in bare, bare
        stage.ctl("create", "huge", "--size=1024T", "--hugepages=1G").good()
        (finding,) = [row for row in stage.doctor("huge") if row["severity"] == "problem" and row["subject"] == "huge"]
        assert "wants 1048576 pages of 1G" in finding["finding"], finding
        assert finding["mend"].endswith("/hugepages-1048576kB/nr_hugepages"), finding
        assert stage.ctl("doctor", "huge").status == FAILED
        alone = stage.ctl("doctor", "--directory=/no/such")
        assert alone.status == FAILED and "no manager can be asked" in alone.out, alone
        assert "ivshmemd --embedded --directory /no/such" in alone.out, alone
        stage.ctl("doctor", "nobody").bad(NO_SUCH_DOMAIN, "nobody")
        stage.ctl("doctor", "-H", "host").bad(USAGE, "it looks at this machine")


def body(stage, tap):
    stage.start_failing_manager()
    errors(stage, tap)
    unit_files(stage, tap)
    far_away(stage, tap)
    places(stage, tap)


run(body)
