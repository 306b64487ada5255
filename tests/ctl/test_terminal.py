#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmemctl on a terminal: colours, pager, prompts, a table that lives; and none of these elsewhere."""

from stage import FAILED, OK, run

ESCAPE = "\x1b["


def body(stage, tap):
    stage.start_manager()
    stage.ctl("create", "ring", "--size=1M", "--vectors=2").good()
    stage.ctl("start", "ring").good()

    with tap.case("colours on a terminal, and only there"):
        terminal = stage.terminal("list", "--no-pager")
        assert terminal.end() == OK and f"{ESCAPE}32mrunning{ESCAPE}0m" in terminal.text, terminal.text
        assert ESCAPE not in stage.ctl("list").good().out

    with tap.case("$NO_COLOR, $SYSTEMD_COLORS and dumb terminals are heeded"):
        for environment, coloured in (
            ({"NO_COLOR": "1"}, False),
            ({"NO_COLOR": ""}, True),
            ({"TERM": "dumb"}, False),
            ({"SYSTEMD_COLORS": "0"}, False),
            ({"SYSTEMD_COLORS": "1", "NO_COLOR": "1"}, True),
        ):
            terminal = stage.terminal("list", "--no-pager", **environment)
            assert terminal.end() == OK and (ESCAPE in terminal.text) == coloured, (environment, terminal.text)
        assert ESCAPE in stage.ctl("list", SYSTEMD_COLORS="1").good().out

    with tap.case("the pager has what is shown, on a terminal only, and its end is waited for"):
        pager = "sed 's/^/paged: /'"
        terminal = stage.terminal("list", SYSTEMD_PAGER=pager)
        assert terminal.end() == OK and "paged: 1 domain listed." in terminal.text, terminal.text
        assert "paged:" not in stage.ctl("list", SYSTEMD_PAGER=pager).good().out
        terminal = stage.terminal("status", "ring", PAGER=pager)
        assert terminal.end() == OK and "paged:        State: " in terminal.text, terminal.text

    with tap.case("no pager with --no-pager, an empty one, or cat; and the right one of two"):
        pager = "sed 's/^/paged: /'"
        for arguments, environment in (
            (["--no-pager"], {"PAGER": pager}),
            ([], {"SYSTEMD_PAGER": "", "PAGER": pager}),
            ([], {"SYSTEMD_PAGER": "cat", "PAGER": pager}),
        ):
            terminal = stage.terminal("list", *arguments, **environment)
            assert terminal.end() == OK and "paged:" not in terminal.text, terminal.text

    with tap.case("under sudo nobody chooses a program for root"):
        terminal = stage.terminal("list", PAGER="sed 's/^/paged: /'", SUDO_UID="1000")
        assert terminal.end() == OK and "paged:" not in terminal.text, terminal.text

    with tap.case("the exit status is the verb's, with a pager too"):
        assert stage.terminal("status", "nobody", PAGER="cat >/dev/null").end() == 4

    with tap.case("open asks for commands, and goes on after one that fails"):
        terminal = stage.terminal("open", "ring").expect("VM ID 0, memory of 1048576 bytes, 2 vectors").expect("> ")
        terminal.send("nonsense\n").expect("There is no command 'nonsense'")
        terminal.send("write 0 abc\nread 0 3\n").expect("|abc|")
        stage.ctl("ring", "ring", 0, 1).good()
        terminal.expect("rung: vector 1, 1 time")
        assert terminal.send("quit\n").end() == OK

    with tap.case("open: what happens while somebody types is told above the line, and the line is there again"):
        terminal = stage.terminal("open", "ring").expect("ends.\n> ")
        stage.ctl("ring", "ring", 0, 1).good()
        terminal.expect("> \r\x1b[Krung: vector 1, 1 time\n> ")
        terminal.send("inf").expect("> inf")
        stage.ctl("ring", "ring", 0, 0).good()
        terminal.expect("> inf\r\x1b[Krung: vector 0, 1 time\n> inf")
        terminal.send("o\n").expect("> info\nVM ID 0, memory of ")
        stage.ctl("evict", "ring", 0).good()
        terminal.expect("> \r\x1b[KThe server closed the connection; ").expect("nobody new will be.\n> ")
        assert terminal.send("quit\n").end() == OK, terminal.text
        stage.ctl("stop", "ring").good()
        stage.ctl("start", "ring").good()

    with tap.case("open ends with Ctrl-D"):
        assert stage.terminal("open", "ring").expect("> ").send("\x04").end() == OK

    with tap.case("top draws until q"):
        terminal = stage.terminal("top", "--delay=1")
        terminal.expect(f"{ESCAPE}H{ESCAPE}2J").expect("1 running").expect("ring ")
        shown = len(terminal.text)
        terminal.text = ""
        terminal.expect("1 running")
        assert terminal.send("q").end() == OK and shown > 0

    with tap.case("a refused edit can be edited again"):
        editor = stage.folder / "editor"
        editor.write_text(
            "#!/bin/sh\nif test -e again; then sed -i s/Size=3M/Size=2M/ $1; else sed -i s/Size=1M/Size=3M/ $1; touch again; fi\n"
        )
        editor.chmod(0o755)
        stage.ctl("stop", "ring").good()
        command = f"cd {stage.folder} && {editor}"
        terminal = stage.terminal("edit", "ring", EDITOR=command).expect("Edit it again? [Y/n] ")
        assert terminal.send("\n").end() == OK, terminal.text
        assert stage.show("ring", "Size") == 2 << 20
        terminal = stage.terminal("edit", "ring", EDITOR="sed -i s/Size=2M/Size=3M/").expect("Edit it again?")
        assert terminal.send("n\n").end() == FAILED and "What you wrote is in " in terminal.text
        assert stage.show("ring", "Size") == 2 << 20


run(body)
