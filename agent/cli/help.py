"""Help pages in the user's language. Commands carry keys of the catalogue as their help texts, and these classes
render them; click's own English never reaches a reader.

typer brings its click along as a private package, so its contexts and parameters are `Any` here.
"""

import shutil
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperCommand, TyperGroup

from agent.cli.layout import definitions, paragraphs
from agent.texts import DEFAULT_LANGUAGE, Language, Spoken, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_COLUMNS: Final = 100
"""Beyond that, lines of prose are hard to follow on a wide screen."""
SUGGESTIONS: Final = 3


class UsageProblem(Spoken):
    """The command line cannot be understood; exit code 2."""


def language_of(ctx: Any) -> Language:
    """Return the language that `app.main` chose."""
    root = ctx.find_root().obj
    return getattr(root, "language", DEFAULT_LANGUAGE)


class HelpCommand(TyperCommand):
    """A command whose help texts are keys."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        return names_only(super().shell_complete(ctx, incomplete))


class HelpGroup(TyperGroup):
    """A group of commands whose help texts are keys."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx, self.sections(ctx)))

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        return names_only(super().shell_complete(ctx, incomplete))

    def sections(self, ctx: Any) -> "list[tuple[str, list[tuple[str, str]]]]":
        """Name the commands below: (key of a heading, [(command, key of its help)])."""
        return [("cli.head-commands", [(name, str(found.help)) for name, found in self.commands.items()])]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise no_such_command(args[0], self.list_commands(ctx), ctx.command_path)
        return super().resolve_command(ctx, args)


class LazyGroup(HelpGroup):
    """The root: it knows every command's name and place, and imports a module only to run or explain it."""

    def __init__(self, table: "Mapping[str, Sequence[tuple[str, str]]]", **attrs: Any) -> None:
        """`table` has for each heading (a key) the commands under it: (name, module)."""
        super().__init__(**attrs)
        self._table = table
        self._modules = {name: module for rows in table.values() for name, module in rows}

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if (module := self._modules.get(cmd_name)) is None:
            return None
        from typer.main import get_command

        return get_command(import_module(module).app)

    def sections(self, ctx: Any) -> "list[tuple[str, list[tuple[str, str]]]]":
        return [(head, [(name, f"cli.about-{name}") for name, _ in rows]) for head, rows in self._table.items()]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self._modules and not ctx.resilient_parsing:
            raise no_such_command(args[0], self.list_commands(ctx), ctx.command_path)
        return args[0], self.get_command(ctx, args[0]), args[1:]


def names_only(items: Any) -> Any:
    """Take the explanations out of completions: they are keys, and a shell has little room for sentences."""
    for item in items:
        item.help = None
    return items


def no_such_command(name: str, known: "Sequence[str]", path: str) -> UsageProblem:
    """Say that `name` is no command of `path`, and which it may have been meant to be."""
    if near := get_close_matches(name, known, SUGGESTIONS):
        return UsageProblem(say("cli.no-such-command-near", name=name, near=" / ".join(near), path=path))
    return UsageProblem(say("cli.no-such-command", name=name, path=path))


def page(command: Any, ctx: Any, sections: "Sequence[tuple[str, Sequence[tuple[str, str]]]]" = ()) -> str:
    """Write the help page of one command."""
    language = language_of(ctx)
    columns = min(shutil.get_terminal_size().columns, MAX_COLUMNS)

    def speak(key: str, **args: object) -> str:
        return say(key, **args).render(language)

    visible = [param for param in command.get_params(ctx) if not getattr(param, "hidden", False)]
    arguments = [param for param in visible if param.param_type_name == "argument"]
    options = [param for param in visible if param.param_type_name == "option"]
    usage = [ctx.command_path, speak("cli.usage-options"), *map(argument_usage, arguments)]
    if sections:
        usage.append(speak("cli.usage-command"))
    lines = [speak("cli.usage", usage=" ".join(usage))]
    if command.help:
        lines += ["", *paragraphs(speak(command.help), columns, "  ")]
    tables = [
        ("cli.head-arguments", [(argument_name(p), speak(p.help) + remarks(p, language)) for p in arguments]),
        ("cli.head-options", [(option_name(p), speak(help_key(p)) + remarks(p, language)) for p in options]),
        *((head, [(name, speak(key).splitlines()[0]) for name, key in rows]) for head, rows in sections),
    ]
    for head, rows in tables:
        if rows:
            lines += ["", speak(head), *definitions(rows, columns)]
    return "\n".join(lines) + "\n"


def help_key(param: Any) -> str:
    """Return the key of an option's help; click words that of `--help` itself."""
    return "cli.opt-help" if "--help" in param.opts else str(param.help)


def argument_name(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def argument_usage(param: Any) -> str:
    name = argument_name(param) + ("..." if param.nargs != 1 else "")
    return name if param.required else f"[{name}]"


def option_name(param: Any) -> str:
    """`-n, --count N`, `--lane alarm|fault|event`."""
    names = ", ".join(sorted([*param.opts, *param.secondary_opts], key=len))
    return names if param.is_flag else f"{names} {value_name(param)}"


def value_name(param: Any) -> str:
    if param.metavar:
        return str(param.metavar)
    if choices := choices_of(param):
        return "|".join(choices)
    return str(param.name).upper().replace("_", "-")


def choices_of(param: Any) -> list[str]:
    """Return the values that a parameter may have, if it has a closed list of them."""
    return [str(getattr(choice, "value", choice)) for choice in param.type_descriptor.choices or ()]


def remarks(param: Any, language: Language) -> str:
    """What stands behind a parameter's explanation: its default and bounds, if it has any worth showing."""
    found = []
    default = param.default
    if default not in (None, "", (), []) and not callable(default) and not isinstance(default, bool):
        found.append(say("cli.default", value=getattr(default, "value", default)).render(language))
    if bounds := bounds_of(param):
        found.append(bounds)
    if param.multiple:
        found.append(say("cli.repeatable").render(language))
    return say("cli.remarks", remarks="; ".join(found)).render(language) if found else ""


def bounds_of(param: Any) -> str:
    """`1-1000`, `>=1`, `<=9` or nothing."""
    low, high = getattr(param, "min", None), getattr(param, "max", None)
    if low is not None and high is not None:
        return f"{low}-{high}"
    if low is not None:
        return f">={low}"
    return f"<={high}" if high is not None else ""
