# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the end-to-end tests are made of: servers, QEMUs, guests and peers, each ended with the test that started it."""

from .checks import check_doorbells, check_memory
from .control import Closed, Control, RequestFailed
from .guest import Agent, AgentError, Guest
from .host import huge_pages, huge_pages_to_change, hugetlbfs
from .peer import Peer, Refused
from .process import Timeout, eventfd_id, until
from .qemu import DEVICE_ID, Lines, Qemu, QmpError, doorbell_device, plain_device
from .server import Server, ServerFailed, definition
from .suite import Workshop, guest_image, run
from .tap import Skip, Tap

__all__ = [
    "Agent",
    "AgentError",
    "Closed",
    "Control",
    "DEVICE_ID",
    "Guest",
    "Lines",
    "Peer",
    "Qemu",
    "QmpError",
    "Refused",
    "RequestFailed",
    "Server",
    "ServerFailed",
    "Skip",
    "Tap",
    "Timeout",
    "Workshop",
    "check_doorbells",
    "check_memory",
    "definition",
    "doorbell_device",
    "eventfd_id",
    "guest_image",
    "huge_pages",
    "huge_pages_to_change",
    "hugetlbfs",
    "plain_device",
    "run",
    "until",
]
