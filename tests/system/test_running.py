#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What an administrator does to a running domain, and what happens to one."""

import re
import signal

from inject import FORBIDDEN, inject
from machine import CommandFailed
from scenario import run, service_of, socket_of

from harness import Skip, definition, until

SMALL = definition({"Size": "1M"})
RELOADED = "bfb4402ab9ef4cae91e0bec833f2dbf5"
DEFINITION_REMOVED = "3fe991cc5c5f43d98a76bf841b960458"
RELOAD_REFUSED = "aa7b0243bda9477daf2b3690eead6df8"

PROGRAM = "/usr/bin/ivshmem-server"

# So long that it finds nobody who only waits for a processor.
WATCHDOG = "[Service]\nWatchdogSec=10s\nTimeoutAbortSec=1s\n"


def main_pid(machine, domain):
    return int(machine.show(service_of(domain), "MainPID"))


def start(machine, name, text=SMALL):
    machine.define(name, text)
    machine.systemctl("start", service_of(name))
    return main_pid(machine, name)


def check_replaced(machine, domain, pid):
    """Another process serves the domain, without anybody's doing."""
    until(lambda: main_pid(machine, domain) not in (0, pid), "another process serves")
    machine.until_shows(service_of(domain), "ActiveState", "active")
    assert machine.show(service_of(domain), "NRestarts") == "1"


def check_stayed(machine, domain, peer):
    """A peer from before is still served, and has the same seat and memory: it meets a newcomer, and they ring."""
    peer.memory[0] = 42
    newcomer = machine.peer(domain)
    assert newcomer.id != peer.id and newcomer.memory[0] == 42
    peer.expect(newcomer.id)
    newcomer.expect(peer.id)
    peer.ring(newcomer.id, 0)
    newcomer.ring(peer.id, 0)
    assert newcomer.wait(0) == peer.wait(0) == 1
    assert peer.disconnects == 0


def reloaded(machine, domain):
    return len(machine.journal(f"MESSAGE_ID={RELOADED}", f"IVSHMEM_DOMAIN={domain}"))


def reload_fails(machine, domain, why):
    """The command fails, and all goes on."""
    pid = main_pid(machine, domain)
    try:
        machine.systemctl("reload", service_of(domain))
    except CommandFailed:
        pass
    else:
        raise AssertionError("the reload has succeeded")
    assert any(why in text for text in machine.messages(service_of(domain))), machine.messages(service_of(domain))
    assert main_pid(machine, domain) == pid and machine.is_active(service_of(domain))
    machine.peer(domain)


def check_reload(machine):
    """When the command returns it is done: nothing is waited for here."""
    pid = start(machine, "reload", definition({"Size": "1M", "Description": "0"}))
    for i in range(1, 6):
        machine.define("reload", definition({"Size": "1M", "Description": i}))
        machine.systemctl("reload", service_of("reload"))
        assert reloaded(machine, "reload") == i
    assert main_pid(machine, "reload") == pid
    assert machine.show(service_of("reload"), "ActiveState") == "active"


def check_reload_without_link(machine):
    """Where the manager has no user there is no control socket."""
    machine.systemctl("mask", "--runtime", "ivshmem-control@unlinked.socket")
    pid = start(machine, "unlinked", definition({"Size": "1M", "Description": "0"}))
    assert not machine.path("/run/ivshmem-control/unlinked").exists()
    for i in range(1, 6):
        machine.define("unlinked", definition({"Size": "1M", "Description": i}))
        machine.systemctl("reload", service_of("unlinked"))
        assert reloaded(machine, "unlinked") == i
        assert machine.show(service_of("unlinked"), "ActiveState") == "active"
    assert main_pid(machine, "unlinked") == pid


def check_wrong_reload(machine):
    machine.define("reload", "[Domain]\nSize=3\n")
    reload_fails(machine, "reload", "/etc/ivshmem/reload.domain:2: Size=3")


def check_fixed_reload(machine):
    machine.define("reload", definition({"Size": "2M"}))
    reload_fails(machine, "reload", "takes a restart: Size;")
    assert machine.peer("reload").memory.size() == 1 << 20


def check_restart(machine):
    pid = start(machine, "restart")
    peer = machine.peer("restart")
    machine.systemctl("restart", service_of("restart"))
    assert main_pid(machine, "restart") not in (0, pid)
    check_stayed(machine, "restart", peer)
    told = machine.messages(service_of("restart"))
    assert any("a successor goes on with the domain" in line for line in told), told
    assert not any("Failed with result" in line for line in told), told


def check_wrong_restart(machine):
    """The log has it, and systemd goes on trying; nobody is disconnected meanwhile."""
    pid = start(machine, "hurt")
    peer = machine.peer("hurt")
    path = machine.define("hurt", "[Domain]\nSize=3\n")
    machine.run("kill", f"-{signal.SIGKILL}", pid)
    until(lambda: "hurt.domain:2: Size=3" in machine.show(service_of("hurt"), "StatusText"), "the status says why")
    assert not path.unlink() and not peer.take_messages()
    machine.define("hurt", SMALL)
    machine.until_shows(service_of("hurt"), "ActiveState", "active")
    check_stayed(machine, "hurt", peer)


def check_stop(machine):
    start(machine, "stop")
    peer = machine.peer("stop")
    machine.systemctl("stop", service_of("stop"))
    peer.expect_end()
    assert machine.show(service_of("stop"), "Result") == "success"
    assert machine.is_active("ivshmem@stop.socket")
    machine.peer("stop")
    assert machine.is_active(service_of("stop"))


def check_socket_stop(machine):
    machine.systemctl("stop", "ivshmem@stop.socket")
    assert not machine.is_active(service_of("stop"))
    assert not machine.path(socket_of("stop")).exists()


def check_changed_restart(machine):
    """Each of what cannot change is named; and all of it works on as it was."""
    start(machine, "changed", definition({"Size": "1M", "Vectors": 2}))
    peer = machine.peer("changed", vectors=2)
    other = {"Size": "4M", "HugePages": "2M", "Vectors": 3, "MaxPeers": 7, "Topology": "star", "Path": "/dev/shm/changed"}
    machine.define("changed", definition(other, {"Group": "kvm"}))
    machine.systemctl("restart", service_of("changed"))
    told = machine.journal(f"MESSAGE_ID={RELOAD_REFUSED}", "IVSHMEM_DOMAIN=changed")
    assert [record["MESSAGE"].split("=")[0] for record in told] == list(other), told
    assert len(peer.memory) == 1 << 20
    newcomer = machine.peer("changed", vectors=2)
    assert len(newcomer.memory) == 1 << 20
    newcomer.expect(peer.id)
    newcomer.ring(peer.id, 1)
    assert peer.wait(1) == 1


def check_idle(machine):
    start(machine, "idle", definition({"Size": "1M", "Keep": "until-idle"}))
    peer = machine.peer("idle")
    peer.memory[0] = 42
    peer.close()
    machine.until_shows(service_of("idle"), "ActiveState", "inactive")
    assert machine.show(service_of("idle"), "Result") == "success"
    assert machine.peer("idle").memory[0] == 0


def check_drop_in(machine):
    machine.drop_in("ivshmem@private.socket", "[Socket]\nSocketMode=0600\n")
    start(machine, "private")
    assert machine.path(socket_of("private")).stat().st_mode & 0o777 == 0o600
    assert machine.path(socket_of("reload")).stat().st_mode & 0o777 == 0o666


def check_set_property(machine):
    machine.systemctl("set-property", "--runtime", service_of("reload"), "MemoryMax=256M")
    assert machine.show(service_of("reload"), "MemoryMax") == str(256 << 20)


def check_removed_definition(machine):
    """It is seen at once, and also that it is back."""
    pid = start(machine, "orphan")
    path = machine.path("/etc/ivshmem/orphan.domain")
    path.unlink()
    removed = "; the definition was removed"
    until(lambda: removed in machine.show(service_of("orphan"), "StatusText"), "the status says it")
    machine.systemctl("daemon-reload")
    machine.peer("orphan")
    assert main_pid(machine, "orphan") == pid
    reload_fails(machine, "orphan", 'No definition of domain "orphan"')
    assert removed in machine.show(service_of("orphan"), "StatusText")
    machine.define("orphan", SMALL)
    until(lambda: removed not in machine.show(service_of("orphan"), "StatusText"), "it is there again")
    told = machine.journal(f"MESSAGE_ID={DEFINITION_REMOVED}", "IVSHMEM_DOMAIN=orphan")
    assert [record["MESSAGE"].split(";")[0] for record in told] == ["The definition was removed", "There is a definition again"]


def check_promises(machine):
    """What nothing else here comes near to: not every machine has the descriptors for it."""
    pid = start(machine, "large")
    service = service_of("large")
    room = re.search(r"--fd-store=(\d+) ", machine.show(service, "ExecStart"))[1]
    assert machine.show(service, "FileDescriptorStoreMax") == room == str(2 * 2048 + 3)
    assert machine.show(service, "LimitNOFILE") == "1048576"
    assert machine.show(service, "WatchdogUSec") == "30s"
    assert f"/ivshmem.slice/{service}\n" in machine.run("cat", f"/proc/{pid}/cgroup").stdout


def check_watchdog(machine):
    machine.drop_in("ivshmem@hung.service", WATCHDOG)
    pid = start(machine, "hung")
    peer = machine.peer("hung")
    machine.run("kill", "-STOP", pid)
    check_replaced(machine, "hung", pid)
    check_stayed(machine, "hung", peer)
    assert any("Watchdog timeout" in text for text in machine.messages(service_of("hung")))


def check_kill(machine):
    pid = start(machine, "killed")
    peer = machine.peer("killed")
    machine.run("kill", f"-{signal.SIGKILL}", pid)
    check_replaced(machine, "killed", pid)
    check_stayed(machine, "killed", peer)


def is_pausing(machine, domain):
    pid = machine.show(service_of(domain), "ControlPID")
    return pid != "0" and machine.run("cat", f"/proc/{pid}/comm", check=False).stdout == "sleep\n"


def check_not_executable(machine):
    """As for a moment of an upgrade."""
    pid = start(machine, "absent")
    peer = machine.peer("absent")
    machine.run("chmod", "a-x", PROGRAM)
    try:
        machine.run("kill", f"-{signal.SIGKILL}", pid)
        for tries in (1, 2):
            until(lambda: int(machine.show(service_of("absent"), "NRestarts")) > tries, "it is tried again")
            until(lambda: is_pausing(machine, "absent"), "not at once")
        assert any("status=203/EXEC" in text for text in machine.messages(service_of("absent")))
    finally:
        machine.run("chmod", "a+x", PROGRAM)
    machine.until_shows(service_of("absent"), "ActiveState", "active")
    check_stayed(machine, "absent", peer)


def check_forbidden_call(machine):
    if not FORBIDDEN:
        raise Skip("the test can do this on x86_64 only")
    pid = start(machine, "taken-over")
    peer = machine.peer("taken-over")
    machine.run("python3", "-", pid, *FORBIDDEN, input=inject)
    check_replaced(machine, "taken-over", pid)
    check_stayed(machine, "taken-over", peer)
    assert any("status=31/SYS" in text for text in machine.messages(service_of("taken-over")))


CASES = {
    "reload takes what may change, and is done when the command returns; the process stays": check_reload,
    "so it is without a control link": check_reload_without_link,
    "reload of a wrong definition fails with file and line, and the domain goes on": check_wrong_reload,
    "reload of what cannot change fails with its name, and the domain goes on": check_fixed_reload,
    "restart disconnects nobody": check_restart,
    "restart with a definition that was changed too much: each key is named, and stays as it was": check_changed_restart,
    "a domain that is kept until it is idle ends with its last peer, and the next one starts it anew": check_idle,
    "a crash with a definition that is wrong by now: nobody is disconnected, and all goes on when it was mended": (
        check_wrong_restart
    ),
    "stop ends the service; the socket goes on, and the next client starts it again": check_stop,
    "stop of the socket ends both, and the socket's file is gone": check_socket_stop,
    "a drop-in changes one domain and no other": check_drop_in,
    "set-property MemoryMax= is accepted for one domain": check_set_property,
    "a domain whose definition was removed goes on, and the status says so until there is one again": (
        check_removed_definition
    ),
    "a domain is in the slice of all, has a watchdog, and room for the largest there may be": check_promises,
    "a server that stands still is replaced by the watchdog, and peers stay": check_watchdog,
    "a server that was killed is replaced, and peers stay": check_kill,
    "a program that cannot be executed is tried again, after a pause, and peers stay": check_not_executable,
    "a server that makes a forbidden system call dies of it, says so, and peers stay": check_forbidden_call,
}


def body(machine):
    for name, check in CASES.items():
        with machine.case(name):
            check(machine)


run(body)
