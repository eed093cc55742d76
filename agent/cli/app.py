"""The entry of the command line: global options, the table of commands, and the last word on every error."""

import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from agent.cli.help import LazyGroup, UsageProblem
from agent.cli.shared import DEFAULT_CONFIG, INTERRUPTED, MISUSE, OK, PROBLEM, Environment
from agent.cli.usage import explain, hint
from agent.texts import Language, Spoken, pick_language, say

PROGRAM: Final = "campus-agent"
COMMANDS: Final[Mapping[str, Sequence[tuple[str, str]]]] = {
    "cli.head-daily": (
        ("status", "agent.cli.status"),
        ("doctor", "agent.cli.doctor"),
        ("events", "agent.cli.events"),
        ("queue", "agent.cli.queue"),
        ("rules", "agent.cli.rules"),
        ("test", "agent.cli.test"),
        ("learn", "agent.cli.learn"),
        ("partition", "agent.cli.partition"),
        ("drill", "agent.cli.drill"),
        ("camera", "agent.cli.camera"),
        ("mqtt", "agent.cli.mqtt"),
        ("serial", "agent.cli.serial"),
        ("support-bundle", "agent.cli.bundle"),
    ),
    "cli.head-setup": (
        ("check-config", "agent.cli.check_config"),
        ("drivers", "agent.cli.drivers"),
        ("discover", "agent.cli.discover"),
        ("install", "agent.cli.install"),
        ("uninstall", "agent.cli.uninstall"),
        ("run", "agent.cli.run"),
        ("demo", "agent.cli.demo"),
        ("version", "agent.cli.version"),
    ),
}
"""Every command by its heading: its name, and the module with its `app`. Its one line in `--help` is the text
`cli.about-<name>`."""
COMPLETION: Final = "_CAMPUS_AGENT_COMPLETE"
"""By this variable shells ask for completions (typer's protocol)."""
GLOBAL_OPTIONS: Final = ("--config", "--lang")


def globals_(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="cli.opt-config")] = DEFAULT_CONFIG,
    lang: Annotated[Literal["zh-CN", "en"] | None, typer.Option("--lang", help="cli.opt-lang")] = None,
) -> None:
    """Declare the global options, for the parser and for `--help`; `main` has read them before."""


def root() -> LazyGroup:
    """Build the root command."""
    from typer.main import get_command, get_group

    shell = typer.Typer(add_completion=False, callback=globals_, rich_markup_mode=None)
    if COMPLETION in os.environ:  # `eval "$(_CAMPUS_AGENT_COMPLETE=source_bash campus-agent)"`
        get_command(typer.Typer(callback=globals_))  # only with its own options does typer set up the shells
    return LazyGroup(
        table=COMMANDS,
        name=PROGRAM,
        help="cli.about",
        params=get_group(shell).params,
        no_args_is_help=True,
        rich_markup_mode=None,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; never raises but for what is a bug."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show Chinese still gets the rest
    args = hoist(list(sys.argv[1:] if argv is None else argv))
    language = language_for(option(args, "--lang"), os.environ)
    env = Environment(Path(option(args, "--config") or DEFAULT_CONFIG), language)
    try:
        code = root().main(args, prog_name=PROGRAM, standalone_mode=False, obj=env)
        sys.stdout.flush()
    except UsageProblem as error:
        env.complain(error.text)
        return MISUSE
    except Spoken as error:
        return speak_last(env, error)
    except typer.TyperException as error:
        return misused(env, error)
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the last flush complains at exit
        return PROBLEM
    except OSError as error:  # a file that the user named; what the agent needs by itself raises Spoken errors
        env.complain(say("cli.os-error", path=error.filename or "-", error=error.strerror or str(error)))
        return PROBLEM
    return code if isinstance(code, int) else OK


def speak_last(env: Environment, error: Spoken) -> int:
    """Print an error that ended a command (of a configuration: every problem, a line each)."""
    problems = getattr(error, "problems", None)  # of a ConfigErrors; importing its class would cost pydantic here
    for problem in problems or ():
        env.complain(problem.text)
    env.complain(error.text)
    return PROBLEM if problems is None else MISUSE


def misused(env: Environment, error: typer.TyperException) -> int:
    """Print a usage error and where its help is. Without any command, the help itself was asked for."""
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return MISUSE
    env.complain(explain(error))
    if (more := hint(error)) is not None:
        env.complain(more)
    return MISUSE


def hoist(args: list[str]) -> list[str]:
    """Move global options to the front: people write `campus-agent status --lang en` as well. What stands behind
    `--` stays."""
    end = args.index("--") if "--" in args else len(args)
    front: list[str] = []
    rest: list[str] = []
    words = iter(args[:end])
    for word in words:
        if word in GLOBAL_OPTIONS:
            front += [word, *([value] if (value := next(words, None)) is not None else [])]
        elif word.startswith(tuple(f"{name}=" for name in GLOBAL_OPTIONS)):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest, *args[end:]]


def option(args: Sequence[str], name: str) -> str | None:
    """Return the value of a hoisted global option."""
    for position, word in enumerate(args):
        if word == name:
            return args[position + 1] if position + 1 < len(args) else None
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def language_for(wish: str | None, environ: Mapping[str, str]) -> Language:
    """`--lang`, else the locale, else Chinese."""
    return pick_language(wish, environ.get("LC_ALL"), environ.get("LC_MESSAGES"), environ.get("LANG"))
