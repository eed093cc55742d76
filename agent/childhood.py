"""What a process that the core has started does before anything else: it ends with the core, and gives way to it.

Loads nothing heavy, so that even a child whose libraries hang while they are loaded is under its limits. Source:
PR_SET_PDEATHSIG in prctl(2), oom_score_adj in proc(5), RLIMIT_DATA in setrlimit(2), SCHED_IDLE in sched(7).
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Final

CORE: Final = "CAMPUS_AGENT_CORE"
"""The variable of the environment that holds `<pid of the core>:<most bytes of private memory>`."""
PR_SET_PDEATHSIG: Final = 1
"""<linux/prctl.h>"""
NICENESS: Final = 10
"""About a tenth of the processor's time beside others that want it, where the next is refused."""
OOM_SCORE: Final = "500"
"""The first that the kernel ends when memory runs out: our unit gives the core -800."""
OOM_FILE: Final = Path("/proc/self/oom_score_adj")
DATA_FACTOR: Final = 4
"""Private memory that may be asked for, of which most is never touched (stacks, arenas): times what may be resident. It
stops a leak that is quicker than the core's looks."""


def environment(core_pid: int, memory_bytes: int) -> Mapping[str, str]:
    """What the core adds to its child's environment."""
    return {CORE: f"{core_pid}:{memory_bytes * DATA_FACTOR}"}


def begin(environ: MutableMapping[str, str] = os.environ) -> None:
    """To be called first. Ends the process at once if its core is gone already. Without a core (somebody started the
    process by hand) it only gives way."""
    told = environ.pop(CORE, None)
    if told is not None:
        core, _, data_bytes = told.partition(":")
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a hung process would not hear a gentler one
        if os.getppid() != int(core):
            sys.exit(1)
        limit_data(int(data_bytes))
    with suppress(OSError):
        OOM_FILE.write_text(OOM_SCORE)
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    with suppress(OSError):  # whoever wakes and is not idle runs at once: an alarm waits for no decoded picture
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def limit_data(bytes_: int) -> None:
    """Limit private memory; never above what the process was given."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = bytes_ if hard == resource.RLIM_INFINITY else min(bytes_, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
