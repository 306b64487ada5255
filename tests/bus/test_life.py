#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The program's life: it ends when nobody needs it, not before, and domains do not notice when it does."""

import contextlib
import os
import signal
import socket
import subprocess
import sys

from scene import ALICE, BOB, NO, TIMEOUT, YES, create, names, run, until
from wire import BusError, Connection, Variant


def _end(scene, command, bus=None, **more):
    """Runs a manager that ends by itself: status and words."""
    environment = {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus or scene.address}
    result = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
        env=environment,
        **more,
    )
    return result.returncode, result.stderr


def refusal(scene, *options, bus=None):
    """How a manager that cannot start ends."""
    return _end(scene, [scene.program, *options], bus)


def is_answered(client, serial):
    try:
        client.finish(serial)
    except BusError as error:
        assert error.name == "org.freedesktop.DBus.Error.ServiceUnknown", error
        return False
    return True


def kill(scene):
    scene.manager.signal(signal.SIGKILL)
    scene.manager.wait()


def idle_passes(scene):
    """Returns when a manager that has nothing to do, and begins to have nothing to do now, has ended."""
    status, text = refusal(scene, "--embedded", "--directory", scene.folder / "idle", "--server", scene.server, "--idle", 1)
    assert status == 0, text


def idle(scene, tap):
    polkit = scene.polkit()
    with tap.case("it ends when nothing is to be done"):
        scene.start_manager("--idle", "1")
        assert scene.manager.wait() == 0, scene.manager.output()
        assert not scene.client().daemon("NameHasOwner", "s", "org.ivshmem1")[0]
    with tap.case("but not while somebody listens"):
        root = scene.start_manager("--idle", "1")
        listener, other = scene.client(), scene.client()
        listener.call("Subscribe")
        other.call("ListDomains")
        other.close()
        idle_passes(scene)
        create(root, "ring")
        assert listener.wait_signal("DomainAdded").plain()[0] == "ring"
    with tap.case("nor while somebody remembers what he was granted to see"):
        polkit.decide = lambda question: YES
        alice = scene.client(ALICE)
        alice.call("GetDomain", "s", "ring")
        listener.close()
        idle_passes(scene)
        assert alice.property("ring", "State") == "stopped"
    with tap.case("nor while a domain runs"):
        root.call("StartDomain", "s", "ring")
        alice.close()
        # Whoever comes and goes meanwhile does not make it forget that.
        with scene.client() as client:
            client.call("Subscribe")
        idle_passes(scene)
        assert root.property("ring", "State") == "running"
    with tap.case("nor while somebody is connected to the private socket"):
        private = Connection(scene.private, hello=False)
        assert private.call("ListDomains")[0][0][1] == "running"
        root.call("StopDomain", "s", "ring")
        idle_passes(scene)
        assert private.call("ListDomains")[0][0][1] == "stopped"
        private.close()
    with tap.case("and in the end it does"):
        assert scene.manager.wait() == 0, scene.manager.output()
    with tap.case("what was granted to see, and is another's by now, does not keep it"):
        scene.start_manager("--idle", "1")
        alice = scene.client(ALICE)
        alice.call("GetDomain", "s", "ring")
        file = scene.directory / "ring.domain"
        text = file.read_text()
        file.write_text(text + f"Owner={BOB}\n")
        assert scene.manager.wait() == 0, scene.manager.output()
        file.write_text(text)
        alice.close()
    with tap.case("whoever calls as it gives up its name does not keep it"):
        notify = scene.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        notify.bind(str(scene.folder / "notify"))
        notify.settimeout(20)
        scene.start_manager("--idle", "1", NOTIFY_SOCKET=notify.getsockname())
        clients = [scene.client() for _ in range(5)]
        # The bus daemon finds these calls together with the wish to give the name up, and some of them before it.
        scene.daemon.signal(signal.SIGSTOP)
        calls = [(client, client.begin("Subscribe")) for client in clients]
        while b"STOPPING=1" not in notify.recv(4096):
            pass
        scene.daemon.signal(signal.SIGCONT)
        tap.comment(f"{sum(is_answered(*call) for call in calls)} of {len(calls)} were answered by it")
        assert scene.manager.wait() == 0, scene.manager.output()
        for client in clients:
            client.close()


def restarts(scene, tap):
    root = scene.start_manager()
    with tap.case("what it does not need to live for goes on"):
        root.call("StartDomain", "s", "ring")
        pid = root.property("ring", "MainPID")
        peer = root.finish_message(root.begin("OpenDomain", "s", "ring")).descriptors[0]
        kill(scene)
        root = scene.start_manager()
        until(lambda: root.property("ring", "State") == "running", "the successor finds the domain")
        assert root.property("ring", "MainPID") == pid
        until(lambda: root.property("ring", "NPeers") == 1, "and its peer")
        assert root.property("ring", "StatusText") == "1 of 16 peers, 1M in 4K pages"
        assert root.call("ListPeers", **root.domain("ring"))[0][0][2] == os.geteuid()
        os.close(peer)
        until(lambda: root.property("ring", "NPeers") == 0, "and hears that it leaves")
    with tap.case("it knows whose was what it found"):
        scene.polkit().decide = lambda question: NO
        alice = scene.client(ALICE)
        root.call("Set", "a{sv}", {"Owner": Variant("s", str(ALICE))}, **root.domain("ring"))
        kill(scene)
        root = scene.start_manager()
        until(lambda: root.property("ring", "State") == "running", "the successor finds the domain")
        alice.call("Subscribe")
        root.call("Set", "a{sv}", {"Owner": Variant("s", "root")}, **root.domain("ring"))
        assert alice.wait_signal("DomainRemoved").plain()[0] == "ring"
        alice.close()
    with tap.case("definitions are read again on SIGHUP"):
        (scene.directory / "hand.domain").write_text("[Domain]\nSize=2M\n")
        until(lambda: "hand" in names(root), "it finds files by itself")
        (scene.directory / "ivshmemd.conf").write_text("[Global]\nDomains=2\n")
        scene.manager.signal(signal.SIGHUP)
        error = until(lambda: limit_error(root), "the new limit holds")
        assert error.name == "org.ivshmem1.Error.LimitExceeded" and "2 domains" in error.text, error
        (scene.directory / "ivshmemd.conf").unlink()
        root.call("Reload")
        create(root, "more")
        root.call("RemoveDomain", "s", "more")
    with tap.case("limits are of users"):
        polkit = scene.polkit()
        polkit.decide = lambda question: YES
        (scene.directory / "ivshmemd.conf").write_text("[Limits]\nDomains=1\nBytes=2M\n")
        root.call("Reload")
        alice = scene.client(ALICE)
        error = alice.error("CreateDomain", "sa{sv}b", "big", {"Size": Variant("s", "4M")}, True)
        assert error.name == "org.ivshmem1.Error.LimitExceeded", error
        create(alice, "mine")
        usage = {what: (used, limit) for what, used, limit in alice.call("GetLimits", "u", ALICE)[0]}
        assert usage["Domains"] == (1, 1) and usage["Bytes"] == (1 << 20, 2 << 20), usage
        error = alice.error("CreateDomain", "sa{sv}b", "two", {"Size": Variant("s", "1M")}, True)
        assert error.name == "org.ivshmem1.Error.LimitExceeded", error
        alice.call("RemoveDomain", "s", "mine")


def limit_error(client):
    """The error of one domain too many; None when there is none yet."""
    serial = client.begin("CreateDomain", "sa{sv}b", "more", {"Size": Variant("s", "1M")}, True)
    try:
        client.finish(serial)
    except Exception as error:
        return error
    client.call("RemoveDomain", "s", "more")
    return None


def inherited_refusal(scene, name, *fds):
    """How a manager ends that inherits descriptors which it does not want."""
    # The shell puts them where they are looked for, and becomes the manager.
    moves = " ".join(f"{3 + i}<&{fd}" for i, fd in enumerate(fds))
    names = ":".join([name] * len(fds))
    script = f"LISTEN_PID=$$ LISTEN_FDS={len(fds)} LISTEN_FDNAMES={names} exec {scene.program} {moves}"
    return _end(scene, ["bash", "-c", script], pass_fds=fds)


def inherited(scene, tap):
    with contextlib.ExitStack() as stack:
        stream, datagram, idle, inet = (
            stack.enter_context(socket.socket(family, kind))
            for family, kind in (
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_UNIX, socket.SOCK_DGRAM),
                (socket.AF_UNIX, socket.SOCK_STREAM),
                (socket.AF_INET, socket.SOCK_STREAM),
            )
        )
        stream.bind(str(scene.folder / "stream"))
        stream.listen()
        inet.listen()
        file = os.memfd_create("file")
        stack.callback(os.close, file)
        for what, fd in (
            ("a datagram socket", datagram.fileno()),
            ("a socket that does not listen", idle.fileno()),
            ("a socket of the network", inet.fileno()),
            ("a file", file),
        ):
            with tap.case(f"inherited: {what}"):
                status, text = inherited_refusal(scene, "bus", fd)
                assert status == 69 and "is no listening socket" in text, (status, text)
        with tap.case("inherited: one that is called otherwise"):
            status, text = inherited_refusal(scene, "peers", stream.fileno())
            assert status == 69 and 'called "peers", not "bus"' in text, (status, text)
        with tap.case("inherited: more than one"):
            status, text = inherited_refusal(scene, "bus", stream.fileno(), inet.fileno())
            assert status == 69 and "2 inherited descriptors" in text, (status, text)


def refusals(scene, tap):
    elsewhere = scene.folder / "elsewhere"
    with tap.case("two managers in one directory"):
        status, text = refusal(scene, "--embedded", "--directory", scene.directory, "--server", scene.server)
        assert status == 69 and str(scene.directory) in text, (status, text)
    with tap.case("two managers on one bus"):
        command = ("--embedded", "--system-bus", "--directory", elsewhere, "--server", scene.server)
        status, text = refusal(scene, *command)
        assert status == 69 and "org.ivshmem1" in text and "another ivshmemd" in text, (status, text)
    with tap.case("no bus: whoever meant the embedded one is told its option"):
        status, text = refusal(scene, bus=f"unix:path={scene.folder}/no-bus")
        assert status == 69 and "There is no system bus" in text and "--embedded" in text, (status, text)
        command = ("--embedded", "--system-bus", "--directory", elsewhere, "--server", scene.server)
        status, text = refusal(scene, *command, bus=f"unix:path={scene.folder}/no-bus")
        assert status == 69 and "Cannot use the system bus: No such file" in text, (status, text)
    with tap.case("a directory that others can write to"):
        elsewhere.chmod(0o777)
        status, text = refusal(scene, "--embedded", "--directory", elsewhere, "--server", scene.server)
        assert status == 69 and "nobody else may write" in text and "chmod" not in text, (status, text)
    with tap.case("a directory that is none"):
        status, text = refusal(scene, "--embedded", "--directory", scene.path, "--server", scene.server)
        assert status == 69 and "Not a directory" in text, (status, text)
    with tap.case("nonsense on the command line"):
        status, text = refusal(scene, "--embeded")
        assert status == 64 and "--embeded: no such option" in text, (status, text)
    with tap.case("a socket that is left over is no obstacle"):
        kill(scene)
        assert scene.private.exists()
        root = scene.start_manager()
        assert "ring" in names(root)
    with tap.case("it ends with the bus"):
        for name in names(root):
            if root.property(name, "State") != "stopped":
                root.call("StopDomain", "s", name)
        scene.daemon.signal(signal.SIGTERM)
        assert scene.manager.wait() == 1, scene.manager.output()
        assert "The system bus closed the connection" in scene.manager.output()


def cases(scene, tap):
    idle(scene, tap)
    restarts(scene, tap)
    inherited(scene, tap)
    refusals(scene, tap)


if __name__ == "__main__":
    sys.exit(run(cases))
