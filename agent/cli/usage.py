"""Usage errors of click in the user's language."""

from typing import Any

from agent.cli.help import bounds_of, choices_of
from agent.texts import Text, say


def explain(error: Any) -> Text:
    """Turn one of click's usage errors (a `typer.TyperException`) into a text: what was expected, and what came.

    The classes behind it are told apart by name, because typer carries its own private copy of click."""
    param = getattr(error, "param", None)
    match type(error).__name__:
        case "NoSuchOption":
            near = " / ".join(sorted(error.possibilities or ()))
            if near:
                return say("cli.no-such-option-near", name=error.option_name, near=near)
            return say("cli.no-such-option", name=error.option_name)
        case "MissingParameter" if param is not None:
            return say("cli.missing-parameter", name=shown_name(param), expected=expected(param))
        case "BadParameter" if param is not None:
            got = offending(error)
            if got is not None:
                return say("cli.bad-parameter", name=shown_name(param), expected=expected(param), got=got)
            return say("cli.bad-parameter-plain", name=shown_name(param), expected=expected(param))
        case "BadOptionUsage":
            return say("cli.bad-option-usage", name=error.option_name)
    if error.message == "Missing command.":
        return say("cli.no-command")
    if error.message.startswith("Got unexpected extra argument"):
        return say("cli.extra-arguments", got=error.message.partition("(s) ")[2].strip("()"))
    return say("cli.bad-usage", problem=error.format_message())


def hint(error: Any) -> Text | None:
    """Name the help page that would have helped."""
    ctx = getattr(error, "ctx", None)
    return say("cli.see-help", path=ctx.command_path) if ctx is not None else None


def shown_name(param: Any) -> str:
    """The name of a parameter as its user writes it."""
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name.upper())


def expected(param: Any) -> Text:
    """Say what kind of value a parameter takes."""
    if choices := choices_of(param):
        return say("cli.expect-choice", choices=" | ".join(choices))
    annotation = param.type_descriptor.annotation
    kind = getattr(annotation, "__args__", (annotation,))[0]
    if kind in (int, float):
        whole = "cli.expect-int" if kind is int else "cli.expect-float"
        if bounds := bounds_of(param):
            return say("cli.expect-bounded", kind=say(whole), bounds=bounds)
        return say(whole)
    return say("cli.expect-value")


def offending(error: Any) -> str | None:
    """Return the value that pydantic, which converts parameters, did not take."""
    cause = error.__cause__
    details = cause.errors() if hasattr(cause, "errors") else []
    return str(details[0]["input"]) if details else None
