"""Become another program that the kernel ends with us: `python -I -S exec_child.py PARENT SIGNAL PROGRAM [WORD…]`.

It runs by its path and imports nothing of ours, so that it costs milliseconds. The parent-death signal (Linux,
prctl(2)) survives the exec; the kernel sends it when the *thread* that started this process ends.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask for the signal, make sure that the parent was still there, and become the program."""
    parent, number, *words = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        sys.exit(f"the kernel refuses a parent-death signal: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent):  # it died before we asked
        sys.exit(1)
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a parent's mask would be inherited
    os.execvp(words[0], words)  # noqa: S606 - the program is the supervisor's own


if __name__ == "__main__":
    main()
