# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes another process call the kernel, as somebody would who has taken it over."""

import platform

# socket(AF_INET, SOCK_STREAM, 0): what no domain server ever needs.
FORBIDDEN = (41, 2, 1, 0) if platform.machine() == "x86_64" else None

# Runs inside the machine as root: `python3 - PID NUMBER ARGUMENT..`. The process waits in a system call; it is put back
# onto the instruction that made it, with other registers.
inject = """
import ctypes, os, sys

ATTACH, DETACH, GETREGS, SETREGS = 16, 17, 12, 13
names = "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs"

class Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in names.split()]

libc = ctypes.CDLL(None, use_errno=True)
pid, number, *arguments = map(int, sys.argv[1:])

def ptrace(request, data=None):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")

ptrace(ATTACH)
os.waitpid(pid, 0)
registers = Registers()
ptrace(GETREGS, ctypes.byref(registers))
registers.rip -= 2
registers.rax = number
registers.orig_rax = ctypes.c_ulonglong(-1).value
registers.rdi, registers.rsi, registers.rdx = arguments
ptrace(SETREGS, ctypes.byref(registers))
ptrace(DETACH)
"""
