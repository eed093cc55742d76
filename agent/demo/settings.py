"""The demo's school: its buttons, and the configuration that the daemon gets. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.demo import devices, eyes
from agent.model import Moment, Site
from agent.texts import Language, Text, say

SITE: Final = Site("370812", "sy-primary")
UNIT: Final = 1
"""Modbus address of every module: each has a line of its own."""
INPUT: Final = 0
OUTPUTS: Final = 8
BAUDRATE: Final = 9600
"""The simulated lines take as long as real ones of this rate."""
LAMP: Final = 0
SIREN: Final = 1
ACK_TIMEOUT_S: Final = 4
"""Shorter than in production (15 s), so that the siren does not keep anybody waiting."""
RECEIPT_TIMEOUT_S: Final = 2
PASSWORD_FILE: Final = "cameras.password"  # noqa: S105 - a name, in the demo's folder
OFFLINE_AFTER_S: Final = 2


@dataclass(frozen=True, slots=True)
class Button:
    """One button with its module. `lamp` and `siren` are outputs of the module, or None."""

    key: str
    device: str
    point: str
    kind: str
    lamp: int | None
    siren: int | None

    @property
    def name(self) -> Text:
        """The button's name for people."""
        return say(f"demo.point-{self.device}")


BUTTONS: Final = (
    Button("1", "guardroom", "panic", "panic", LAMP, SIREN),
    Button("2", "office", "panic", "panic", LAMP, None),
    Button("3", "reception", "duress", "duress", None, None),
)
"""By the key that presses them. The last one is a duress button: it must light nothing."""


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of 127.0.0.1: the broker's, the console's, each camera's for ONVIF, those for alarm reports."""

    broker: int
    console: int
    cameras: Mapping[str, int]
    listeners: devices.Listeners


def toml(folder: Path, ports: Ports, ttys: tuple[str, ...], now: Moment, language: Language) -> str:
    """Write the daemon's configuration, with comments in the reader's language."""

    def note(key: str, **args: object) -> str:
        return "\n".join(f"# {line}" for line in say(f"demo.toml-{key}", **args).render(language).splitlines())

    head = f"""{note("head")}
[site]
district = "{SITE.district}"
school = "{SITE.school}"
name = "{say("demo.school").render(language)}"
language = "{language}"

[journal]
path = "{folder}/journal.db"
max_size = "64MiB"

[control]
socket = "{folder}/control.sock"

{note("uplink")}
[uplink]
brokers = ["mqtt://127.0.0.1:{ports.broker}"]
{note("ack-timeout")}
ack_timeout = "{ACK_TIMEOUT_S}s"
{note("receipt-timeout")}
receipt_timeout = "{RECEIPT_TIMEOUT_S}s"
"""
    modules = "".join(_module(button, tty, language) for button, tty in zip(BUTTONS, ttys, strict=True))
    cameras = eyes.toml(ports.cameras, ports.console, folder / PASSWORD_FILE, language)
    return head + modules + devices.toml(folder, ports.listeners, now, language) + cameras


def _module(button: Button, tty: str, language: Language) -> str:
    name = button.name.render(language)
    outputs = "".join(
        f"  {key} = {output}\n"
        for key, output in (("lamp", button.lamp), ("siren", button.siren))
        if output is not None
    )
    looking = ", ".join(f'"{eye.id}"' for eye in eyes.EYES if eye.button == button.device)
    cameras = f"  cameras = [{looking}]\n" if looking else ""
    silent = "" if outputs else f"  # {say('demo.toml-duress').render(language)}\n"
    return f"""
[[bus]]
id = "line-{button.device}"
port = "{tty}"
baudrate = {BAUDRATE}
poll_interval = "50ms"

[[device]]
id = "{button.device}"
name = "{say("demo.module", name=name).render(language)}"
driver = "modbus-io"
bus = "line-{button.device}"
unit = {UNIT}
inputs = 8
outputs = {OUTPUTS}
offline_after = "{OFFLINE_AFTER_S}s"
  [[device.point]]
  id = "{button.point}"
  name = "{name}"
  kind = "{button.kind}"
  input = {INPUT}
{outputs}{cameras}{silent}"""
