# SPDX-License-Identifier: LGPL-2.1-or-later
"""The layer table of docs/architecture.md as data, and the checks that hold #include lines against it.

A folder that is not in the table cannot have C code: a new layer begins with a row here.
"""

import re
from dataclasses import dataclass

INCLUDE = re.compile(r'(?m)^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")')

# Headers that do not come with the C library. What a layer does not name below, it cannot include.
FOREIGN = re.compile(
    r"^(talloc\.h|cmocka\.h|ini\.h|numa(if)?\.h|seccomp\.h|libudev\.h"
    r"|(systemd|json-c|polkit|selinux|glib|gio|acl)/.*|sys/(acl|apparmor)\.h)$"
)

# Of the C library, what a layer without system calls has a use for.
PURE = re.compile(
    r"^(assert|ctype|endian|errno|fnmatch|inttypes|limits|stdarg|stdbool|stddef|stdint|stdio|stdlib|string"
    r"|strings|sys/types|syslog|byteswap)\.h$"
)

# What a layer without system calls, descriptors, clocks, logging and environment cannot call. Formatting into memory
# and open_memstream() are allowed, which is why <stdio.h> is; <syslog.h> is for the names of the levels.
IMPURE_CALLS = """
    accept accept4 access alarm bind chdir chmod chown clock clock_gettime close closedir connect creat dprintf dup
    dup2 dup3 epoll_create1 epoll_ctl epoll_wait eventfd execv execve execvp exit fallocate fchmod fchown fcntl fdopen
    fgets fopen fork fprintf fputs fread freopen fscanf fstat fsync ftruncate fwrite getenv geteuid getgid getgrnam
    getline getpid getppid getpwnam getpwuid getrandom getrlimit getsockopt gettimeofday getuid ioctl kill listen
    log_debug log_error log_full log_info log_notice log_warning lseek lstat madvise mbind memfd_create mkdir mkstemp
    mlock mmap mount mprotect munmap nanosleep open openat openlog opendir perror pidfd_open pipe pipe2 poll ppoll prctl pread
    preadv2 printf pthread_create putenv puts pwrite raise rand random read readdir readlink readv recv recvmsg remove
    rename rmdir scanf secure_getenv select send sendmmsg sendmsg sendto setenv setrlimit setsockopt shm_open shutdown
    sigaction signal socket socketpair srand stat statfs symlink syscall sysconf syslog time truncate umask unlink
    unsetenv unshare vfprintf vprintf vsyslog wait waitpid write writev
""".split()
IMPURE_CALL = r"(?<![\w.>])(" + "|".join(IMPURE_CALLS) + r"|sd_\w+|_exit)\s*\("
IMPURE_NAME = r"\b(stdin|stdout|stderr|environ)\b"

# What meson makes, though a header in some folder may have the same name.
GENERATED = ("config.h",)


@dataclass(frozen=True)
class Layer:
    folder: str  # the longest matching row counts
    project: tuple  # what it may include of this project: folders ending in "/", or headers
    foreign: tuple = ()  # patterns of foreign headers
    pure: bool = False  # no system calls, descriptors, clocks, logging, environment
    never: str = ""  # identifiers that belong to another layer


LAYERS = (
    Layer("service/base/", ("service/base/",), (r"talloc\.h", r"systemd/sd-(event|journal|id128)\.h")),
    Layer(
        "service/core/",
        ("service/core/", "service/base/error.h", "service/base/list.h"),
        (r"talloc\.h", r"ini\.h"),
        pure=True,
    ),
    Layer(
        "service/server/",
        ("service/server/", "service/core/", "service/base/", "policy/"),
        (r"talloc\.h", r"systemd/sd-(event|daemon|login|journal|id128)\.h", r"seccomp\.h", r"numa(if)?\.h"),
        never=r"\b(sd_bus_\w+|polkit_\w+)\b",
    ),
    Layer(
        "service/prepare/",
        ("service/prepare/", "service/server/", "service/core/", "service/base/"),
        (r"talloc\.h", r"systemd/sd-daemon\.h"),
        never=r"\b(sd_bus_\w+|polkit_\w+)\b",
    ),
    Layer(
        "service/manager/",
        ("service/manager/", "service/core/", "service/base/"),
        (r"talloc\.h", r"systemd/sd-[a-z0-9]+\.h"),
        never=r"\b(SD_BUS_(VTABLE_START|METHOD|PROPERTY|SIGNAL)\w*|polkit_\w+)\b",
    ),
    # The one file that sees the manager and its bus.
    Layer(
        "service/manager/main.c",
        ("service/manager/", "service/core/", "service/base/", "dbus/"),
        (r"talloc\.h", r"systemd/sd-[a-z0-9]+\.h"),
    ),
    Layer(
        "dbus/",
        ("dbus/", "service/manager/", "service/base/", "service/core/bucket.h"),
        (r"talloc\.h", r"systemd/sd-(bus|event)[a-z-]*\.h"),
    ),
    Layer(
        "client/",
        ("client/", "service/core/wire.h", "dbus/names.h"),
        (r"talloc\.h", r"systemd/sd-(bus|event|id128)[a-z-]*\.h", r"json-c/.*"),
    ),
    Layer("policy/", ("policy/",)),
    Layer(
        "tests/",
        ("tests/", "service/", "dbus/", "client/", "policy/"),
        (r"talloc\.h", r"cmocka\.h", r"ini\.h", r"systemd/.*", r"seccomp\.h", r"numa(if)?\.h", r"json-c/.*"),
    ),
)


def layer_of(path):
    rows = [layer for layer in LAYERS if path.startswith(layer.folder)]
    return max(rows, key=lambda layer: len(layer.folder), default=None)


def includes_of(tree, path):
    """Each #include of a file: line, name, whether it was written with angle brackets."""
    for line, match in tree.matches(path, INCLUDE, tree.uncommented(path)):
        yield line, match.group(1)[1:-1], match.group(1)[0] == "<"


def candidates(tree, path, name):
    """The headers of this project that `#include "name"` can mean: one, if beside the file or a path from the top."""
    if name in GENERATED:
        return []
    folder = path.rpartition("/")[0]
    beside = f"{folder}/{name}" if folder else name
    headers = [header for header in tree.paths if header.endswith((".h", ".inc"))]
    for exact in (beside, name):
        if exact in headers:
            return [exact]
    return [header for header in headers if header == name or header.endswith("/" + name)]


def allowed(layer, header):
    return any(header.startswith(row) if row.endswith("/") else header == row for row in layer.project)


def check_system_header(layer, name):
    """Why a layer cannot include <name>; None if it can."""
    if FOREIGN.match(name):
        if not any(re.fullmatch(pattern, name) for pattern in layer.foreign):
            return f"<{name}> is not for {layer.folder}"
    elif layer.pure and not PURE.match(name):
        return f"<{name}> is not for {layer.folder}, which makes no system calls"
    return None


def check_project_header(tree, layer, path, name):
    """Why a file cannot include "name"; None if it can, or if meson makes that header."""
    found = candidates(tree, path, name)
    if len(found) > 1:
        return f'"{name}" can mean {" or ".join(found)}: name its folder'
    if found and not allowed(layer, found[0]):
        return f"{found[0]} is above or beside {layer.folder}"
    return None


def check_layers(tree):
    for path in tree.ending(".c", ".h"):
        layer = layer_of(path)
        if layer is None:
            yield f"{path}:1: this folder is in no row of the layer table"
            continue
        for line, name, system in includes_of(tree, path):
            error = check_system_header(layer, name) if system else check_project_header(tree, layer, path, name)
            if error:
                yield f"{path}:{line}: {error}"


def check_layer_identifiers(tree):
    """What a layer must not contain though it needs no header of its own for it."""
    for path in tree.ending(".c", ".h"):
        layer = layer_of(path)
        if layer is None:
            continue
        patterns = [IMPURE_CALL, IMPURE_NAME] if layer.pure else []
        patterns += [layer.never] if layer.never else []
        for pattern in patterns:
            for line, match in tree.matches(path, pattern):
                yield f"{path}:{line}: {match.group(1)} does not belong into {layer.folder}"


def check_include_cycles(tree):
    """Headers that include each other, reported once each with the way round."""
    graph = {}
    for path in tree.ending(".h"):
        names = [name for _, name, system in includes_of(tree, path) if not system]
        graph[path] = [found[0] for found in (candidates(tree, path, name) for name in names) if len(found) == 1]

    done = set()

    def visit(path, way):
        if path in way:
            yield f"{path}:1: includes itself: {' -> '.join(way[way.index(path):] + [path])}"
            return
        if path in done:
            return
        for target in graph.get(path, ()):
            yield from visit(target, way + [path])
        done.add(path)

    for path in graph:
        yield from visit(path, [])
