"""A process without a free file descriptor keeps its buses, and opens their ports when it has some again."""

import subprocess
import sys

import pytest

SCRIPT = """
import asyncio, resource, sys
from agent.bus import Bus
from agent.clock import SystemClock
from agent.config.models import BusSettings

async def main():
    bus = Bus(BusSettings.model_validate({"id": "b", "port": sys.argv[1]}), SystemClock("Asia/Shanghai"))
    bus.seat("x", 1)
    running = asyncio.ensure_future(bus.run())
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    while bus.stats().error is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert not running.done(), running.exception()
    print(bus.stats().error.key)

asyncio.run(main())
"""


@pytest.mark.parametrize("port", ["/dev/null", "socket://127.0.0.1:9", "rfc2217://127.0.0.1:9"])
def test_a_port_that_finds_no_descriptor_is_an_error_of_that_port(port: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, port], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.startswith("bus."), done.stderr
