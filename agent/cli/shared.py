"""What every command uses. A command module follows this pattern (see `queue.py`, `version.py`):

    app = group("queue")                      # or `commands()` in a module whose only command is the command itself

    @command(app, "show")                     # its help is the text `<room of the module>.help-queue-show`
    def show(ctx: typer.Context, as_json: JsonFlag = False) -> int:
        env = environment(ctx)
        from agent.journal... import ...      # heavy imports inside, never at the top

It returns its exit code, prints through `env`, and lets `Spoken` errors fly: `app.main` prints them in the user's
language. Every `help=` is a key of the catalogue. The command is named in `app.COMMANDS`, and described in
docs/commands.md; tests look for both.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from agent.cli.help import HelpCommand, HelpGroup
from agent.texts import Language, Text, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text as Styled

    from agent.config.models import Config

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

DEFAULT_CONFIG: Final = Path("/etc/campus-agent/agent.toml")
OK: Final = 0
PROBLEM: Final = 1
MISUSE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""
PIPE_COLUMNS: Final = 120
"""Width of tables that go into a file or pipe, where nobody knows the reader's window."""

JsonFlag = Annotated[bool, typer.Option("--json", help="cli.opt-json")]


@dataclass(frozen=True, slots=True)
class Environment:
    """What the global options say, and the ways to speak to the user."""

    config_path: Path
    language: Language

    def config(self) -> "Config":
        """Load the configuration. Raises ConfigErrors."""
        from agent.config.load import load

        return load(self.config_path)

    def render(self, text: Text) -> str:
        """Put a text into the user's language."""
        return text.render(self.language)

    def pick(self, said: object, default: str = "-") -> str:
        """Take the user's language out of a text that the daemon sent as `{"zh-CN": ..., "en": ...}`."""
        return str(said.get(self.language, default)) if isinstance(said, Mapping) else default

    def say(self, key: str, /, **args: object) -> None:
        """Print one sentence of the catalogue."""
        print(self.render(say(key, **args)))

    def complain(self, text: Text) -> None:
        """Print to standard error."""
        print(self.render(text), file=sys.stderr)

    def console(self, *, stderr: bool = False) -> "Console":
        """Return a rich console: colours on a terminal only, and its width also where there is none."""
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        return Console(
            file=stream,
            width=None if stream.isatty() or "COLUMNS" in _environ() else PIPE_COLUMNS,
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=False,
        )

    def table(self, columns: Sequence[str], rows: Iterable[Sequence["str | Styled"]]) -> None:
        """Print rows under headings, which are keys of the catalogue; long cells are folded, not cut."""
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for key in columns:
            table.add_column(self.render(say(key)), overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console().print(table)


def _environ() -> Mapping[str, str]:
    import os

    return os.environ


def environment(ctx: typer.Context) -> Environment:
    """Return what `app.main` handed to every command."""
    found = ctx.find_object(Environment)
    assert found is not None, "commands are run by app.main"
    return found


def commands() -> typer.Typer:
    """Make the app of a module that has a single command."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def group(help_key: str) -> typer.Typer:
    """Make the app of a module with subcommands; `help_key` names its help text."""
    app = typer.Typer(
        cls=HelpGroup,
        help=help_key,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        no_args_is_help=True,
    )
    app.callback(cls=HelpGroup, help=help_key)(_nothing)  # without one, typer merges a lone subcommand into its group
    return app


def _nothing() -> None:
    pass


def command(app: typer.Typer, name: str, help_key: str) -> Callable[[F], F]:
    """Add the decorated function to `app`; `help_key` names its help text."""
    return app.command(name, cls=HelpCommand, help=help_key)


def print_json(value: object) -> None:
    """Print one JSON value, readable for people too."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_json_line(value: object) -> None:
    """Print one JSON value on one line, at once: for streams."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run the asynchronous part of a command."""
    return asyncio.run(work)
