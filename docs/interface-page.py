#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the manual page of D-Bus interfaces, of prose and of the comments in their XML.

usage: interface-page.py PAGE.rst.in INTERFACE.xml...   (prints the page)

A line "@INTERFACE@" of the source stands for the interface's members. In a comment, "Member: text" or "Member, Member:
text" belongs to the member that follows; "@argument: text" below it to an argument; a comment without a member's name
to those that follow and have none of their own.
"""

import re
import sys
import textwrap
import xml.etree.ElementTree as xml

NAMED = re.compile(r"((?:[A-Z]\w*)(?:, [A-Z]\w*)*):(?=\s|$)")
EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"
KINDS = (("method", "Methods"), ("signal", "Signals"), ("property", "Properties"))


class Member:
    """A method, signal or property, with its text in paragraphs."""

    def __init__(self, element, text):
        self.kind = element.tag
        self.name = element.get("name")
        self.arguments = [tuple(map(each.get, ("name", "type", "direction"))) for each in element.findall("arg")]
        self.type = element.get("type")
        notes = {each.get("name"): each.get("value") for each in element.findall("annotation")}
        self.emits = notes.get(EMITS, "true")
        self.paragraphs, self.about = paragraphs(text)

    def __repr__(self):
        return f"{self.kind} {self.name}"


def paragraphs(text):
    """The paragraphs of a comment, and its lines about arguments: {name: text}."""
    about, prose = {}, []
    for block in re.split(r"\n\s*\n", textwrap.dedent(text).strip()):
        if block.lstrip().startswith("@"):
            for item in re.split(r"(?m)^\s*@", block)[1:]:
                name, _, rest = item.partition(":")
                about[name] = " ".join(rest.split())
        elif block.strip():
            prose.append(" ".join(block.split()))
    return prose, about


def members(path):
    """The name of the interface in a file, what is said of it, and its members."""
    parser = xml.XMLParser(target=xml.TreeBuilder(insert_comments=True))
    root = xml.parse(path, parser).getroot()
    interface = root.find("interface")
    own, group, found = {}, "", []
    for each in interface:
        if each.tag is xml.Comment:
            named = NAMED.match(each.text.strip())
            if named:
                own.update(dict.fromkeys(named[1].split(", "), each.text.strip()[named.end() :]))
            else:
                group = each.text
        else:
            found.append(Member(each, own.get(each.get("name"), group)))
    return interface.get("name"), found


def escape(text):
    """reStructuredText means something by these."""
    return re.sub(r"([*`|\\_])", r"\\\1", text)


def typed(name, kind):
    return f"*{escape(name)}* {escape(kind)}"


def head(member):
    """The line that a member's text hangs on."""
    if member.kind == "property":
        remark = {"const": ", never changes", "false": ", changes are not told"}.get(member.emits, "")
        return f"**{member.name}** ({escape(member.type)}{remark})"
    into = [typed(name, kind) for name, kind, direction in member.arguments if direction != "out"]
    out = [typed(name, kind) for name, kind, direction in member.arguments if direction == "out"]
    return f"**{member.name}**\\ ({', '.join(into)})" + (f" → {', '.join(out)}" if out else "")


def body(member):
    # Arguments first, as in the XML.
    for name, text in member.about.items():
        yield f"*{escape(name)}*: {escape(text)}"
    yield from map(escape, member.paragraphs)


def render(path):
    """The members of an interface as reStructuredText."""
    name, found = members(path)
    lines = [name, "-" * len(name), ""]
    for kind, title in KINDS:
        chosen = [member for member in found if member.kind == kind]
        if chosen:
            lines += [f"{title} of {name}", "~" * len(f"{title} of {name}"), ""]
        for member in chosen:
            lines.append(head(member))
            for paragraph in body(member):
                lines += [f"    {paragraph}", ""]
    return name, "\n".join(lines)


def page(source, paths):
    rendered = dict(render(path) for path in paths)
    with open(source, encoding="utf-8") as file:
        text = file.read()
    for name, content in rendered.items():
        if f"\n@{name}@\n" not in text:
            raise SystemExit(f"{source}: no line @{name}@")
        text = text.replace(f"\n@{name}@\n", f"\n{content}\n")
    return text


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    print(page(sys.argv[1], sys.argv[2:]))
