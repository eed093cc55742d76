"""`python -m agent.demo.leash PARENT ARGUMENT...`: become `python ARGUMENT...`, which ends when the parent does.

Whoever kills the demo must not leave a daemon behind. Source: PR_SET_PDEATHSIG in prctl(2); it stays over execve.
"""

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""<linux/prctl.h>"""


def main(argv: list[str]) -> None:
    """Tie this process to process `argv[0]`, and become `python argv[1:]`."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(argv[0]):
        return  # it has died already
    os.execv(sys.executable, [sys.executable, *argv[1:]])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
