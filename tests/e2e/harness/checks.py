# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must hold of guests that share a domain."""

import itertools


def check_doorbells(vectors, *guests):
    """Each guest rings each vector of each other one; it is heard there, once, and nowhere else."""
    numbers = {guest.name: guest.info()["id"] for guest in guests}
    expected = {guest.name: guest.counts() for guest in guests}
    for sender, receiver in itertools.permutations(guests, 2):
        for vector in range(vectors):
            sender.ring(numbers[receiver.name], vector)
            assert receiver.wait(vector) == 1, f"{sender.name} rang vector {vector} of {receiver.name}"
            expected[receiver.name][vector] += 1
    counted = {guest.name: guest.counts() for guest in guests}
    assert counted == expected, f"rings that nobody sent, or that went astray: {counted} instead of {expected}"


def check_memory(size, *guests):
    """What one guest fills all see, in each byte of the memory."""
    for seed, writer in enumerate(guests):
        before = guests[0].sum(0, size)
        writer.fill(0, size, seed + before)
        sums = {guest.name: guest.sum(0, size) for guest in guests}
        assert len(set(sums.values())) == 1, sums
        assert before not in sums.values(), f"{writer.name} changed nothing"
