#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Alice and Bob on one machine: what they may do to domains, with the bus, polkit and its rules as they are installed.

And the manager that serves them, which is there when it is called, and has as few rights as they.
"""

import json
import os
import pathlib
import re
import subprocess

from scenario import run, service_of, socket_of

from harness import check_doorbells, check_memory, doorbell_device, until

NAME = "org.ivshmem1"
MANAGER = ("/org/ivshmem1", "org.ivshmem1.Manager")
DAEMON = "ivshmemd.service"
PRIVATE = "unix:path=/run/ivshmem/bus"
EXPOSURE_MAX = 1.0
TESTS = pathlib.Path(__file__).resolve().parents[1]
NO_SUCH_PEER, BUSY = f"{NAME}.Error.NoSuchPeer", f"{NAME}.Error.Busy"

# What busctl makes of the errors.
MISSING, DENIED = "There is no domain", "Access denied"
INTERACTION = "interactive authentication gives it"

# Asks for a property as fast as it goes, until a manager that ends when it is idle has come back so often: `python3 -
# COUNT`. Prints how many calls were answered by how many managers.
HAMMER = """
import subprocess, sys
managers, calls = set(), 0
while len(managers) < int(sys.argv[1]):
    get = ["busctl", "get-property", "org.ivshmem1", "/org/ivshmem1", "org.ivshmem1.Manager", "Version"]
    result = subprocess.run(get, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    calls += 1
    show = ["systemctl", "show", "--property=InvocationID", "--value", "ivshmemd.service"]
    managers.add(subprocess.run(show, capture_output=True, text=True).stdout)
print(calls, len(managers))
"""

# Starts and stops a domain over and over until standard input ends: `python3 - DOMAIN`. Prints how often it went, and what
# was said when it did not.
LOAD = """
import collections, select, subprocess, sys
said, done = collections.Counter(), 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for method in ("StartDomain", "StopDomain"):
        call = ["busctl", "call", "org.ivshmem1", "/org/ivshmem1", "org.ivshmem1.Manager", method, "s", sys.argv[1]]
        result = subprocess.run(call, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        done += result.returncode == 0
        said[result.stderr.strip()] += result.returncode != 0
print(done, *(text for text, n in said.items() if n), sep="\\n")
"""


# Has a thousand calls and more in flight that polkit is to be asked about, and as many of clients that are gone by then:
# `python3 -c WIRE+CROWD DOMAIN`. The bus daemon lets a connection wait for 128 replies. Prints how often which error came.
CROWD = """
import sys
def begin():
    client = Connection("/run/dbus/system_bus_socket")
    return client, [client.begin("EvictPeer", "u", 7, **client.domain(sys.argv[1])) for _ in range(100)]
crowd = [begin() for _ in range(24)]
for client, _ in crowd[::2]:
    client.close()
errors = collections.Counter()
for client, serials in crowd[1::2]:
    for serial in serials:
        try:
            client.finish(serial)
        except BusError as error:
            errors[error.name] += 1
print(*(f"{name} {n}" for name, n in errors.items()), sep="\\n")
"""


def call(machine, user, path, interface, method, *arguments, options=(), check=True):
    command = ["busctl", *options, "call", "--json=short", NAME, path, interface, method, *arguments]
    return machine.run(*command, user=user, check=check)


def manager(machine, user, method, *arguments, **more):
    return call(machine, user, *MANAGER, method, *arguments, **more)


def refusal(machine, user, method, *arguments):
    """What somebody is told who may not."""
    result = manager(machine, user, method, *arguments, check=False)
    assert result.returncode != 0, f"{user}: {method} {arguments} was done"
    return result.stderr


def create(machine, user, domain, *settings, check=True):
    pairs = ["Size", "s", "1M", *settings]
    result = manager(machine, user, "CreateDomain", "sa{sv}b", domain, len(pairs) // 3, *pairs, "false", check=check)
    return result if check else result.stderr


def seen_by(machine, user):
    """The domains that somebody sees."""
    return [row[0] for row in json.loads(manager(machine, user, "ListDomains").stdout)["data"][0]]


def tree(machine, user):
    """The objects that somebody sees."""
    return machine.run("busctl", "tree", "--list", NAME, user=user).stdout.split()


def prop(machine, domain, name):
    where = (NAME, f"/org/ivshmem1/domain/{domain}", "org.ivshmem1.Domain", name)
    return json.loads(machine.run("busctl", "get-property", "--json=short", *where).stdout)["data"]


def status(machine, pid):
    """/proc/PID/status as a dictionary."""
    lines = machine.run("cat", f"/proc/{pid}/status").stdout.splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_running(machine):
    return machine.is_active(DAEMON)


def ways_in(machine):
    with machine.case("nothing runs before somebody calls"):
        assert not is_running(machine)
        assert machine.is_active("ivshmemd.socket")
    with machine.case("root's private socket starts the manager"):
        manager(machine, None, "ListDomains", options=[f"--address={PRIVATE}"])
        assert is_running(machine)
        result = manager(machine, "alice", "ListDomains", options=[f"--address={PRIVATE}"], check=False)
        assert "Permission denied" in result.stderr, result.stderr
        machine.systemctl("stop", DAEMON)
    with machine.case("so does a call on the system bus, of anybody"):
        assert seen_by(machine, "bob") == []
        assert is_running(machine)
    with machine.case("the manager has no rights"):
        pid = machine.show(DAEMON, "MainPID")
        found = status(machine, pid)
        assert machine.run("stat", "--format=%U", f"/proc/{pid}").stdout.strip() == "ivshmem"
        assert (found["Seccomp"], found["NoNewPrivs"]) == ("2", "1")
        assert found["CapEff"] == found["CapBnd"] == "0" * 16


def tenants(machine):
    with machine.case("a member of group ivshmem makes and starts what is his"):
        create(machine, "alice", "ring")
        manager(machine, "alice", "StartDomain", "s", "ring")
        assert prop(machine, "ring", "State") == "running"
        uid = int(machine.run("id", "--user", "alice").stdout)
        assert prop(machine, "ring", "OwnerUID") == uid
        assert seen_by(machine, "alice") == ["ring"]
        machine.qemu("alice-vm", "ring", user="alice")
        until(lambda: prop(machine, "ring", "NPeers") == 1, "her VM is a peer")
        peers = call(machine, "alice", "/org/ivshmem1/domain/ring", "org.ivshmem1.Domain", "ListPeers").stdout
        assert json.loads(peers)["data"][0][0][2] == uid, peers
    with machine.case("the journal knows who did it"):
        found = machine.journal("IVSHMEM_DOMAIN=ring", "IVSHMEM_METHOD=StartDomain", "_SYSTEMD_UNIT=" + DAEMON)
        assert [int(record["IVSHMEM_CALLER_UID"]) for record in found] == [uid], found
    with machine.case("another sees nothing of it"):
        assert seen_by(machine, "bob") == []
        assert "/org/ivshmem1/domain/ring" in tree(machine, "alice")
        assert "/org/ivshmem1/domain/ring" not in tree(machine, "bob")
        for method in ("GetDomain", "StopDomain", "RemoveDomain", "OpenDomain"):
            assert MISSING in refusal(machine, "bob", method, "s", "ring")
        hidden = machine.run("busctl", "introspect", NAME, "/org/ivshmem1/domain/ring", user="bob", check=False)
        missing = machine.run("busctl", "introspect", NAME, "/org/ivshmem1/domain/none", user="bob", check=False)
        assert hidden.returncode and hidden.stderr == missing.stderr.replace("none", "ring"), hidden.stderr
        assert prop(machine, "ring", "State") == "running"
    with machine.case("and cannot connect to it"):
        process = machine.start_qemu("bob-vm", "ring", user="bob").process
        assert process.wait() == 1 and "sent version 403" in process.output(), process.output()
    with machine.case("who is in no group makes none"):
        said = create(machine, "bob", "mine", check=False)
        assert INTERACTION in said, said
        assert seen_by(machine, None) == ["ring"]
    with machine.case("root sees and manages all"):
        manager(machine, None, "StopDomain", "s", "ring")
        manager(machine, None, "StartDomain", "s", "ring")
        assert seen_by(machine, None) == ["ring"]


def open_files(machine):
    return len(os.listdir(machine.path(f"/proc/{machine.show(DAEMON, 'MainPID')}/fd")))


def crowd(machine):
    with machine.case("thousands of calls about which polkit is asked, half of them of clients that vanish: all is answered"):
        managers = [machine.show(unit, "MainPID") for unit in (DAEMON, "polkit.service")]
        before = open_files(machine)
        program = (TESTS / "bus" / "wire.py").read_text() + CROWD
        command = [*machine.enter("alice"), "/usr/bin/python3", "-c", program, "ring"]
        crowd = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/")
        machine.callback(crowd.kill)
        while crowd.poll() is None:  # and others need not wait for it
            assert seen_by(machine, "bob") == []
        errors = dict(line.split() for line in crowd.communicate()[0].splitlines())
        machine.comment(f"answers: {errors}")
        assert crowd.returncode == 0 and int(errors.pop(NO_SUCH_PEER)) >= 100, errors
        assert set(errors) <= {BUSY}, errors
        assert [machine.show(unit, "MainPID") for unit in (DAEMON, "polkit.service")] == managers
        until(lambda: open_files(machine) < before + 100, "none of it is left open")
        manager(machine, "alice", "StopDomain", "s", "ring")
        manager(machine, "alice", "StartDomain", "s", "ring")


def guests(machine):
    with machine.case("two VMs of hers, on a domain that she made, exchange messages and ring each other"):
        create(machine, "alice", "pair", "Vectors", "s", "2")
        manager(machine, "alice", "StartDomain", "s", "pair")
        device = doorbell_device(socket_of("pair"), 2)
        pair = [machine.guest(name, device, user="alice") for name in ("router", "fw")]
        for guest in pair:
            guest.wait_ready()
        check_doorbells(2, *pair)
        check_memory(1 << 20, *pair)
    with machine.case("nothing that becomes of the manager reaches them"):
        machine.kill_manager()
        check_doorbells(2, *pair)
        until(lambda: prop(machine, "pair", "NPeers") == 2, "the next manager knows both")
        for guest in pair:
            guest.kill()
        until(lambda: prop(machine, "pair", "NPeers") == 0, "and that they are gone")
        manager(machine, "alice", "StopDomain", "s", "pair")
        manager(machine, "alice", "RemoveDomain", "s", "pair")


def administrators(machine):
    with machine.case("rules of the administrator count"):
        create(machine, "alice", "lab-1")
        machine.path("/etc/polkit-1/rules.d/40-ivshmem.rules").write_text(
            machine.path("/usr/share/doc/ivshmemd/examples/polkit.rules").read_text()
        )
        until(
            lambda: manager(machine, "bob", "GetDomain", "s", "lab-1", check=False).returncode == 0,
            "polkit has read the rules",
        )
        assert MISSING in refusal(machine, "bob", "GetDomain", "s", "ring")
        assert MISSING in refusal(machine, "bob", "StopDomain", "s", "lab-1")
        assert seen_by(machine, "carol") == ["lab-1", "ring"]
        manager(machine, "carol", "StopDomain", "s", "ring")
        manager(machine, "carol", "StartDomain", "s", "ring")
        for user in ("alice", "carol"):  # neither of them sits at the machine
            assert DENIED in create(machine, user, "mine", check=False)
        machine.path("/etc/polkit-1/rules.d/40-ivshmem.rules").unlink()
        until(lambda: not create(machine, "alice", "mine", check=False), "polkit has read that they are gone")
        manager(machine, "alice", "RemoveDomain", "s", "mine")
    with machine.case("limits of the administrator count"):
        machine.path("/etc/ivshmem/ivshmemd.conf").write_text("[User alice]\nDomains=2\nBytes=3M\n")
        manager(machine, None, "Reload")
        said = create(machine, "alice", "third", check=False)
        assert "2 domains" in said, said
        manager(machine, "alice", "RemoveDomain", "s", "lab-1")
        said = create(machine, "alice", "big", "Description", "s", "x", check=False)
        assert not said, said
        manager(machine, "alice", "RemoveDomain", "s", "big")
    with machine.case("definitions of the administrator are his, and shown"):
        machine.define("hers", "[Domain]\nSize=1M\nOwner=alice\n")
        until(lambda: "hers" in seen_by(machine, "alice"), "she sees it")
        manager(machine, "alice", "StartDomain", "s", "hers")
        assert "/etc/ivshmem/hers.domain" in refusal(machine, "alice", "RemoveDomain", "s", "hers")
        manager(machine, "alice", "StopDomain", "s", "hers")
        assert seen_by(machine, "bob") == []
    with machine.case("the manager's user can start units of domains, and nothing else"):
        others = ("systemd-tmpfiles-clean.service", "ivshmem@../x.service", "ivshmemd.socket", "ivshmem@Ring.service")
        for unit in others:
            result = machine.run("systemctl", "--no-ask-password", "start", unit, user="ivshmem", check=False)
            assert result.returncode != 0, unit
        for verb in ("kill", "reload", "set-property"):
            arguments = ["MemoryMax=1G"] if verb == "set-property" else []
            result = machine.run(
                *("systemctl", "--no-ask-password", verb, service_of("ring"), *arguments), user="ivshmem", check=False
            )
            assert result.returncode != 0, verb
        machine.run("systemctl", "--no-ask-password", "restart", service_of("ring"), user="ivshmem")


def life(machine):
    machine.drop_in(DAEMON, "[Service]\nWatchdogSec=10s\nExecStart=\nExecStart=/usr/bin/ivshmemd --idle 1\n")
    machine.systemctl("restart", DAEMON)
    with machine.case("it stays while a domain runs"):
        assert prop(machine, "ring", "State") == "running"
        pid = machine.show(DAEMON, "MainPID")
        machine.path("/run/ivshmem/wait.domain").write_text("[Domain]\nSize=1M\n")
        until(lambda: "wait" in seen_by(machine, None), "it has seen a file")
        assert machine.show(DAEMON, "MainPID") == pid
        machine.path("/run/ivshmem/wait.domain").unlink()
    with machine.case("a manager that hangs is replaced, and domains do not notice"):
        server, hung = prop(machine, "ring", "MainPID"), machine.manager_on_bus()
        machine.systemctl("kill", "--kill-whom=main", "--signal=STOP", DAEMON)
        until(lambda: machine.manager_on_bus() not in (hung, ""), "there is another one")
        assert prop(machine, "ring", "State") == "running"
        until(lambda: prop(machine, "ring", "MainPID") == server, "it is the same server")
    with machine.case("it ends when nothing is to be done, and is there when it is called"):
        manager(machine, "alice", "StopDomain", "s", "ring")
        until(lambda: machine.show(DAEMON, "ActiveState") == "inactive", "it has ended")
        assert machine.show(DAEMON, "Result") == "success"
        assert seen_by(machine, "alice") == ["hers", "ring"]
    with machine.case("no call is lost when it ends while it is called"):
        calls, managers = machine.run("python3", "-", "4", input=HAMMER).stdout.split()
        machine.comment(f"{calls} calls, {managers} managers")
    with machine.case("root manages without a bus"):
        machine.systemctl("stop", DAEMON)
        result = manager(machine, None, "StartDomain", "s", "ring", options=[f"--address={PRIVATE}"], check=False)
        assert result.returncode == 0, result.stderr
        assert machine.path(socket_of("ring")).exists()


def restarts(machine):
    create(machine, "alice", "busy")
    with machine.case("whatever is restarted under load, it goes on"):
        command = [*machine.enter("alice"), "python3", "-c", LOAD, "busy"]
        load = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        machine.callback(load.kill)
        for _ in range(2):
            machine.kill_manager()
            prop(machine, "busy", "State")
            for what in ("restart", "polkit.service"), ("restart", DAEMON), ("daemon-reexec",), ("daemon-reload",):
                machine.systemctl(*what)
                prop(machine, "busy", "State")
        done, *said = load.communicate("", timeout=60)[0].splitlines()
        machine.comment(f"{done} calls were done; others: {said}")
        assert int(done) > 0 and load.returncode == 0
        # Who waits for somebody who is killed is told so; nothing else may be said.
        known = ("disconnected from message bus", "went away before it answered", "Access denied", "connection to systemd")
        assert all(any(text in line for text in known) for line in said), said
    with machine.case("and everybody knows how things are"):
        manager(machine, "alice", "StartDomain", "s", "busy")
        assert machine.is_active(service_of("busy")) and prop(machine, "busy", "State") == "running"
        manager(machine, "alice", "StopDomain", "s", "busy")
        manager(machine, "alice", "RemoveDomain", "s", "busy")


def walls(machine):
    with machine.case("systemd-analyze verify has nothing to say about the units"):
        for unit in (DAEMON, "ivshmemd.socket"):
            result = machine.run("systemd-analyze", "verify", unit)
            assert not result.stdout + result.stderr, result.stdout + result.stderr
    with machine.case(f"systemd-analyze security: an exposure of {EXPOSURE_MAX} at most"):
        text = machine.run("systemd-analyze", "security", "--no-pager", DAEMON).stdout
        exposure = float(re.search(r"exposure level.*: (\d+\.\d+)", text).group(1))
        machine.comment(f"exposure {exposure}")
        assert exposure <= EXPOSURE_MAX, text


def body(machine):
    machine.add_user("alice", "ivshmem")
    machine.add_user("bob")
    machine.add_user("carol", "operators")
    for part in (ways_in, tenants, crowd, guests, restarts, administrators, life, walls):
        part(machine)


def prepare(machine):
    machine.enable_at_boot("ivshmemd.socket")


run(body, prepare)
