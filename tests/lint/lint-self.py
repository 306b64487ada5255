#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Proves the rules of checks.py: each must flag a tiny tree that breaks it, and none may flag one that is right.

A rule without a bad tree here fails this test.
"""

import os
import sys
import tempfile
from pathlib import Path

import form
import layers
from checks import CHECKS
from tap import Tap
from tree import Tree, Unavailable

HEAD = "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n/* A noun. */\n"
FORM = (Path(__file__).resolve().parents[2] / ".clang-format").read_text(encoding="utf-8")


def source(*lines):
    return HEAD + "\n".join(lines) + "\n"


def header(*lines):
    return source("#pragma once", *lines)


def body(count):
    return ["        x++;"] * count


GOOD = {
    ".clang-format": FORM,
    "meson.build": "# SPDX-License-Identifier: LGPL-2.1-or-later\n# The build.\n",
    "run": "#!/bin/bash\n# SPDX-License-Identifier: LGPL-2.1-or-later\n# Runs it.\n",
    "service/base/error.h": header("int error_of(int r);"),
    "service/base/fd.h": header("void fd_close(int fd);"),
    "service/core/seat.h": header("#include <stdint.h>", "", '#include "service/base/error.h"'),
    "service/core/seat.c": source(
        "#include <talloc.h>",
        "",
        '#include "service/core/seat.h"',
        "",
        "/* write(1) and the rest of a comment do not count */",
        "int seat_read(int x) {",
        "        if (x) {",
        "                goto out;",
        "        }",
        "        x += ops->write(x) + ops.close(x) + seat_open(x);",
        *body(30),
        "out:",
        '        return x + f("write(1) sprintf(");',
        "}",
    ),
    "service/server/peer.c": source('#include "service/base/fd.h"', '#include "service/core/seat.h"'),
    "service/manager/main.c": source('#include "dbus/bus.h"'),
    "dbus/bus.h": header(),
    "tests/unit/test-seat.c": source("#include <cmocka.h>", "", '#include "service/core/seat.h"'),
}

# Check: trees that it must flag, each with what the finding has to contain.
BAD = {
    form.check_licence: [
        ({"a.c": "int x;\n"}, "a.c:1: does not begin with"),
        ({"a.py": "#!/usr/bin/python3\n# Copyright\n"}, "a.py:1: does not begin with"),
        ({"a.c": "/* SPDX-License-Identifier: LGPL-2.1-or-later */\n#include <x.h>\n"}, "a.c:2: no comment"),
        ({"docs/meson.build": "# SPDX-License-Identifier: LGPL-2.1-or-later\nfoo()\n"}, "meson.build:2: no comment"),
    ],
    layers.check_layers: [
        ({"service/base/a.c": '#include "service/core/seat.h"'}, "seat.h is above or beside service/base/"),
        ({"service/core/a.c": '#include "service/base/fd.h"'}, "service/base/fd.h is above"),
        ({"service/core/a.c": "#include <unistd.h>"}, "<unistd.h> is not for service/core/"),
        ({"service/core/a.c": "#include <systemd/sd-event.h>"}, "<systemd/sd-event.h> is not for"),
        ({"service/core/a.c": "#  include /* */ <time.h>"}, "<time.h> is not for"),
        ({"service/server/a.c": "#include <systemd/sd-bus.h>"}, "sd-bus.h> is not for service/server/"),
        ({"service/server/a.c": '#include "dbus/bus.h"'}, "dbus/bus.h is above"),
        ({"service/manager/a.c": '#include "dbus/bus.h"'}, "dbus/bus.h is above"),
        ({"client/a.c": '#include "service/core/seat.h"'}, "service/core/seat.h is above"),
        ({"policy/a.c": "#include <talloc.h>"}, "<talloc.h> is not for policy/"),
        ({"service/server/seat.h": "", "service/server/x/a.c": '#include "seat.h"'}, "name its folder"),
        ({"other/a.c": ""}, "other/a.c:1: this folder is in no row"),
    ],
    layers.check_layer_identifiers: [
        ({"service/core/a.c": "int f(void) { return open(x); }"}, "open does not belong into service/core/"),
        ({"service/core/a.c": "t = clock_gettime (1, &x);"}, "clock_gettime does not belong"),
        ({"service/core/a.c": 'log_error("x");'}, "log_error does not belong"),
        ({"service/core/a.c": "fflush(stderr);"}, "stderr does not belong"),
        ({"service/core/a.c": "sd_notify(0, x);"}, "sd_notify does not belong"),
        ({"service/server/a.c": "sd_bus_open(&bus);"}, "sd_bus_open does not belong"),
        ({"service/manager/a.c": "SD_BUS_VTABLE_START(0),"}, "SD_BUS_VTABLE_START does not belong"),
    ],
    layers.check_include_cycles: [
        (
            {"service/core/a.h": '#include "service/core/b.h"', "service/core/b.h": '#include "a.h"'},
            "service/core/a.h -> service/core/b.h -> service/core/a.h",
        ),
    ],
    form.check_pragma_once: [({"service/core/a.h": "#ifndef A\n/*\n#pragma once\n*/"}, "a.h:1: no #pragma once")],
    form.check_header_bodies: [
        ({"service/core/a.h": "\n".join(["static inline void f(int x) {", *body(4), "}"])}, "f() has 4 lines"),
    ],
    form.check_file_length: [({"service/core/a.c": "\n" * 600}, "600 lines")],
    form.check_function_length: [
        ({"tests/unit/a.c": "\n".join(["int f(int x) {", *body(79), "}"])}, "f() has 81 lines, at most 80"),
    ],
    form.check_function_length_p90: [
        (
            {
                "service/core/a.c": "\n".join(
                    f"int f{i}(int x) {{\n" + "\n".join(body(50 if i < 2 else 1)) + "\n}" for i in range(9)
                )
            },
            "a tenth has 52 lines",
        ),
    ],
    form.check_goto: [
        (
            {"service/core/a.c": "int f(void) {\nagain:\n        x();\n        goto again;\n}\n"},
            "a.c:4: goto again goes back to line 2",
        ),
    ],
    form.check_forbidden_functions: [
        ({"service/core/a.c": "strcpy(a, b);"}, "strcpy(): use"),
        ({"tests/unit/a.c": "return system (a);"}, "system(): use"),
    ],
    form.check_sleeps: [({"tests/unit/a.c": "usleep(1000);"}, "usleep() in a test")],
    form.check_stray_paths: [
        ({"docs/a.md": "see /" + "work/main"}, "docs/a.md:1: /" + "work/ exists on"),
        ({"x.sh": "# x\ncd /tmp/" + "wt/x"}, "x.sh:2: "),
    ],
    form.check_formatting: [({"service/core/a.c": "int f( void ){ return 1; }\n"}, "a.c:1: not formatted")],
}


def findings(check, files):
    """What a check says about a tree of these files."""
    with tempfile.TemporaryDirectory(prefix="lint-self.") as root:
        for name, text in files.items():
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            Path(path).write_text(text, encoding="utf-8")
        return list(check(Tree(root)))


def problems_of(check):
    """Where a check does not do what it is for."""
    trees = BAD.get(check, [])
    if not trees:
        yield "has no bad tree in lint-self.py"
    for found in findings(check, GOOD):
        yield f"flags the good tree: {found}"
    for files, expected in trees:
        found = findings(check, {**GOOD, **files})
        if not any(expected in line for line in found):
            yield f"wanted '{expected}' for {sorted(files)}, got {found}"


def main():
    tap = Tap(len(CHECKS))
    for name, check in CHECKS:
        try:
            problems = list(problems_of(check))
        except Unavailable as error:
            tap.result(name, skip=str(error))
        else:
            tap.result(name, problems)
    return tap.exit_status()


if __name__ == "__main__":
    sys.exit(main())
