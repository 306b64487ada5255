#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who sees and may do what: owners, strangers and root, with a polkit that agrees, refuses, hangs, babbles and dies."""

import sys

from scene import ALICE, BOB, CAROL, CHALLENGE, FAIL, HANG, JUNK, NO, YES, create, names, objects, run, until
from wire import INTERACTIVE, BusError, Variant

DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INTERACTION = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
MISSING = "org.ivshmem1.Error.NoSuchDomain"
NO_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"

MANAGE_OWN, MANAGE, INSPECT, PEERS = (
    f"org.ivshmem1.{name}" for name in ("manage-own", "manage", "inspect", "manage-peers")
)


def allow(*actions):
    return lambda question: YES if question.action in actions else NO


def same_error(hidden, missing, name):
    """Two errors that tell nobody which of two domains there is."""
    assert hidden.name == missing.name == name, (hidden, missing)
    assert hidden.text.replace("ring", "NAME") == missing.text.replace("none", "NAME"), (hidden, missing)


def next_question(polkit, client):
    """The next one about this client; others who were granted something are asked about, too."""
    while True:
        question = polkit.asked()
        if question.subject == client.name:
            return question


def check_refused(client, serial, name, words=""):
    """That a call that was begun ends with this error, which has these words."""
    try:
        result = client.finish(serial)
    except BusError as error:
        assert error.name == name and words in error.text, error
    else:
        raise AssertionError(f"it was done: {result}")


def owners(scene, tap):
    polkit = scene.polkit()
    alice, root = scene.client(ALICE), scene.client()
    with tap.case("polkit is asked about who makes a domain, and the domain is his"):
        polkit.decide = allow(MANAGE_OWN)
        create(alice, "ring")
        question = polkit.asked()
        assert (question.action, question.details, question.flags) == (MANAGE_OWN, {"domain": "ring"}, 0)
        assert question.subject == alice.name
        assert root.property("ring", "OwnerUID") == ALICE
    with tap.case("details say whose a domain is"):
        alice.call("Start", **alice.domain("ring"))
        question = polkit.asked()
        assert question.action == MANAGE_OWN
        assert question.details == {"domain": "ring", "owner": str(ALICE)}, question
        assert alice.property("ring", "State") == "running"
    with tap.case("an owner looks without being asked about"):
        assert names(alice) == ["ring"]
        assert polkit.asked().action == INSPECT  # of all
        assert alice.call("ListPeers", **alice.domain("ring")) == ([],)
        assert alice.call("GetDomain", "s", "ring") == ("/org/ivshmem1/domain/ring",)
        assert "Size" in alice.call("GetDefinition", **alice.domain("ring"))[0]
        assert alice.call("GetLimits", "u", ALICE)[0]
        assert polkit.questions.empty()
    with tap.case("root is not asked about"):
        root.call("Stop", **root.domain("ring"))
        assert polkit.questions.empty()
    with tap.case("what polkit refuses is not done, and the error names the right"):
        polkit.decide = lambda question: NO
        error = alice.error("Start", **alice.domain("ring"))
        assert error.name == DENIED and MANAGE_OWN in error.text, error
        assert alice.error("CreateDomain", "sa{sv}b", "mine", {"Size": Variant("s", "1M")}, True).name == DENIED
        assert root.property("ring", "State") == "stopped" and names(root) == ["ring"]
    with tap.case("authentication is asked for where the caller allows it"):
        polkit.decide = lambda question: YES if question.flags & 1 else CHALLENGE
        assert alice.error("Start", **alice.domain("ring")).name == INTERACTION
        alice.call("Start", **alice.domain("ring"), flags=INTERACTIVE)
        alice.call("Stop", **alice.domain("ring"), flags=INTERACTIVE)
        polkit.forget()
    with tap.case("who is asked to is told what for, also where it is about no domain"):
        for call, action in ((("Reload",), MANAGE), (("GetLimits", "u", 0), INSPECT)):
            assert alice.error(*call).name == INTERACTION
            assert polkit.asked().details == {}
            alice.call(*call, flags=INTERACTIVE)
            question = polkit.asked()
            assert question.action == action and list(question.details) == ["polkit.message"], question
    with tap.case("listing never bothers anybody for a password"):
        alice.call("ListDomains", flags=INTERACTIVE)
        assert polkit.asked().flags == 0
    with tap.case("giving a domain away takes the right over others'"):
        polkit.decide = allow(MANAGE_OWN)
        give = {"Owner": Variant("s", str(BOB))}
        assert alice.error("Set", "a{sv}", give, **alice.domain("ring")).name == DENIED
        assert alice.error("CreateDomain", "sa{sv}b", "gift", {"Size": Variant("s", "1M"), **give}, True).name == DENIED
        assert root.property("ring", "OwnerUID") == ALICE
        polkit.forget()


def strangers(scene, tap):
    polkit = scene.polkit()
    bob, carol, root = scene.client(BOB), scene.client(CAROL), scene.client()
    polkit.decide = lambda question: NO
    with tap.case("what a stranger may not see is as if it were not there"):
        assert names(bob) == [] and objects(bob) == []
        for member in ("GetDomain", "StartDomain", "StopDomain", "RemoveDomain", "OpenDomain"):
            same_error(bob.error(member, "s", "ring"), bob.error(member, "s", "none"), MISSING)
        for member in ("Start", "Stop", "Remove", "ListPeers", "GetDefinition"):
            same_error(bob.error(member, **bob.domain("ring")), bob.error(member, **bob.domain("none")), NO_OBJECT)
        where = {"interface": "org.freedesktop.DBus.Properties"}
        for call in (("Get", "ss", "org.ivshmem1.Domain", "Size"), ("GetAll", "s", "org.ivshmem1.Domain")):
            hidden = bob.error(*call, **{**bob.domain("ring"), **where})
            same_error(hidden, bob.error(*call, **{**bob.domain("none"), **where}), NO_OBJECT)
        assert names(root) == ["ring"]
        where = {"path": "/org/ivshmem1/domain", "interface": "org.freedesktop.DBus.Introspectable"}
        assert '"ring"' in root.call("Introspect", **where)[0]
        assert "ring" not in bob.call("Introspect", **where)[0]
    with tap.case("polkit is asked the same about what is there and what is not"):
        polkit.forget()
        bob.error("StartDomain", "s", "ring", flags=INTERACTIVE)
        bob.error("StartDomain", "s", "none", flags=INTERACTIVE)
        there, missing = polkit.asked(), polkit.asked()
        assert (there.action, there.flags) == (missing.action, missing.flags) == (MANAGE, 1)
        assert missing.details == {"domain": "none"}
    with tap.case("who is let manage what he does not see does so by name"):
        polkit.decide = allow(MANAGE)
        bob.call("StartDomain", "s", "ring")
        bob.call("StopDomain", "s", "ring")
        assert bob.error("StartDomain", "s", "none").name == MISSING
        assert objects(bob) == []
    with tap.case("who is let inspect a domain sees it, on this connection"):
        granted = (INSPECT, "ring")
        polkit.decide = lambda question: YES if (question.action, question.details.get("domain")) == granted else NO
        assert bob.call("GetDomain", "s", "ring") == ("/org/ivshmem1/domain/ring",)
        assert objects(bob) == ["/org/ivshmem1/domain/ring"] and names(bob) == ["ring"]
        assert bob.property("ring", "OwnerUID") == ALICE
        assert objects(carol) == [] and objects(scene.client(BOB)) == []
        assert bob.error("Start", **bob.domain("ring")).name == DENIED
    with tap.case("until the rules change"):
        polkit.forget()
        polkit.change()
        assert polkit.asked().details == {"domain": "ring", "owner": str(ALICE)}
        assert objects(bob) == ["/org/ivshmem1/domain/ring"]
        polkit.decide = lambda question: NO
        polkit.change()
        until(lambda: objects(bob) == [], "what was granted is taken back")
    with tap.case("who is let inspect all sees all"):
        create(root, "other")
        polkit.decide = allow(INSPECT)
        assert names(carol) == ["other", "ring"]
        assert len(objects(carol)) == 2
        root.call("RemoveDomain", "s", "other")
    with tap.case("limits of others are not for everybody"):
        polkit.decide = lambda question: NO
        assert bob.call("GetLimits", "u", BOB)[0]
        assert bob.error("GetLimits", "u", ALICE).name == DENIED


def signals(scene, tap):
    polkit = scene.polkit()
    alice, bob, root = scene.client(ALICE), scene.client(BOB), scene.client()
    polkit.decide = allow(MANAGE_OWN)
    for client in (alice, bob, root):
        client.call("Subscribe")
        client.signals.clear()

    def heard(client, member):
        """That signal, in what came before the answer to another call."""
        client.call("Ping", path="/org/ivshmem1", interface="org.freedesktop.DBus.Peer")
        return [signal for signal in client.signals if signal.member == member]

    with tap.case("what becomes of a domain hears who may see it, and nobody else"):
        alice.call("Start", **alice.domain("ring"))
        for client in (alice, root):
            changed = client.wait_signal("PropertiesChanged").plain()
            assert changed[0] == "org.ivshmem1.Domain" and changed[2] == []
        alice.call("Stop", **alice.domain("ring"))
        until(lambda: root.property("ring", "State") == "stopped", "it has stopped")
        assert not heard(bob, "PropertiesChanged") and not bob.signals
    with tap.case("each signal is for one"):
        create(alice, "news")
        for client in (alice, root):
            added = client.wait_signal("InterfacesAdded")
            assert added.destination == client.name and added.plain()[0] == "/org/ivshmem1/domain/news"
            assert added.plain()[1]["org.ivshmem1.Domain"]["Size"] == 1 << 20
            assert client.wait_signal("DomainAdded").plain() == ("news", "/org/ivshmem1/domain/news")
        alice.call("Remove", **alice.domain("news"))
        for client in (alice, root):
            removed = client.wait_signal("InterfacesRemoved").plain()
            assert removed == ("/org/ivshmem1/domain/news", ["org.ivshmem1.Domain"]), removed
            assert client.wait_signal("DomainRemoved").plain()[0] == "news"
        assert not heard(bob, "InterfacesAdded") and not bob.signals
    with tap.case("polkit is asked anew when something has changed there, and who may still goes on hearing"):
        carol = scene.client(CAROL)
        polkit.decide = lambda question: YES if question.action == INSPECT and not question.details else NO
        carol.call("Subscribe")
        polkit.forget()
        polkit.change()
        question = polkit.asked()
        assert (question.action, question.subject, question.details, question.flags) == (INSPECT, carol.name, {}, 0)
        create(root, "seen")
        assert carol.wait_signal("DomainAdded").plain()[0] == "seen"
        # And once more when something changes while it is being asked.
        polkit.decide = lambda question: HANG if question.subject == carol.name else NO
        polkit.change()
        question = next_question(polkit, carol)
        polkit.decide = lambda question: YES
        polkit.change()
        polkit.answer(question, YES)
        next_question(polkit, carol)
        polkit.decide = lambda question: NO
        polkit.change()
        until(lambda: objects(carol) == [], "what was granted is taken back")
        root.call("RemoveDomain", "s", "seen")
        assert not heard(carol, "DomainRemoved")
        carol.close()
        polkit.forget()
        polkit.decide = allow(MANAGE_OWN)
    with tap.case("a domain that changes hands appears to one and disappears to the other"):
        create(alice, "gift")
        root.call("Set", "a{sv}", {"Owner": Variant("s", str(BOB))}, **root.domain("gift"))
        assert bob.wait_signal("InterfacesAdded").plain()[1]["org.ivshmem1.Domain"]["OwnerUID"] == BOB
        assert alice.wait_signal("InterfacesRemoved").plain()[0] == "/org/ivshmem1/domain/gift"
        assert "gift" in names(bob) and "gift" not in names(alice)
        root.call("RemoveDomain", "s", "gift")
    with tap.case("and to whoever was let see it while it was another's"):
        create(alice, "gift")
        carol = scene.client(CAROL)
        carol.call("Subscribe")
        polkit.decide = lambda question: YES if question.details == {"domain": "gift", "owner": str(ALICE)} else NO
        carol.call("GetDomain", "s", "gift")
        root.call("Set", "a{sv}", {"Owner": Variant("s", str(BOB))}, **root.domain("gift"))
        assert carol.wait_signal("InterfacesRemoved").plain()[0] == "/org/ivshmem1/domain/gift"
        assert objects(carol) == [] and carol.error("GetDomain", "s", "gift").name == MISSING
        root.call("RemoveDomain", "s", "gift")
        carol.close()
        polkit.decide = allow(MANAGE_OWN)
    for client in (alice, bob, root):
        client.call("Unsubscribe")
    polkit.forget()


def failures(scene, tap):
    polkit = scene.polkit()
    alice, bob, root = scene.client(ALICE), scene.client(BOB), scene.client()
    with tap.case("nobody waits while polkit thinks"):
        polkit.decide = lambda question: HANG
        serial = alice.begin("StartDomain", "s", "ring")
        polkit.asked()
        assert names(root) == ["ring"]
        assert not alice.is_answered(serial)
    with tap.case("who vanishes meanwhile is not asked about any more"):
        waiting = scene.client(ALICE)
        waiting.begin("StartDomain", "s", "ring", flags=INTERACTIVE)
        question = polkit.asked()
        waiting.close()
        assert polkit.called_off() == question.id
        polkit.answer(question, YES)
        assert root.property("ring", "State") == "stopped"
    with tap.case("questions of one user take turns, and nobody else waits for them"):
        serials = [bob.begin("StartDomain", "s", f"d{i}") for i in range(100)]
        first = [polkit.asked() for _ in range(32)]
        polkit.decide = lambda question: YES if question.action == MANAGE_OWN else NO if question.subject == bob.name else HANG
        alice.call("Start", **alice.domain("ring"))
        alice.call("Stop", **alice.domain("ring"))
        asked = [polkit.asked() for _ in range(2)]
        assert {question.subject for question in asked} == {alice.name} and polkit.questions.empty()
        for question in first:
            polkit.answer(question, NO)
        for serial in serials:
            check_refused(bob, serial, MISSING)
        assert [polkit.asked().details["domain"] for _ in range(68)] == [f"d{i}" for i in range(32, 100)]
    with tap.case("those that wait for their turn go with who asked"):
        polkit.decide = lambda question: HANG
        for i in range(100):
            bob.begin("StartDomain", "s", f"d{i}")
        for _ in range(32):
            polkit.asked()
        bob.close()
        for _ in range(32):
            polkit.called_off()
        assert names(root) == ["ring"] and polkit.questions.empty()
    with tap.case("what is not polkit's answer is a refusal"):
        for answer in (JUNK, FAIL):
            polkit.decide = lambda question, answer=answer: answer
            error = alice.error("Start", **alice.domain("ring"))
            assert error.name == DENIED and "does not answer as it should" in error.text, error
    with tap.case("a domain that is another one by the time polkit answers"):
        polkit.forget()
        polkit.decide = lambda question: HANG
        serial = alice.begin("StartDomain", "s", "ring")
        question = polkit.asked()
        root.call("RemoveDomain", "s", "ring")
        create(root, "ring")
        polkit.answer(question, YES)
        check_refused(alice, serial, MISSING)
        assert root.property("ring", "State") == "stopped"
        carol = scene.client(CAROL)
        serial = carol.begin("GetDomain", "s", "ring")
        question = polkit.asked()
        root.call("Set", "a{sv}", {"Owner": Variant("s", str(ALICE))}, **root.domain("ring"))
        polkit.answer(question, YES)
        check_refused(carol, serial, MISSING)
        assert objects(carol) == []
        root.call("RemoveDomain", "s", "ring")
    with tap.case("polkit dies while it is asked"):
        polkit.decide = allow(MANAGE_OWN)
        create(alice, "ring")
        polkit.forget()
        polkit.decide = lambda question: HANG
        serial = alice.begin("Start", **alice.domain("ring"))
        polkit.asked()
        scene.end_polkit()
        check_refused(alice, serial, DENIED, "went away while it was asked; see 'systemctl status polkit'")
        assert root.property("ring", "State") == "stopped"


def without(scene, tap):
    alice, bob, root = scene.client(ALICE), scene.client(BOB), scene.client()
    with tap.case("without polkit owners start and stop what is theirs"):
        alice.call("Start", **alice.domain("ring"))
        alice.call("Stop", **alice.domain("ring"))
    with tap.case("and nobody but root makes domains"):
        error = alice.error("CreateDomain", "sa{sv}b", "mine", {"Size": Variant("s", "1M")}, True)
        assert error.name == DENIED and "no polkit" in error.text, error
        create(root, "mine")
        root.call("RemoveDomain", "s", "mine")
    with tap.case("and strangers see nothing"):
        assert names(bob) == [] and bob.error("StartDomain", "s", "ring").name == MISSING
        assert bob.error("Reload").name == DENIED


def cases(scene, tap):
    scene.start_manager()
    for part in (owners, strangers, signals, failures, without):
        part(scene, tap)
    with tap.case("it ends when it is told to"):
        assert scene.stop_manager() == 0, scene.manager.output()


if __name__ == "__main__":
    sys.exit(run(cases))
