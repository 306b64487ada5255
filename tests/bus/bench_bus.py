#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the manager costs on the bus, as printed figures: with one domain and with a thousand.

Nothing here fails because a machine is slow.
"""

import sys
import time

from scene import ALICE, YES, anonymous_memory, create, names, objects, run
from wire import Variant

DOMAINS = 1000
CALLS = 200
MIB = 1 << 20


def processor_time(pid):
    """Seconds that a process has run."""
    fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Figures:
    def __init__(self, scene, tap):
        self._pid, self._tap = scene.manager.pid, tap

    def say(self, text):
        self._tap.comment(text)

    def time(self, what, times, work):
        """Wall clock and the manager's processor time of each of so many."""
        used, begin = processor_time(self._pid), time.monotonic()
        for _ in range(times):
            work()
        wall, used = time.monotonic() - begin, processor_time(self._pid) - used
        self.say(f"{what:44} {wall / times * 1000:9.3f} ms   {used / times * 1000:9.3f} ms of the manager's")

    def memory(self, what):
        self.say(f"{what:44} {anonymous_memory(self._pid) / MIB:9.2f} MiB")


def one(root, figures):
    def begin():
        create(root, "one")
        root.call("StartDomain", "s", "one")

    def cycle():
        root.call("StartDomain", "s", "one")
        root.call("StopDomain", "s", "one")

    figures.memory("memory, no domain")
    figures.time("create and start", 1, begin)
    figures.time("stop", 1, lambda: root.call("StopDomain", "s", "one"))
    figures.time("start and stop", 20, cycle)
    figures.time("Get of a property", CALLS, lambda: root.property("one", "State"))


def listings(root, alice, figures):
    figures.time("ListDomains, root, who sees all", 20, lambda: names(root))
    figures.time("GetManagedObjects, root", 5, lambda: objects(root))
    figures.time("ListDomains, a user who sees one", 20, lambda: names(alice))
    figures.time("GetManagedObjects, a user who sees one", 20, lambda: objects(alice))
    figures.time("Get of a property", CALLS, lambda: root.property("d500", "State"))


def events(scene, root, figures):
    """A reload that changes each domain, told to ten subscribers."""
    listeners = [scene.client() for _ in range(10)]
    for each in listeners:
        each.call("Subscribe")
    changed = {"Description": Variant("s", "another")}

    def change():
        serials = [root.begin("Set", "a{sv}", changed, **root.domain(f"d{i}")) for i in range(DOMAINS)]
        for serial in serials:
            root.finish(serial, 120)
        for each in listeners:
            for _ in range(DOMAINS):
                each.wait_signal("PropertiesChanged", 120)

    used, begin = processor_time(scene.manager.pid), time.monotonic()
    change()
    wall, used = time.monotonic() - begin, processor_time(scene.manager.pid) - used
    figures.say(f"{DOMAINS} domains set, 10 subscribers: {wall:.2f} s, {used:.2f} s of the manager's, "
                f"{10 * DOMAINS / wall:.0f} signals a second")
    for each in listeners:
        each.close()


def cases(scene, tap):
    root = scene.start_manager()
    scene.polkit().decide = lambda question: YES if question.action.endswith("manage-own") else "no"
    alice = scene.client(ALICE)
    figures = Figures(scene, tap)
    with tap.case("one domain"):
        one(root, figures)
    with tap.case(f"{DOMAINS} domains"):
        create(alice, "hers")
        begin = time.monotonic()
        for i in range(DOMAINS):
            create(root, f"d{i}")
        figures.say(f"{DOMAINS} made in {time.monotonic() - begin:.2f} s")
        figures.memory(f"memory, {DOMAINS} domains")
        listings(root, alice, figures)
    with tap.case("signals"):
        events(scene, root, figures)
        figures.memory("memory afterwards")
    with tap.case("it ends"):
        assert scene.stop_manager() == 0


if __name__ == "__main__":
    sys.exit(run(cases))
