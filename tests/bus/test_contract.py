#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The running manager against the XML files, which are the contract, and against clients that others have written."""

import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml

from scene import Skip, create, run

EMITS = "org.freedesktop.DBus.Property.EmitsChangedSignal"


def annotation(element):
    return next((each.get("value") for each in element.findall("annotation") if each.get("name") == EMITS), "true")


def arguments(element, direction):
    return [
        (each.get("name"), each.get("type"), each.get("direction", direction)) for each in element.findall("arg")
    ]


def members(interface):
    """What an interface has: name and what it looks like."""
    found = {}
    for each in interface.findall("method"):
        # What goes in stands before what comes out, in whichever order a file has them.
        args = arguments(each, "in")
        found["method", each.get("name")] = [a for a in args if a[2] == "in"] + [a for a in args if a[2] == "out"]
    for each in interface.findall("signal"):
        found["signal", each.get("name")] = [argument[:2] for argument in arguments(each, "out")]
    for each in interface.findall("property"):
        found["property", each.get("name")] = (each.get("type"), each.get("access"), annotation(each))
    return found


def promised(source, name):
    return members(xml.parse(source / "dbus" / f"{name}.xml").getroot().find("interface"))


def found(client, path, name):
    text = client.call("Introspect", path=path, interface="org.freedesktop.DBus.Introspectable")[0]
    return next(members(each) for each in xml.fromstring(text).findall("interface") if each.get("name") == name)


def compare(ours, theirs):
    """The differences of two sets of members, for people."""
    lines = [f"{key} is in the XML and not there" for key in ours.keys() - theirs.keys()]
    lines += [f"{key} is there and not in the XML" for key in theirs.keys() - ours.keys()]
    lines += [
        f"{key}: {ours[key]} in the XML, {theirs[key]} there"
        for key in ours.keys() & theirs.keys()
        if ours[key] != theirs[key]
    ]
    assert not lines, "\n".join(sorted(lines))


def output(scene, *command):
    if not shutil.which(command[0]):
        raise Skip(f"{command[0]} is not installed")
    result = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": scene.address, "LC_ALL": "C"},
    )
    assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
    return result.stdout


WITH_PYTHON_DBUS = """
import dbus
bus = dbus.SystemBus()
manager = dbus.Interface(bus.get_object("org.ivshmem1", "/org/ivshmem1"), "org.ivshmem1.Manager")
settings = {"Size": dbus.UInt64(1 << 20), "Vectors": dbus.UInt32(3), "User": ["root", "games"]}
path = manager.CreateDomain("python", settings, True)
domain = bus.get_object("org.ivshmem1", path)
manager.StartDomain("python")
properties = dbus.Interface(domain, "org.freedesktop.DBus.Properties")
print(*(properties.Get("org.ivshmem1.Domain", name) for name in ("State", "Size", "Vectors")))
print(manager.OpenDomain("python").take() >= 0)
dbus.Interface(domain, "org.ivshmem1.Domain").Stop()
manager.RemoveDomain("python")
"""


def cases(scene, tap):
    root = scene.start_manager()
    create(root, "ring")
    with tap.case("the manager is as its XML says"):
        compare(promised(scene.source, "org.ivshmem1.Manager"), found(root, "/org/ivshmem1", "org.ivshmem1.Manager"))
    with tap.case("a domain is as its XML says"):
        path = root.domain("ring")["path"]
        compare(promised(scene.source, "org.ivshmem1.Domain"), found(root, path, "org.ivshmem1.Domain"))
    with tap.case("each property has a value of its type"):
        for interface, path in (("org.ivshmem1.Manager", "/org/ivshmem1"), ("org.ivshmem1.Domain", path)):
            values = root.call("GetAll", "s", interface, path=path, interface="org.freedesktop.DBus.Properties")[0]
            assert {name for kind, name in promised(scene.source, interface) if kind == "property"} == values.keys()
    with tap.case("the private socket has the same"):
        private = scene.private_client()
        compare(promised(scene.source, "org.ivshmem1.Manager"), found(private, "/org/ivshmem1", "org.ivshmem1.Manager"))
        assert [domain[0] for domain in private.call("ListDomains")[0]] == ["ring"]
    with tap.case("busctl on the bus"):
        assert "/org/ivshmem1/domain/ring" in output(scene, "busctl", "tree", "org.ivshmem1")
        method = ["org.ivshmem1", "/org/ivshmem1", "org.ivshmem1.Manager", "ListDomains"]
        listing = output(scene, "busctl", "call", *method)
        assert listing.startswith('a(ssutuuo) 1 "ring" "stopped" 0 1048576 0 16'), listing
    with tap.case("busctl on the private socket"):
        address = f"--address=unix:path={scene.private}"
        text = output(scene, "busctl", address, "introspect", "org.ivshmem1", "/org/ivshmem1/domain/ring")
        assert "org.ivshmem1.Domain" in text and '"stopped"' in text
    with tap.case("gdbus"):
        where = ["--system", "--dest", "org.ivshmem1", "--object-path", "/org/ivshmem1"]
        method = ["--method", "org.ivshmem1.Manager.CreateDomain"]
        arguments = ["gdbus", "{'Size': <'2M'>, 'Prefault': <true>}", "true"]
        assert "/org/ivshmem1/domain/gdbus" in output(scene, "gdbus", "call", *where, *method, *arguments)
        assert "'gdbus'" in output(scene, "gdbus", "call", *where, "--method", "org.ivshmem1.Manager.ListDomains")
        assert root.property("gdbus", "Size") == 2 << 20
    with tap.case("python3-dbus"):
        text = output(scene, "/usr/bin/python3", "-c", WITH_PYTHON_DBUS)
        assert text.split() == ["running", str(1 << 20), "3", "True"], text
    with tap.case("it ends when it is told to, and leaves nothing"):
        assert scene.stop_manager() == 0, scene.manager.output()
        assert not scene.private.exists()


if __name__ == "__main__":
    sys.exit(run(cases))
