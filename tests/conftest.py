"""Settings of every test."""

import os
import signal
import sys

from hypothesis import HealthCheck, settings

# Tests share their machine: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_configure() -> None:
    """What tests start inherits our environment: it shall hear Ctrl-C, although a shell's `&` has us ignore SIGINT; and
    it shall not compile this project anew at each start, although some machines forbid to keep that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
