"""Which system calls may a decoder make once it is warm? On Linux (x86-64, ARM64) these 30, no others.

A seccomp filter answers everything else with EPERM: no file is opened, removed or renamed, no socket, no process, no
signal to the worker. Memory, the two pipes and the clock are left. Elsewhere the limits of `child` stand alone.

HEIC cannot be decoded without a thread (libheif ends the process where it gets none), so where its decoder is
installed `clone` is let through with exactly the flags of a thread of this process, which has all of its limits.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

_READ_WRITE = {"read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "lseek": (8, 62)}
_MEMORY = {
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
}
_PROCESS = {
    "close": (3, 57),
    "fstat": (5, 80),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getrusage": (98, 165),
    "futex": (202, 98),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "getrandom": (318, 278),
}
_CLOCK = {
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
}
_THREAD = {"set_robust_list": (273, 99), "rseq": (334, 293)}  # what a new thread does first
_CLONE, _CLONE3 = (56, 220), (435, 435)
# VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID, CHILD_CLEARTID: a thread as pthread_create makes it.
_THREAD_FLAGS = 0x3D0F00
_OWN_LIMITS = (302, 261)  # prlimit64, and of this process only: its CPU limit moves on with every picture

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH

_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_ABSENT = 0x00050000 | errno.ENOSYS  # to clone3, whose flags no filter sees: libc then takes clone
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF: load a word, jump if equal, return
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data; arguments are little-endian


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def allow_only_decoding(*, threads: bool = False) -> bool:
    """Install the filter for good; return whether this machine has one. PR_SET_NO_NEW_PRIVS must be set before."""
    if platform.system() != "Linux" or platform.machine() not in _MACHINES:
        return False
    code = _filter(*_MACHINES[platform.machine()], threads)
    program = _Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _filter(column: int, arch: int, threads: bool) -> bytes:
    """Return the BPF program; 32-bit system calls have another `arch`, x32 ones other numbers: both are refused."""
    groups = (_READ_WRITE, _MEMORY, _PROCESS, _CLOCK, *((_THREAD,) if threads else ()))
    allowed = [numbers[column] for group in groups for numbers in group.values()]
    lines = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _REFUSE), (_LOAD, 0, 0, _NUMBER)]
    for number in allowed:
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    if threads:
        lines += [(_EQUAL, 0, 1, _CLONE3[column]), (_RETURN, 0, 0, _ABSENT)]
        lines += _only_with(_CLONE[column], _THREAD_FLAGS)
    lines += [*_only_with(_OWN_LIMITS[column], 0), (_RETURN, 0, 0, _REFUSE)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _only_with(number: int, argument: int) -> list[tuple[int, int, int, int]]:
    """Allow a call with exactly this first argument; another call goes on, with its number loaded as before."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 0, 1, argument),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
