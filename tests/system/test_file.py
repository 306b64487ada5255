#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Path= under systemd: the file is made with privileges that the server does not have, and nobody can use these for
anything else."""

import contextlib
import re
import signal

from machine import CommandFailed
from scenario import run, service_of

from harness import definition, huge_pages, until

NOTES = "/run/ivshmem-prepare"
SOMEBODY = "nobody"


def text(path, **domain):
    return definition({"Size": "1M", "Path": path, **domain})


def start(machine, name, words):
    machine.define(name, words)
    machine.systemctl("start", service_of(name))


def stop(machine, *names):
    for name in names:
        machine.systemctl("stop", service_of(name), f"ivshmem@{name}.socket")


def listed(machine, path, what="%U:%G %a %s"):
    return machine.run("stat", f"--format={what}", path).stdout.strip()


def gone(machine, path):
    until(lambda: not machine.path(path).exists(), f"{path} is removed")


def start_fails(machine, name, words, why):
    """It does not start, once, and the status says why."""
    if words:
        machine.define(name, words)
    try:
        machine.systemctl("start", service_of(name))
    except CommandFailed:
        status = machine.show(service_of(name), "StatusText")
        assert why in status, status
        assert machine.show(service_of(name), "ActiveState") == "failed"
        assert machine.show(service_of(name), "NRestarts") == "0"
        return
    raise AssertionError(f"{name} has started")


def check_shared(machine, domain, peer, path):
    peer.memory[0] = (peer.memory[0] + 1) % 256
    newcomer = machine.peer(domain)
    assert newcomer.memory[0] == peer.memory[0] == machine.path(path).read_bytes()[0]
    assert peer.disconnects == 0
    newcomer.close()


def kill(machine, domain):
    pid = machine.show(service_of(domain), "MainPID")
    machine.run("kill", f"-{signal.SIGKILL}", pid)
    until(lambda: machine.show(service_of(domain), "MainPID") not in ("0", pid), "another server runs")
    machine.until_shows(service_of(domain), "ActiveState", "active")


def check_owner(machine):
    """One of those scenarios that the others build on."""
    words = text("/dev/shm/owned", PathUser=SOMEBODY, PathGroup="kvm", PathMode="0640")
    start(machine, "owned", words)
    assert listed(machine, "/dev/shm/owned") == f"{SOMEBODY}:kvm 640 {1 << 20}"
    peer = machine.peer("owned")
    check_shared(machine, "owned", peer, "/dev/shm/owned")
    for restart in (lambda: machine.systemctl("restart", service_of("owned")), lambda: kill(machine, "owned")):
        restart()
        check_shared(machine, "owned", peer, "/dev/shm/owned")
    stop(machine, "owned")
    gone(machine, "/dev/shm/owned")
    gone(machine, f"{NOTES}/owned")


def check_no_owner(machine):
    start(machine, "plain", text("/dev/shm/plain"))
    assert listed(machine, "/dev/shm/plain") == f"root:root 600 {1 << 20}"
    stop(machine, "plain")


def check_anywhere(machine):
    machine.run("install", "--directory", "--mode=0700", f"--owner={SOMEBODY}", "/root/somebody")
    start(machine, "anywhere", text("/root/somebody/memory", PathUser=SOMEBODY))
    peer = machine.peer("anywhere")
    check_shared(machine, "anywhere", peer, "/root/somebody/memory")
    machine.systemctl("restart", service_of("anywhere"))
    check_shared(machine, "anywhere", peer, "/root/somebody/memory")
    stop(machine, "anywhere")
    gone(machine, "/root/somebody/memory")


def check_huge(machine):
    """And in a directory there that is not there yet."""
    with huge_pages(1):
        path = "/dev/hugepages/vms/ring"
        start(machine, "huge", definition({"Size": "2M", "HugePages": "2M", "Path": path, "PathGroup": "kvm"}))
        assert listed(machine, path, "%U:%G") == "root:kvm"
        assert listed(machine, "/dev/hugepages/vms", "%U:%G %a") == "root:root 755"
        with contextlib.closing(machine.peer("huge")) as peer:
            assert peer.memory.size() == 2 << 20
        machine.systemctl("restart", service_of("huge"))
        machine.peer("huge").close()
        stop(machine, "huge")
        gone(machine, path)
        gone(machine, "/dev/hugepages/vms")


def check_again(machine):
    start(machine, "again", text("/dev/shm/again"))
    machine.peer("again").memory[0] = 42
    stop(machine, "again")
    machine.systemctl("start", service_of("again"))
    assert machine.peer("again").memory[0] == 0
    stop(machine, "again")


def check_kept(machine):
    start(machine, "kept", text("/dev/shm/kept", Keep="always"))
    machine.peer("kept").memory[0] = 42
    stop(machine, "kept")
    gone(machine, f"{NOTES}/kept")
    machine.systemctl("start", service_of("kept"))
    assert machine.peer("kept").memory[0] == 42
    stop(machine, "kept")
    assert machine.path("/dev/shm/kept").exists()


def check_changed(machine):
    start(machine, "moved", text("/dev/shm/one"))
    machine.define("moved", text("/dev/shm/two", Size="2M"))
    machine.systemctl("restart", service_of("moved"))
    told = machine.messages(service_of("moved"))
    for key in ("Path", "Size"):
        assert any(f"{key}= was changed, but the domain is running" in line for line in told), told
    assert machine.peer("moved").memory.size() == 1 << 20
    stop(machine, "moved")
    gone(machine, "/dev/shm/one")
    machine.systemctl("start", service_of("moved"))
    assert machine.path("/dev/shm/two").stat().st_size == 2 << 20
    stop(machine, "moved")


def check_hurt(machine):
    """Stopped between two tries of a server that cannot start: the end is the end."""
    start(machine, "hurt", text("/dev/shm/hurt"))
    peer = machine.peer("hurt")
    machine.define("hurt", "[Domain]\nSize=3\n")
    machine.systemctl("kill", "--kill-whom=main", "-s", "KILL", service_of("hurt"))
    until(lambda: "Size=3" in machine.show(service_of("hurt"), "StatusText"), "it cannot start")
    assert machine.path("/dev/shm/hurt").exists()
    stop(machine, "hurt")
    peer.expect_end()
    gone(machine, "/dev/shm/hurt")


def check_failed(machine):
    words = text("/dev/shm/failed/file", NUMANodes="1023")
    start_fails(machine, "failed", words, "NUMANodes=1023")
    gone(machine, "/dev/shm/failed")
    start_fails(machine, "failed", text("/dev/shm/failed/file", PathLabel="x"), "PathLabel=x")
    gone(machine, "/dev/shm/failed")


def check_links(machine):
    machine.run("install", "--directory", f"--owner={SOMEBODY}", "/srv/theirs")
    machine.run("ln", "--symbolic", "/etc", "/srv/theirs/link")
    start_fails(machine, "linked", text("/srv/theirs/link/cron", PathUser=SOMEBODY), "there is a symbolic link in /srv/theirs/link")
    assert not machine.path("/etc/cron").exists()
    machine.run("ln", "--symbolic", "/etc/passwd", "/srv/theirs/passwd")
    start_fails(machine, "link", text("/srv/theirs/passwd", PathUser=SOMEBODY), "is a symbolic link")
    assert listed(machine, "/etc/passwd", "%U:%G") == "root:root"


def check_foreign_files(machine):
    machine.run("sh", "-c", "truncate --size=1M /srv/secret && ln /srv/secret /srv/theirs/secret")
    start_fails(machine, "hard", text("/srv/theirs/secret", PathUser=SOMEBODY), "has 2 names")
    assert listed(machine, "/srv/secret") == f"root:root 644 {1 << 20}"
    machine.run("install", "--owner=games", "/srv/secret", "/dev/shm/games")
    start_fails(machine, "foreign", text("/dev/shm/games"), "and not to root, the server's user or PathUser=")
    assert listed(machine, "/dev/shm/games", "%U") == "games"
    machine.run("rm", "/srv/secret", "/srv/theirs/secret", "/dev/shm/games")


def check_in_use(machine):
    start(machine, "first", text("/dev/shm/shared"))
    start_fails(machine, "second", text("/dev/shm/shared"), "/dev/shm/shared is in use")
    check_shared(machine, "first", machine.peer("first"), "/dev/shm/shared")
    stop(machine, "first")
    gone(machine, "/dev/shm/shared")


def check_label(machine):
    why = "PathLabel=a_u:b_r:c_t:s0: this kernel runs neither SELinux nor Smack"
    start_fails(machine, "labelled", text("/dev/shm/labelled", PathLabel="a_u:b_r:c_t:s0"), why)
    assert not machine.path("/dev/shm/labelled").exists()


def define_as_manager(machine, name, words):
    """The manager, which is not root, has written a definition."""
    folder = machine.path("/var/lib/ivshmem")
    machine.run("chown", "ivshmem:", "/var/lib/ivshmem")
    (folder / f"{name}.domain").write_text(words)
    machine.run("chown", "ivshmem:", f"/var/lib/ivshmem/{name}.domain")


def check_managers(machine):
    define_as_manager(machine, "tenant", text("/dev/shm/tenant", PathUser=SOMEBODY))
    machine.systemctl("start", service_of("tenant"))
    assert listed(machine, "/dev/shm/tenant", "%U") == SOMEBODY
    peer = machine.peer("tenant")
    machine.systemctl("restart", service_of("tenant"))
    check_shared(machine, "tenant", peer, "/dev/shm/tenant")
    stop(machine, "tenant")
    gone(machine, "/dev/shm/tenant")


def check_managers_limits(machine):
    machine.run("install", "--directory", f"--owner={SOMEBODY}", "/dev/shm/theirs")
    for name, words, why in (
        ("etc", text("/etc/cron"), "Path=/etc/cron is not directly in /dev/shm"),
        ("below", text("/dev/shm/theirs/x"), "Path=/dev/shm/theirs/x is not directly in /dev/shm"),
        ("always", text("/dev/shm/always", Keep="always"), "Keep=always takes a definition that nobody but root"),
        ("label", text("/dev/shm/label", PathLabel="x"), "PathLabel= takes a definition that nobody but root"),
        ("gift", text("/dev/shm/gift", Owner=SOMEBODY, PathUser="root"), "PathUser=root is another than Owner="),
    ):
        define_as_manager(machine, name, words)
        start_fails(machine, name, None, why)
    machine.run("truncate", "--size=1M", "/dev/shm/taken")
    define_as_manager(machine, "taken", text("/dev/shm/taken"))
    start_fails(machine, "taken", None, "/dev/shm/taken exists")
    assert machine.path("/dev/shm/taken").exists() and not machine.path("/etc/cron").exists()
    machine.run("rm", "--recursive", "/dev/shm/taken", "/dev/shm/theirs")


def check_links_to_definitions(machine):
    """A file of root's that the manager has linked to is the manager's choice, not root's."""
    machine.run("ln", "--symbolic", "/etc/ivshmem/anywhere.domain", "/var/lib/ivshmem/borrowed.domain")
    start_fails(machine, "borrowed", None, "is not directly in /dev/shm")


def check_confined(machine):
    """Run by hand there is nobody to hand the file over to."""
    machine.define("alone", text("/dev/shm/alone"))
    strace = ("strace", "-e", "trace=capset,openat2,unlinkat", "-o", "/run/calls")
    said = machine.run(*strace, "/usr/libexec/ivshmem-prepare", "alone").stderr
    assert "Cannot hand the file over to the service manager" in said, said
    calls = re.findall(r"^(\w+)\(.* = ", machine.path("/run/calls").read_text(), re.MULTILINE)
    assert calls[:2] == ["capset", "openat2"], calls
    assert not machine.path("/dev/shm/alone").exists() and not machine.path(f"{NOTES}/alone").exists()


CASES = {
    "owner, group and mode are as asked; the file stays over restarts and crashes, and goes with the domain": check_owner,
    "without an owner in the definition it is root's alone": check_no_owner,
    "it can be where the server sees nothing, and belong to somebody there": check_anywhere,
    "it can be in a new directory of a hugetlbfs that only root may write to": check_huge,
    "a domain that is started again after a stop has a new file": check_again,
    "Keep=always: it stays, and the next start has what was in it": check_kept,
    "another path or size takes effect when the domain was stopped, and until then is refused by name": check_changed,
    "a domain that is stopped while its server cannot start leaves nothing": check_hurt,
    "a start that fails after that leaves nothing": check_failed,
    "its privileges are few before it looks at the path; what it cannot hand over it removes": check_confined,
    "a symbolic link on the way, or in its place, is refused and not followed": check_links,
    "a file of somebody else's, or with a second name, is refused and not touched": check_foreign_files,
    "a file that another domain has is refused, and that goes on": check_in_use,
    "a label that this kernel does not have is refused": check_label,
    "a definition of the manager's can have a new file in /dev/shm": check_managers,
    "and no other: nowhere else, none that exists, none that stays, no label": check_managers_limits,
    "nor by a link to a definition of root's": check_links_to_definitions,
}


def body(machine):
    for name, check in CASES.items():
        with machine.case(name):
            check(machine)


run(body)
