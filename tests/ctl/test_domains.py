#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ivshmemctl and domains: making, changing, starting, looking at and removing them, on a real manager with real servers."""

import json
import pathlib

from stage import FAILED, NO_SUCH_DOMAIN, NOT_RUNNING, OK, USAGE, run, until

# Each option of create, and what it must become in the definition.
OPTIONS = """
--size=4M --vectors=4 --max-peers=8 --topology=star --description=a_ring --log-level=debug --prefault
--path={folder}/memory --path-user=root --path-group=root --path-mode=0640 --path-label=a_u:b_r:c_t:s0
--keep=always --wipe-when-idle=yes --peers-per-user=3 --connect-rate=50 --user=root --user=nobody --group=daemon --machine=qemu-*-a --unit=vm@*.service
--label=system_u:*:c1,c2 --peer=router:VMID=0,Master=yes,Machine=qemu-*-router --peer=fw:VMID=2,Label=*:c1,c2,User=root
"""
DEFINITION = """\
[Domain]
Description=a_ring
LogLevel=debug
Size=4M
Prefault=yes
Path={folder}/memory
PathUser=root
PathGroup=root
PathMode=0640
PathLabel=a_u:b_r:c_t:s0
Keep=always
WipeWhenIdle=yes
Vectors=4
MaxPeers=8
Topology=star

[Access]
User=root nobody
Group=daemon
Machine=qemu-*-a
Unit=vm@*.service
Label=system_u:*:c1,c2
PeersPerUser=3
ConnectRate=50

[Peer router]
VMID=0
Master=yes
Machine=qemu-*-router

[Peer fw]
VMID=2
User=root
Label=*:c1,c2
"""


def without_owner(text):
    """Who runs the test owns what it makes; root is not written down."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Owner="))


def life(stage, tap):
    with tap.case("without a domain there is nothing to list"):
        assert stage.ctl("list").good().out == "0 domains listed.\n"
        assert stage.ctl("list", "--no-legend").good().out == ""
        assert stage.json("list") == []

    with tap.case("create makes a domain, which is stopped"):
        assert stage.ctl("create", "ring", "--size=1M", "--vectors=2").good().out == ""
        (row,) = stage.json("list")
        assert (row["name"], row["state"], row["size"], row["peers"], row["max_peers"]) == ("ring", "stopped", 1 << 20, 0, 16)

    with tap.case("start, status, stop, each with the exit status that scripts need"):
        assert stage.ctl("status", "ring").status == NOT_RUNNING
        stage.ctl("start", "ring").good()
        status = stage.ctl("status", "ring").good()
        assert "State: running since " in status.out and "1M in 4K pages" in status.out, status
        stage.ctl("start", "ring").good()  # as systemctl start of what runs
        stage.ctl("stop", "ring").good()
        assert "State: stopped" in stage.ctl("status", "ring").out

    with tap.case("without systemd, restart says why it will not"):
        stage.ctl("start", "ring").good()
        stage.ctl("restart", "ring").bad(FAILED, "Failed to restart domain ring: ", "disconnect all peers")

    with tap.case("a running domain is not removed, but with --now"):
        stage.ctl("remove", "ring").bad(FAILED, "Failed to remove domain ring: it is running; stop it first\n")
        stage.ctl("remove", "--now", "ring").good()
        assert stage.json("list") == []

    with tap.case("what does not exist is status 4, for each verb with a name"):
        for verb in ("status", "show", "start", "stop", "restart", "peers", "qemu-args", "libvirt-xml", "open", "edit"):
            result = stage.ctl(verb, "nobody").bad(NO_SUCH_DOMAIN)
            assert result.err == "Failed to look up domain nobody: there is no domain of this name\n", result
        stage.ctl("remove", "nobody").bad(NO_SUCH_DOMAIN, "Failed to remove domain nobody: there is no domain of this name")
        stage.ctl("status", "").bad(NO_SUCH_DOMAIN, 'There is no domain ""')
        stage.ctl("evict", "nobody", 1).bad(NO_SUCH_DOMAIN)
        stage.ctl("ring", "nobody", 1).bad(NO_SUCH_DOMAIN)
        stage.ctl("reserve", "nobody", "a", 1, "--user=root").bad(NO_SUCH_DOMAIN)
        stage.ctl("release", "nobody", "a").bad(NO_SUCH_DOMAIN)

    with tap.case("of several domains, those that can be started are, and the failure is the status"):
        stage.ctl("create", "a", "--size=1M").good()
        stage.ctl("create", "b", "--size=1M", f"--path={stage.folder}/no/such/folder").good()
        stage.ctl("create", "c", "--size=1M").good()
        result = stage.ctl("start", "a", "b", "nobody", "c")
        assert result.status == NO_SUCH_DOMAIN, result
        assert f"Failed to start domain b: cannot open the directory {stage.folder}/no/such: No such file" in result.err, result
        assert {row["name"]: row["state"] for row in stage.json("list")} == {"a": "running", "b": "failed", "c": "running"}
        assert stage.ctl("start", "b").status == FAILED

    with tap.case("list takes patterns and states"):
        assert [row["name"] for row in stage.json("list", "[ab]")] == ["a", "b"]
        assert [row["name"] for row in stage.json("list", "--state=running")] == ["a", "c"]
        assert stage.json("list", "x*") == []
        stage.ctl("list", "--state=sleeping").bad(USAGE, "there is no state 'sleeping'")
        lines = stage.ctl("list", "a").good().lines()
        assert lines[0].split() == ["NAME", "STATE", "SIZE", "PEERS", "MAX", "OWNER"], lines
        assert lines[1].split()[:5] == ["a", "running", "1M", "0", "16"] and lines[-1] == "1 domain listed.", lines

    with tap.case("status of several, and of the manager"):
        assert stage.ctl("status", "a", "b").status == NOT_RUNNING
        assert [row["Name"] for row in json.loads(stage.ctl("status", "a", "c", "--json=short").good().out)] == ["a", "c"]
        manager = stage.ctl("status").good().out
        assert "Domains: 3, 2 running, 1 failed" in manager and "Launcher: embedded" in manager, manager
    stage.ctl("stop", "a", "c").good()
    stage.ctl("remove", "a", "b", "c").good()


def definitions(stage, tap, directory):
    with tap.case("each option of create reaches the definition"):
        stage.ctl("create", "full", *OPTIONS.format(folder=stage.folder).split()).good()
        shown = stage.ctl("show", "--definition", "full").good().out
        assert without_owner(shown) == DEFINITION.format(folder=stage.folder), shown

    with tap.case("definitions as JSON are strings"):
        text = stage.ctl("show", "--definition", "full").good().out
        assert stage.json("show", "--definition", "full") == [text]

    with tap.case("what show --definition prints, create --from takes"):
        text = DEFINITION.format(folder=stage.folder).replace("/memory", "/other")
        stage.ctl("create", "copy", "--from=-", stdin=text).good()
        assert without_owner(stage.ctl("show", "--definition", "copy").good().out) == text
        path = stage.folder / "text.domain"
        path.write_text("# two lines\n[Domain]\nSize=1M\n[Access]\nUser=root\n\tnobody\n")
        stage.ctl("create", "third", f"--from={path}", "--size=2M", "--set=Vectors=3").good()
        assert stage.show("third", "Size", "Vectors") == (2 << 20, 3)
        assert stage.show("third", "Access") == [{"kind": "User", "entry": who} for who in ("root", "nobody")]

    with tap.case("a text that is no definition is refused with its line"):
        for text, words in (
            ("[Domain]\nnonsense\n", "standard input:2: 'nonsense' is neither KEY=VALUE nor [SECTION]"),
            ("Size=1M\n", "standard input:1: 'Size=1M' stands before the first section"),
            ("[Domian]\n", "standard input:1: '[Domian]' is no section; there are"),
            ("[Domain\n", "standard input:1: '[Domain' does not end with ']'"),
            ("[Domain]\nSize=1M\nSize=2M\n", "standard input:3: Size= was given on line 2 already"),
            ("[Domain]\nSize=1M\n[Peer x]\n", "standard input:3: [Peer x] has no VMID=; add it, as in VMID=0"),
            (
                "[Peer x]\nVMID=1\nUser=root\n[Domain]\nSize=1M\n[Peer x]\nVMID=2\nUser=root\n",
                "standard input:6: [Peer x] began on line 1 already; join the two",
            ),
            ("\0", "it is not text"),
        ):
            stage.ctl("create", "bad", "--from=-", stdin=text).bad(FAILED, words)
        stage.ctl("create", "bad", "--from=/no/such/file").bad(FAILED, "Failed to read /no/such/file: No such file")

    with tap.case("what the manager does not take is said in its words"):
        stage.ctl("create", "bad", "--size=3M").bad(FAILED, "Failed to create domain bad: ", "power of two")
        stage.ctl("create", "Bad", "--size=1M").bad(FAILED, "not a domain's name")
        stage.ctl("create", "third", "--size=1M").bad(FAILED, "already")
        stage.ctl("create", "bad", "--size=1M", "--set=Sise=2M").bad(FAILED, "Sise")
        stage.ctl("create", "bad").bad(USAGE, "give --size=64M")
        assert "bad" not in [row["name"] for row in stage.json("list")]

    with tap.case("show has all properties, with the types of programs"):
        (domain,) = stage.json("show", "full")
        assert (domain["Size"], domain["Vectors"], domain["Prefault"], domain["HugePages"]) == (4 << 20, 4, True, "no")
        assert domain["Peers"][1] == {
            "name": "fw",
            "vm_id": 2,
            "master": False,
            "rules": [{"kind": "User", "entry": "root"}, {"kind": "Label", "entry": "*:c1,c2"}],
        }, domain["Peers"]
        text = dict(line.split("=", 1) for line in stage.ctl("show", "full").good().lines())
        assert set(text) == set(domain)
        assert (text["Prefault"], text["PathMode"], text["Size"]) == ("yes", "0640", str(4 << 20)), text
        assert (domain["PathMode"], domain["PathLabel"]) == (0o640, "a_u:b_r:c_t:s0"), domain
        assert text["PathLabel"] == domain["PathLabel"], text
        assert text["Access"].startswith("{ kind=User ; entry=root } { kind=User ; entry=nobody }"), text["Access"]

    with tap.case("show takes properties out"):
        assert stage.ctl("show", "full", "-p", "Vectors,Name").good().lines() == ["Name=full", "Vectors=4"]
        assert stage.ctl("show", "full", "--value", "--property=Vectors").good().out == "4\n"
        assert stage.json("show", "full", "-p", "Vectors") == [{"Vectors": 4}]
        stage.ctl("show", "full", "-p", "Vektors").bad(FAILED, "There is no property 'Vektors'")
        assert stage.ctl("show", "-p", "Launcher").good().out == "Launcher=embedded\n"

    with tap.case("a file that is put there by hand is a domain after reload"):
        (directory / "byhand.domain").write_text("[Domain]\nSize=1M\n")
        stage.ctl("reload").good()
        assert stage.show("byhand", "Size") == 1 << 20
        (directory / "wrong.domain").write_text("[Domain]\nSize=1M\nFoo=1\n")
        stage.ctl("reload").good()
        status = stage.ctl("status", "wrong")
        assert status.status == NOT_RUNNING and "wrong.domain:3: " in status.out and "invalid" in status.out, status
        assert "Memory" not in status.out and "Vectors" not in status.out and "Peers" not in status.out, status


def editing(stage, tap):
    def definition():
        return without_owner(stage.ctl("show", "--definition", "edited").good().out)

    stage.ctl("create", "edited", "--size=1M", "--vectors=2", "--description=before").good()

    with tap.case("edit with options changes these settings, and an empty value is the default"):
        stage.ctl("edit", "edited", "--max-peers=4", "--user=root", "--description=").good()
        assert definition() == "[Domain]\nSize=1M\nVectors=2\nMaxPeers=4\n\n[Access]\nUser=root\n", definition()

    with tap.case("edit from a text makes the definition this one, [Peer] sections too"):
        stage.ctl("edit", "edited", "--from=-", stdin=definition() + "[Peer a]\nVMID=1\nUser=root\n").good()
        assert stage.show("edited", "Peers")[0]["vm_id"] == 1
        stage.ctl("edit", "edited", "--from=-", stdin="[Domain]\nSize=2M\n[Peer b]\nVMID=1\nUser=nobody\n").good()
        assert definition() == "[Domain]\nSize=2M\n\n[Peer b]\nVMID=1\nUser=nobody\n", definition()

    with tap.case("what is refused of a text drops no [Peer] section"):
        before = definition()
        stage.ctl("edit", "edited", "--from=-", stdin="[Domain]\nSize=3M\n").bad(FAILED, "power of two")
        assert definition() == before, definition()

    with tap.case("a [Peer] section that says nothing is refused, and not left out"):
        (stage.folder / "empty.domain").write_text(f"{before}\n[Peer x]\n")
        line = before.count("\n") + 2
        for command in (["edit", "edited"], ["create", "bad"]):
            result = stage.ctl(*command, f"--from={stage.folder}/empty.domain")
            result.bad(FAILED, f"{stage.folder}/empty.domain:{line}: [Peer x] has no VMID=; add it, as in VMID=0")
        result = stage.ctl("edit", "edited", EDITOR="echo [Peer x] >>")
        result.bad(FAILED, ".domain:", ": [Peer x] has no VMID=", "What you wrote is in ")
        for left in stage.folder.glob("ivshmemctl-edited-*.domain"):
            left.unlink()
        assert definition() == before, definition()

    with tap.case("edit runs the editor on the definition"):
        stage.ctl("edit", "edited", EDITOR="sed -i -e s/Size=2M/Size=4M/ -e '/Peer/,$d'").good()
        assert definition() == "[Domain]\nSize=4M\n", definition()
        assert "Nothing has changed." in stage.ctl("edit", "edited", EDITOR="true").err

    with tap.case("when the editor fails nothing is changed, and no file is left"):
        result = stage.ctl("edit", "edited", SYSTEMD_EDITOR="false", EDITOR="true")
        result.bad(FAILED, "The editor ended with status 1; nothing was changed")
        assert not list(stage.folder.glob("ivshmemctl-*")), list(stage.folder.iterdir())

    with tap.case("an editor does not outlive the command"):
        number = stage.folder / "number"
        command = stage.start("edit", "edited", EDITOR=f"echo $$ >{number}.new; mv {number}.new {number}; exec sleep 1000 #")
        until(number.exists, "the editor runs")
        command.kill()
        command.wait()
        until(lambda: not pathlib.Path(f"/proc/{number.read_text().strip()}").exists(), "the editor is gone")
        for left in stage.folder.glob("ivshmemctl-*"):
            left.unlink()

    with tap.case("what was written and refused is kept"):
        result = stage.ctl("edit", "edited", EDITOR="sed -i s/Size=4M/Size=5M/")
        result.bad(FAILED, "power of two", "What you wrote is in ")
        (kept,) = stage.folder.glob("ivshmemctl-edited-*.domain")
        assert "Size=5M" in kept.read_text() and str(kept) in result.err
        kept.unlink()
        assert definition() == "[Domain]\nSize=4M\n", definition()

    with tap.case("what a running domain cannot change is refused, the rest is taken over"):
        stage.ctl("start", "edited").good()
        stage.ctl("edit", "edited", "--size=8M", "--description=no").bad(FAILED, "Size", "stop it first")
        stage.ctl("edit", "edited", "--description=yes").good()
        assert stage.show("edited", "Description", "Size") == ("yes", 4 << 20)
        stage.ctl("stop", "edited").good()

    with tap.case("--from and options together are a misunderstanding"):
        stage.ctl("edit", "edited", "--from=-", "--size=1M").bad(USAGE, "--from has the whole definition")


def misuse(stage, tap):
    with tap.case("wrong command lines are status 64, and say what is right"):
        for arguments, words in (
            (["strat", "ring"], "unknown verb 'strat'; did you mean 'start'?"),
            (["frobnicate"], "unknown verb 'frobnicate'; see 'ivshmemctl --help'"),
            (["start"], "too few arguments: ivshmemctl start NAME..."),
            (["create", "a", "b"], "too many arguments: ivshmemctl create NAME"),
            (["reload", "ring"], "too many arguments: ivshmemctl reload; see 'ivshmemctl reload --help'"),
            (["show", "--definition"], "--definition is that of a domain; give its NAME"),
            (["top", "--delay=0.5"], "it takes a whole number of seconds, 86400 at most"),
            (["--jason=short"], "unknown option --jason=short; did you mean --json?"),
            (["evict", "ring", "x"], "'x' is no VM ID"),
            (["help", "strat"], "unknown verb 'strat', did you mean 'start'"),
        ):
            stage.ctl(*arguments).bad(USAGE, words)

    with tap.case("help of all, and of each verb"):
        overview = stage.ctl("--help").good().out
        verbs = [line.split()[0] for line in overview.splitlines() if line[:2] == "  " and line[2:3].isalpha()]
        assert len(verbs) == 26 and "qemu-args" in verbs, verbs
        for verb in verbs:
            shown = stage.ctl(verb, "--help").good().out
            assert shown.startswith(f"ivshmemctl [OPTIONS...] {verb}"), shown
            assert stage.ctl("help", verb).good().out == shown
        assert stage.ctl("help").good().out == overview
        assert stage.ctl("--version").good().out.startswith("ivshmemctl ")

    with tap.case("JSON is pretty, or one line"):
        assert stage.ctl("list", "--json=short").good().out.count("\n") == 1
        assert stage.ctl("list", "--json=pretty").good().out.count("\n") > 10
        assert stage.ctl("list", "--json=off").good().lines()[0].startswith("NAME")

    with tap.case("a definition is checked without a manager"):
        good, bad = stage.folder / "good.domain", stage.folder / "bad.domain"
        good.write_text("[Domain]\nSize=1M\n")
        bad.write_text("[Domain]\nSize=3M\n")
        server = {"IVSHMEM_SERVER": str(stage.server), "IVSHMEM_DIRECTORY": "/nowhere"}
        assert stage.ctl("check", good, **server).err == f"{good}: good\n"
        assert stage.ctl("check", "-q", good, **server).good().out == ""
        stage.ctl("check", good, bad, **server).bad(FAILED, f"{bad}:2: ", "power of two")
        rows = json.loads(stage.ctl("check", good, bad, "--json=short", **server).out)
        assert [row["result"] for row in rows] == ["good", "bad"] and rows[0]["error"] is None, rows
        stage.ctl("check", good, IVSHMEM_SERVER="/no/such/program").bad(FAILED, "Failed to run /no/such/program: No such")


def body(stage, tap):
    directory = stage.start_manager()
    life(stage, tap)
    definitions(stage, tap, directory)
    editing(stage, tap)
    misuse(stage, tap)
    assert stage.ctl("list").status == OK


run(body)
