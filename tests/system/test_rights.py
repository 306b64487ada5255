#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Several tenants on one machine: what belongs to whom, who sees what, how much each may have, and rules of polkit's.

alice and bob are in the group ivshmem, and so is carol, who is in the group "large" as well; dave is in none.
"""

import clients
from clients import ERROR, BusError, Client, domain_path, refused
from scenario import run, service_of, socket_of

from harness import until

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
ASKS = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"

CONFIGURATION = """\
[Limits]
Domains=3
Bytes=64M
Peers=64
[Group large]
Domains=10
Bytes=1G
[User bob]
Domains=1
[Global]
Bytes=512M
"""

RULES = """\
polkit.addRule(function(action, subject) {
    if (action.id == "org.ivshmem1.inspect" && action.lookup("domain") == "shared" && subject.user == "bob")
        return polkit.Result.YES;
    if (action.id == "org.ivshmem1.manage" && action.lookup("domain") == "shared" && subject.user == "bob")
        return polkit.Result.YES;
    if (action.id == "org.ivshmem1.inspect" && action.lookup("owner") == "UID" && subject.isInGroup("large"))
        return polkit.Result.YES;
    if (action.id == "org.ivshmem1.manage-own" && /^prod-/.test(action.lookup("domain")))
        return polkit.Result.NO;
    return polkit.Result.NOT_HANDLED;
});
"""


def uid(machine, user):
    return int(machine.run("id", "--user", user).stdout)


def configure(machine, text, name="ivshmemd.conf"):
    path = machine.path(f"/etc/ivshmem/{name}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def sees(client, name):
    """Whether the client gets to see a domain when it asks for it by name."""
    try:
        return client.manager("GetDomain", "s", name) == domain_path(name)
    except BusError as error:
        assert error.name == f"{ERROR}NoSuchDomain", error
        return False


def check_hidden(client, name):
    """A domain that is not the client's to see is as if it were not there."""
    for call in ("GetDomain", "StartDomain", "StopDomain", "RemoveDomain"):
        text = refused("NoSuchDomain", client.manager, call, "s", name)
        assert text == refused("NoSuchDomain", client.manager, call, "s", "nothing").replace("nothing", name)
    refused(UNKNOWN_OBJECT, client.properties, name)
    refused(UNKNOWN_OBJECT, client.domain, name, "Start")
    assert name not in client.names()
    assert domain_path(name) not in client.objects()
    tree = client.call(f"{clients.PATH}/domain", "org.freedesktop.DBus.Introspectable", "Introspect")
    assert f'"{name}"' not in tree, tree


def body(machine):
    for user, *groups in (("alice", "ivshmem"), ("bob", "ivshmem"), ("carol", "ivshmem", "large"), ("dave",)):
        machine.add_user(user, *groups)
    configure(machine, CONFIGURATION)
    root, alice, bob, carol, dave = (Client(machine, user) for user in (None, "alice", "bob", "carol", "dave"))
    for client in (root, alice, bob, carol, dave):
        machine.callback(client.close)

    with machine.case("who is not in the group makes nothing, and is not asked for a password he cannot give"):
        refused(ASKS, dave.create, "daves")
        assert root.names() == []

    with machine.case("what a member makes is his own"):
        assert alice.create("hers", Vectors=2) == domain_path("hers")
        assert alice.get("hers", "OwnerUID") == uid(machine, "alice")
        assert "Owner=" in alice.domain("hers", "GetDefinition")
        assert alice.names() == ["hers"]

    with machine.case("another tenant neither sees it nor finds out that it is there"):
        check_hidden(bob, "hers")
        check_hidden(dave, "hers")

    with machine.case("root sees all"):
        bob.create("his")
        assert root.names() == ["hers", "his"]
        assert alice.names() == ["hers"] and bob.names() == ["his"]

    with machine.case("a name that is taken is taken for everybody"):
        refused("DomainExists", bob.create, "hers")

    with machine.case("nobody makes domains for others"):
        refused(ASKS, alice.create, "gift", Owner="bob")
        refused("LimitExceeded", root.create, "gift", Owner="bob")
        assert root.create("gift", Owner="alice") == domain_path("gift")
        assert "gift" in alice.names() and alice.get("gift", "OwnerUID") == uid(machine, "alice")
        root.manager("RemoveDomain", "s", "gift")

    with machine.case("a domain admits its owner's VMs, and those of nobody else"):
        alice.manager("StartDomain", "s", "hers")
        machine.qemu("alices", "hers", user="alice")
        other = machine.start_qemu("bobs", "hers", user="bob")
        assert other.process.wait() == 1
        assert "server sent version 403" in other.process.output(), other.process.output()

    with machine.case("OpenDomain connects who asked, by his own name"):
        assert alice.manager("OpenDomain", "s", "hers") == {"version": 0}
        refused("NoSuchDomain", bob.manager, "OpenDomain", "s", "hers")

    with machine.case("memory that is for reading stays so"):
        assert alice.domain("hers", "OpenMemory", "b", True) == {"size": 1 << 20, "map": False, "reopen": False}
        assert alice.domain("hers", "OpenMemory", "b", False)["map"]

    with machine.case("the server runs as neither the owner nor the manager"):
        pid = alice.get("hers", "MainPID")
        status = machine.run("stat", "--format=%U", f"/proc/{pid}").stdout.strip()
        assert status == "ivs-hers", status

    with machine.case("the definition belongs to no tenant: the owner cannot write to it behind the manager's back"):
        path = alice.get("hers", "DefinitionPath")
        result = machine.run("sh", "-c", f"echo Size=2M >>{path}", check=False, user="alice")
        assert result.returncode != 0, "alice wrote to it"

    with machine.case("a file of a domain is its owner's, and nobody else's: not even root's"):
        alice.create("file", Path="/dev/shm/file", PathMode="0600")
        alice.manager("StartDomain", "s", "file")
        status = machine.run("stat", "--format=%U %a", "/dev/shm/file").stdout.split()
        assert status == ["alice", "600"], status
        alice.manager("StopDomain", "s", "file")
        for other in ("bob", "root"):
            alice.domain("file", "Set", "a{sv}", {"PathUser": other})
            text = refused("StartFailed", alice.manager, "StartDomain", "s", "file")
            assert f"PathUser={other} is another than Owner=" in text, text
            assert not machine.path("/dev/shm/file").exists()
        alice.manager("RemoveDomain", "s", "file")

    with machine.case("nothing that exists in /dev/shm becomes a domain's"):
        machine.run("sh", "-c", "truncate --size 1M /dev/shm/taken; chmod 0600 /dev/shm/taken", user="bob")
        alice.create("thief", Path="/dev/shm/taken")
        refused("StartFailed", alice.manager, "StartDomain", "s", "thief")
        assert machine.run("stat", "--format=%U %a", "/dev/shm/taken").stdout.split() == ["bob", "600"]
        alice.manager("RemoveDomain", "s", "thief")

    with machine.case("nobody gives his domain away, and so his use to another's limit; or grows it beyond his own"):
        refused(ASKS, alice.domain, "hers", "Set", "a{sv}", {"Owner": "bob"})
        alice.create("grown")
        machine.comment(refused("LimitExceeded", alice.domain, "grown", "Set", "a{sv}", {"Size": "128M"}))
        refused("InvalidSetting", alice.domain, "grown", "Set", "a{sv}", {"Description": "x\nOwner=root"})
        refused("InvalidSetting", alice.domain, "grown", "ReservePeer", "sua{sv}", "a]\n[Access", 0, {"User": "bob"})
        assert alice.get("grown", "Size") == 1 << 20 and alice.get("grown", "OwnerUID") == uid(machine, "alice")
        alice.manager("RemoveDomain", "s", "grown")

    with machine.case("one domain too many: the refusal names limit, use and request"):
        text = refused("LimitExceeded", bob.create, "second")
        assert "1" in text and "domain" in text, text
        machine.comment(text)

    with machine.case("too much memory"):
        text = refused("LimitExceeded", alice.create, "vast", Size="64M")
        assert "64M" in text and "1M" in text, text
        machine.comment(text)

    with machine.case("a group's limit is its members', and the manager shows use and limit"):
        for number in range(4):
            carol.create(f"c{number}", Size="64M")
        limits = carol.limits(uid(machine, "carol"))
        assert limits["Domains"] == (4, 10) and limits["Bytes"] == (256 << 20, 1 << 30), limits
        assert alice.limits(uid(machine, "alice"))["Domains"] == (1, 3)

    with machine.case("what others have is for root to know"):
        refused(ASKS, alice.manager, "GetLimits", "u", uid(machine, "carol"))
        assert root.limits(uid(machine, "carol"))["Domains"] == (4, 10)

    with machine.case("the limit of all together counts for everybody"):
        text = refused("LimitExceeded", carol.create, "c4", Size="256M")
        machine.comment(text)
        for number in range(4):
            carol.manager("RemoveDomain", "s", f"c{number}")
        assert carol.limits(uid(machine, "carol"))["Bytes"][0] == 0

    with machine.case("a drop-in changes limits, after Reload"):
        configure(machine, "[User bob]\nDomains=2\n", "ivshmemd.conf.d/bob.conf")
        refused("LimitExceeded", bob.create, "second")
        root.manager("Reload")
        bob.create("second")

    with machine.case("a limit that has become less is found at the start"):
        configure(machine, "[User bob]\nDomains=0\n", "ivshmemd.conf.d/bob.conf")
        root.manager("Reload")
        machine.comment(refused("LimitExceeded", bob.manager, "StartDomain", "s", "second"))
        assert not machine.is_active(service_of("second"))
        machine.path("/etc/ivshmem/ivshmemd.conf.d/bob.conf").unlink()

    with machine.case("a configuration with an error keeps what was there, and the journal names file and line"):
        configure(machine, "[Limits]\nDomains=few\n", "ivshmemd.conf.d/broken.conf")
        root.manager("Reload")
        until(
            lambda: any("broken.conf:2" in text for text in machine.messages("ivshmemd.service")),
            "the journal names it",
        )
        assert alice.limits(uid(machine, "alice"))["Domains"] == (1, 3)
        machine.path("/etc/ivshmem/ivshmemd.conf.d/broken.conf").unlink()
        root.manager("Reload")

    with machine.case("a rule of the administrator lets bob see and stop one domain of alice's, and no other"):
        alice.create("shared")
        check_hidden(bob, "shared")
        rules = machine.path("/etc/polkit-1/rules.d/40-test.rules")
        rules.write_text(RULES.replace("UID", str(uid(machine, "alice"))))
        until(lambda: sees(bob, "shared"), "polkit has read the rule")
        assert bob.names() == ["his", "second", "shared"]
        assert bob.get("shared", "OwnerUID") == uid(machine, "alice")
        bob.manager("StartDomain", "s", "shared")
        bob.domain("shared", "Stop")
        check_hidden(bob, "hers")

    with machine.case("what may be seen may not be managed for that"):
        refused(ASKS, bob.domain, "shared", "EvictPeer", "u", 0)

    with machine.case("a rule by the owner, and by group"):
        assert sees(carol, "hers") and sees(carol, "shared") and not sees(carol, "his")
        refused(ASKS, carol.domain, "shared", "Start")

    with machine.case("a rule by the name keeps members from making what is reserved"):
        refused(DENIED, alice.create, "prod-1")
        assert "prod-1" not in root.names()
        alice.create("test-1")

    with machine.case("what a rule granted is gone with the rule"):
        rules.unlink()
        until(lambda: not sees(bob, "shared"), "polkit has noticed")
        check_hidden(bob, "shared")

    with machine.case("its socket is in a folder that tenants cannot write to"):
        result = machine.run("sh", "-c", f"rm -f {socket_of('hers')}", check=False, user="alice")
        assert result.returncode != 0
        assert machine.path(socket_of("hers")).exists()


run(body)
