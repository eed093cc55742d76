"""Settings of every test."""

import signal

from hypothesis import HealthCheck, settings

# Tests share their machine: how long an example takes says nothing about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start: a shell's `&` has us ignore SIGINT, and our children would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
