"""The tables of the reference: `python -m agent.config.reference docs/configuration.md` makes them anew in the page,
which is Chinese."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from agent.config.calendar import WindowSettings
from agent.config.drivers import (
    camera_driver_names,
    driver_names,
    find_camera_driver,
    find_driver,
    find_path_driver,
    path_driver_names,
)
from agent.config.escalation import PathHead, StepSettings
from agent.config.fields import field_text, keys_of, models_in, table_of, tables_in
from agent.config.models import CameraHead, CommandSettings, DeviceHead, PatrolSettings, PointSettings, TlsSettings
from agent.config.rulebook import (
    AbsentSettings,
    ActionSettings,
    ConditionSettings,
    EventsSettings,
    OutputActionSettings,
    RuleSettings,
    SelectorSettings,
    SequenceSettings,
)
from agent.config.schema import default_of, limits_of, raw_property, type_word
from agent.config.sections import ARRAYS, POINT, TABLES
from agent.config.skyeye import ExpectSettings, LineSettings, StopSettings, UploadSettings, ZoneSettings
from agent.kinds import KINDS
from agent.texts import Language, Text, say
from agent.units import shown

LANGUAGE: Final[Language] = "zh-CN"
MANY: Final = 4
"""Choices beyond this are listed elsewhere."""
BEGIN: Final = "<!-- generated: python -m agent.config.reference docs/configuration.md -->\n"
END: Final = "<!-- end -->\n"


def page(text: str) -> str:
    """Return the page `text` with what stands between its two marks made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{''.join(tables())}{kinds()}\n{END}{after}"


def tables() -> Iterator[str]:
    """Yield a section for every table, in the order of the example."""
    for name in ("site", "journal", "uplink"):
        yield section(f"[{name}]", TABLES[name])
    yield section("[uplink.tls]", TlsSettings)
    yield section("[uplink.commands]", CommandSettings)
    yield section("[[bus]]", ARRAYS["bus"])
    yield section("[[device]]", DeviceHead)
    for name in driver_names():
        yield section(f'[[device]] driver = "{name}"', find_driver(name))
        for key, inner in tables_in(find_driver(name)):
            yield section(f'[[device.{key}]] driver = "{name}"', inner)
    yield section(f"[[device.{POINT}]]", PointSettings)
    yield section("[[camera]]", CameraHead)
    for name in camera_driver_names():
        yield section(f'[[camera]] driver = "{name}"', find_camera_driver(name))
    yield section("[camera.expect]", ExpectSettings)
    yield section("[[camera.zone]]", ZoneSettings)
    yield section("[[camera.line]]", LineSettings)
    yield section("[[patrol]]", PatrolSettings)
    yield section("[[patrol.stop]]", StopSettings)
    yield section("[[path]]", PathHead)
    for name in path_driver_names():
        yield section(f'[[path]] driver = "{name}"', find_path_driver(name))
    yield section("[[escalation]]", ARRAYS["escalation"])
    yield section("[[escalation.step]]", StepSettings)
    yield section("[calendar]", TABLES["calendar"])
    yield section("[telemetry]", TABLES["telemetry"])
    yield section("[[rule]]", RuleSettings)
    yield section("[rule.when]", WindowSettings)
    yield section("[rule.if]", ConditionSettings)
    yield section("[rule.if.events]", EventsSettings)
    yield section("[rule.if.absent]", AbsentSettings)
    yield section("[rule.if.sequence]", SequenceSettings)
    yield section("[[rule.if.sequence.steps]]", SelectorSettings)
    yield section("[[rule.do]]", ActionSettings)
    yield section("[rule.do.output]", OutputActionSettings)
    yield section("[[partition]]", ARRAYS["partition"])
    yield section("[partition.armed]", WindowSettings)
    yield section("[selftest]", TABLES["selftest"])
    yield section("[skyeye]", TABLES["skyeye"])
    yield section("[skyeye.upload]", UploadSettings)
    for name in ("console", "control"):
        yield section(f"[{name}]", TABLES[name])


def section(title: str, model: type[BaseModel]) -> str:
    """One table of keys."""
    lines = [f"\n## `{title}`\n", plain(say("config.section", about=say(f"fields.{table_of(model)}"))) + "\n"]
    lines += heading("key", "type", "limits", "default", "about")
    for key, field in keys_of(model).items():
        if models_in(field.annotation):
            continue  # a table of its own
        default = default_of(model, key)
        written = (
            f"**{plain(say('config.required'))}**"
            if field.is_required()
            else ""
            if default is None
            else f"`{shown(default)}`"
        )
        cells = [f"`{key}`", plain(type_word(model, key)), values(model, key), written, plain(field_text(model, key))]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def values(model: type[BaseModel], key: str) -> str:
    """The limits or choices of a key."""
    if key == "kind":
        return plain(say("config.see-kinds"))
    raw = raw_property(model, key)
    choices = [choice for branch in (raw, *raw.get("anyOf", ())) for choice in branch.get("enum", ())]
    if len(choices) > MANY:
        return ", ".join(map(str, choices))
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return ", ".join(f"{signs[name]} {limit}" for name, limit in limits_of(model, key).items())


def plain(text: Text | str | None) -> str:
    """A text in the page's language."""
    return text.render(LANGUAGE) if isinstance(text, Text) else text or ""


def heading(*columns: str) -> list[str]:
    """The head of a table in Markdown."""
    return [
        "| " + " | ".join(plain(say(f"config.col-{column}")) for column in columns) + " |",
        "|" + "---|" * len(columns),
    ]


def kinds() -> str:
    """The kinds of points."""
    lines = [f"\n## {plain(say('config.kinds'))}\n", *heading("kind", "name", "class", "priority", "latch", "disarm")]
    yes = plain(say("config.yes"))
    for kind in KINDS.values():
        marks = [yes if mark else "" for mark in (kind.latch, kind.can_disarm)]
        cells = [
            f"`{kind.name}`",
            plain(kind.text),
            plain(say(f"config.class-{kind.class_}")),
            str(kind.priority),
            *marks,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(path: Path) -> None:
    """Make the page anew."""
    path.write_text(page(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
