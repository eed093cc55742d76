"""The command line: one module per group of subcommands, each loaded only when it is called."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 found a problem, 2 wrong usage or configuration."""
    from agent.cli.app import main as run  # typer costs 50 ms, which `import agent.cli` alone need not pay

    return run(argv)
