#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two hundred kills at random moments while clients come and go: who was set up stays, and all views are right."""

import random
import select
import threading

from scenario import run, service_of

from harness import definition

VECTORS = 2
KILLS = 200
SERVICE = service_of("ring")
SEED = 20121

# The moments are random, the number of kills is not: each is of another server, and of one that serves.
KILLER = f"""
last=0
for i in $(seq {KILLS}); do
        until state=$(systemctl show --property=SubState --property=MainPID {SERVICE}) &&
                [[ $state == *SubState=running* && $state != *MainPID=$last[[:space:]]* ]]; do :; done
        last=$(sed -n 's/^MainPID=//p' <<<"$state")
        sleep 0.0$(( (RANDOM % 40) + 10 ))
        kill -KILL "$last"
done
"""


def hung_up(peer):
    poll = select.poll()
    poll.register(peer.fileno(), select.POLLHUP)
    return bool(poll.poll(0))


def body(machine):
    machine.define("ring", definition({"Size": "64K", "Vectors": VECTORS, "MaxPeers": 64}, {"ConnectRate": 0}))
    machine.systemctl("start", SERVICE)
    stay = [machine.peer("ring", VECTORS) for _ in range(4)]
    rng = random.Random(SEED)
    killer = threading.Thread(target=machine.run, args=("bash", "-c", KILLER), kwargs={"seconds": 240})
    killer.start()
    joined = cut_off = 0

    with machine.case(f"of {KILLS} kills no client notices any once it is set up"):
        visitors = []
        while killer.is_alive():
            try:
                visitors.append(machine.peer("ring", VECTORS))
                joined += 1
            except ConnectionError:
                cut_off += 1  # in the moment between being accepted and being kept
            assert not any(hung_up(peer) for peer in [*stay, *visitors]), "a peer was disconnected"
            if len(visitors) > 8:
                visitors.pop(rng.randrange(len(visitors))).close()
        killer.join()
        assert joined > KILLS // 4, f"only {joined} joined"

    with machine.case("all that are there have the same view, and each doorbell reaches its vector"):
        last = machine.peer("ring", VECTORS)
        everybody = [*stay, *visitors, last]
        opened = max(last.ids)
        for peer in everybody:
            peer.expect(*(other.id for other in everybody))
            assert all(len(doorbells) == VECTORS for doorbells in peer.ids.values()), peer.ids
            assert peer.disconnects == 0
            for seat, doorbells in last.ids.items():
                assert peer.ids.get(seat, doorbells) == doorbells, f"another doorbell for seat {seat}"
        for peer in everybody:
            for vector in range(VECTORS):
                last.ring(peer.id, vector)
                assert peer.wait(vector) == 1
        assert opened < 16, f"VM IDs are not dense: {opened}"

    machine.comment(f"{joined} joined, {cut_off} were cut off before they heard anything, seed {SEED}")


run(body)
