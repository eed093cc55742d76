"""`python -m tests.sims.core --config ...`: the daemon with a stand-in for the eye, and limits that tests can await."""

import sys

from agent.runtime.__main__ import main
from agent.runtime.child import ChildLimits
from agent.runtime.core import Programs

PROGRAMS = Programs(
    eye=(sys.executable, "-m", "tests.sims.eye", "good"),
    eye_limits=ChildLimits(128 << 20, silence_s=3.0, start_s=30.0, look_s=0.1, stop_s=3.0, steady_s=1.0),
    console_limits=ChildLimits(256 << 20, silence_s=8.0, start_s=60.0, look_s=0.1, stop_s=3.0, steady_s=1.0),
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], PROGRAMS))
