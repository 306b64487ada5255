# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a test borrows from the machine, and gives back: huge pages and mounts."""

import contextlib
import fcntl
import os
import pathlib
import subprocess

from .process import until
from .tap import Skip

_POOL = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


def _number(name):
    return int((_POOL / name).read_text())


@contextlib.contextmanager
def _pool_lock():
    """Keeps other tests from changing the pool meanwhile: tests/unit/huge-pool.c takes the same lock."""
    fd = os.open(_POOL, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("# waiting for the huge pages, which another test has", flush=True)
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _surplus():
    """Pages that are the pool's no more, and go when whoever has them gives them back."""
    return _number("surplus_hugepages")


def _own():
    return _number("nr_hugepages") - _surplus()


def _resize(count):
    (_POOL / "nr_hugepages").write_text(str(count))


def _put_back(count, surplus):
    """The kernel lets go of what a process had a moment after the process is gone; the next test must not find it. What
    others had before the test they may keep."""
    _resize(count)
    until(lambda: _surplus() <= surplus, "the huge pages were given back")


def _check_huge_pages():
    if os.geteuid() != 0:
        raise Skip("root is needed to reserve huge pages")
    if not _POOL.exists():
        raise Skip("this kernel has no 2M pages")


@contextlib.contextmanager
def huge_pages(count):
    """Adds so many 2M pages to the machine's pool, and puts it back at the end."""
    _check_huge_pages()
    with _pool_lock():
        own, surplus = _own(), _surplus()
        _resize(own + surplus + count)
        try:
            if _number("free_hugepages") < count:
                raise Skip(f"the machine has no memory for {count} huge pages in one piece each")
            yield
        finally:
            _put_back(own, surplus)


@contextlib.contextmanager
def huge_pages_to_change():
    """For a test that changes the pool of 2M pages itself; yields how many are free. It is put back at the end."""
    _check_huge_pages()
    with _pool_lock():
        own, surplus = _own(), _surplus()
        try:
            yield _number("free_hugepages") - _number("resv_hugepages")
        finally:
            _put_back(own, surplus)


@contextlib.contextmanager
def hugetlbfs(folder):
    """A hugetlbfs with 2M pages, mounted on a new folder."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
