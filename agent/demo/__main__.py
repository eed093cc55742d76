"""`python -m agent.demo`: the same as `campus-agent demo`."""

import sys

from agent.demo.show import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
