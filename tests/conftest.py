"""Settings of every test.

`make` runs several beside each other, on a machine that may be busy: folders, ports and namespaces are a test's own, it
waits for what it then asserts, and its deadlines are generous. What is costly and made once for a file has the file
marked `xdist_group`, which keeps it in one process.
"""

import signal

from hypothesis import HealthCheck, settings

# Tests share their machine: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start: a shell's `&` has us ignore SIGINT, and our children would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
