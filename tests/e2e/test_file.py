#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Path= over restarts: the file is the same one, and goes with the domain, if the domain made it."""

import os
import pathlib
import signal
import tempfile

from harness import ServerFailed, definition, run, until
from harness.predecessor import Predecessor, bag

VECTORS = 1
LEDGER = pathlib.Path(__file__).resolve().parents[1] / "ledgers" / "1-told"
HANDED_OVER = 75


class File:
    """A name for a domain's memory on tmpfs, which is gone at the end whatever happened."""

    def __init__(self, workshop, name):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="ivshmem-file-", dir="/dev/shm"))
        workshop.callback(os.rmdir, folder)
        self.path = folder / name
        workshop.callback(self.path.unlink, missing_ok=True)

    def text(self, **domain):
        return definition({"Size": "64K", "Path": self.path, **domain}, {"ConnectRate": 0})


def hand_over(manager):
    """What the service manager does for a restart."""
    manager.process.signal(signal.SIGUSR1)
    assert manager.process.wait() == HANDED_OVER
    manager.settle()


def stop(manager):
    manager.process.signal(signal.SIGTERM)
    assert manager.process.wait() == 0


def check_shared(workshop, manager, peer):
    """A newcomer has the same memory."""
    peer.memory[0] = (peer.memory[0] + 1) % 256
    newcomer = workshop.peer(manager, VECTORS)
    assert newcomer.memory[0] == peer.memory[0]
    newcomer.close()


def open_file(path, size, uid):
    """What is handed over in place of a path: the descriptors of a file of somebody else's."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    os.ftruncate(fd, size)
    os.fchown(fd, uid, uid)
    return [fd, os.open(path, os.O_RDONLY), os.open(path, os.O_RDWR)]


def upgrade(workshop, name, file, gone=False, handed=False):
    """A domain that a server of version 1 of the ledger left, which kept no file: the manager of its successor, and a peer.
    The file may be gone by then, and a new one by its name handed over."""
    file.path.write_bytes(bytes(1 << 20))
    predecessor = Predecessor(LEDGER.read_bytes(), file.path)
    peers = []

    def leave(manager):
        peers.extend(predecessor.leave(workshop, manager))
        if gone:
            file.path.unlink()
        if handed:
            fds = open_file(file.path, 1 << 20, 0)
            manager.keep("file", bag(fds, str(file.path)))
            for fd in fds:
                os.close(fd)

    manager = workshop.managed(name, file.text(Size="1M", Vectors=2, MaxPeers=8), before=leave)
    return manager, peers[0]


def rewrite(workshop, name, text):
    (workshop.folder / f"{name}.domain").write_text(text)


def body(workshop, tap):
    file = File(workshop, "ring")
    manager = workshop.managed("domain", file.text())
    peer = workshop.peer(manager, VECTORS)

    with tap.case("the store has the file's descriptors in one place"):
        manager.settle()
        assert manager.names() == ["definition", "doorbells-0", "file", "ledger", "peer-0-1"], manager.names()

    with tap.case("after kill -9 the next server has the same file"):
        manager.restart()
        check_shared(workshop, manager, peer)

    with tap.case("a server that hands over leaves the file where it is"):
        hand_over(manager)
        assert file.path.exists()
        manager.start()
        check_shared(workshop, manager, peer)

    with tap.case("another path in the definition is refused by name while the domain runs"):
        rewrite(workshop, "domain", definition({"Size": "64K", "Path": f"{file.path}-other"}, {"ConnectRate": 0}))
        manager.restart()
        assert "Path= was changed, but the domain is running" in manager.process.output()
        check_shared(workshop, manager, peer)
        assert not pathlib.Path(f"{file.path}-other").exists()
        rewrite(workshop, "domain", file.text())

    with tap.case("the last server removes what the first one made"):
        manager.restart()
        assert file.path.exists()
        stop(manager)
        assert not file.path.exists()

    with tap.case("with nobody attached a changed size takes effect: the old file goes, and there is a new one"):
        file = File(workshop, "ring")
        manager = workshop.managed("resized", file.text())
        manager.kill()
        rewrite(workshop, "resized", file.text(Size="128K"))
        manager.start()
        assert file.path.stat().st_size == 128 << 10
        stop(manager)
        assert not file.path.exists()

    with tap.case("one of Keep=always does not go for that: the start fails, and the old file is whole"):
        for name, before in (("resized-kept", {"Keep": "always"}), ("resized-to-keep", {})):
            file = File(workshop, "ring")
            manager = workshop.managed(name, file.text(**before))
            file.path.write_bytes(b"x" * (64 << 10))
            manager.kill()
            rewrite(workshop, name, file.text(Keep="always", Size="128K"))
            try:
                manager.start()
                raise AssertionError("it started")
            except ServerFailed as failed:
                assert "ended with 69:" in str(failed), failed
            assert file.path.read_bytes() == b"x" * (64 << 10)

    with tap.case("a file that was there before is left, also by a successor"):
        file = File(workshop, "ring")
        file.path.write_bytes(bytes(64 << 10))
        manager = workshop.managed("adopted", file.text())
        manager.restart()
        stop(manager)
        assert file.path.exists()

    with tap.case("a file of Keep=always is left, also by a successor"):
        file = File(workshop, "ring")
        manager = workshop.managed("kept", file.text(Keep="always"))
        manager.restart()
        stop(manager)
        assert file.path.exists()

    with tap.case("a file that a server of version 1 left is opened again by its name, and kept from then on"):
        file = File(workshop, "ring")
        manager, peer = upgrade(workshop, "upgrade", file)
        manager.settle()
        assert "file" in manager.names()
        peer.memory[0] = 42
        assert workshop.peer(manager, 2).memory[0] == 42
        manager.restart()
        late = workshop.peer(manager, 2)
        late.expect(peer.id)
        assert late.memory[0] == 42 and late.ids_of(peer.id) == peer.ids_of(peer.id)
        stop(manager)
        assert file.path.exists()

    with tap.case("one that is gone by then is not replaced under those who have it: serving begins anew, which is said"):
        for name, handed in (("lost", False), ("replaced", True)):
            file = File(workshop, "ring")
            manager, peer = upgrade(workshop, name, file, gone=True, handed=handed)
            assert f"The file that was the memory, {file.path}, is gone" in manager.process.output()
            assert workshop.peer(manager, 2).id == 0
            stop(manager)
            assert file.path.exists() == handed

    with tap.case("a file that is handed over is served, and left to who did that"):
        file = File(workshop, "ring")
        fds = open_file(file.path, 64 << 10, 65534)
        manager = workshop.managed("handed", file.text(), before=lambda manager: manager.keep("file", bag(fds, str(file.path))))
        for fd in fds:
            os.close(fd)
        peer = workshop.peer(manager, VECTORS)
        manager.restart()
        check_shared(workshop, manager, peer)
        with file.path.open("rb") as stream:
            assert stream.read(1)[0] == peer.memory[0]

    with tap.case("it is handed over once in a domain's life: until that ends its size stays, with nobody attached as well"):
        peer.close()
        until(lambda: not any(name.startswith("peer-") for name in manager.names()), "nobody is attached")
        rewrite(workshop, "handed", file.text(Size="128K"))
        manager.restart()
        assert "Size= was changed, but the domain is running" in manager.process.output()
        assert workshop.peer(manager, VECTORS).memory.size() == 64 << 10
        stop(manager)
        assert file.path.stat().st_uid == 65534

    with tap.case("one that is handed over for another path is not the memory"):
        file, other = File(workshop, "ring"), File(workshop, "other")
        fds = open_file(other.path, 64 << 10, 0)
        manager = workshop.managed("other", file.text(), before=lambda manager: manager.keep("file", bag(fds, str(other.path))))
        for fd in fds:
            os.close(fd)
        workshop.peer(manager, VECTORS).memory[0] = 42
        assert file.path.read_bytes()[0] == 42 and other.path.read_bytes()[0] == 0
        stop(manager)

    with tap.case("a file of another size that is handed over fails the start with both sizes"):
        file = File(workshop, "ring")
        fds = open_file(file.path, 4096, 0)
        check_fails(workshop, "wrong", file.text(), "file", bag(fds, str(file.path)), 69, "exists with 4K bytes, and Size=64K")

    with tap.case("a file that is handed over to a domain that is too large is no reason to try that again"):
        file = File(workshop, "ring")
        fds = open_file(file.path, 64 << 10, 0)
        why = "takes 131075 places in systemd's fd store"
        check_fails(workshop, "large", file.text(MaxPeers=65536), "file", bag(fds, str(file.path)), 78, why)

    with tap.case("descriptors that are not one file are not taken for one"):
        fds = open_file(File(workshop, "ring").path, 64 << 10, 0)
        fds[1] = os.open("/dev/null", os.O_RDONLY)
        check_fails(workshop, "mixed", file.text(), "file", bag(fds, str(file.path)), 69, "what was handed over is not the file")

    with tap.case("why a file could not be handed over is why the domain does not start"):
        error = os.memfd_create("error", os.MFD_ALLOW_SEALING)
        os.write(error, b"no such luck")
        check_fails(workshop, "luckless", file.text(), "file-error", error, 69, "no such luck")


def check_fails(workshop, name, text, what, fd, status, why):
    """The start fails, as something that somebody has to mend."""
    try:
        workshop.managed(name, text, before=lambda manager: manager.keep(what, fd))
        raise AssertionError("it started")
    except ServerFailed as failed:
        assert f"ended with {status}" in str(failed), failed
        assert why in str(failed), failed


run(body)
