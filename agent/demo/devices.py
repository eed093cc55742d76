"""The demo's devices beside the buttons, by place: where they are on their lines, and what the daemon's configuration
says of them, of the rules, the partition, the drill and the second paths. Pure.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from agent.model import Moment
from agent.texts import Language, Text, say

Where = tuple[str, str]
"""A device and one of its points."""

BAUDRATE: Final = 38_400
IO_UNIT: Final = 1
GAS_UNIT: Final = 5
SMOKE_UNIT: Final = 6
FENCE_UNIT: Final = 10
SIREN: Final = 0
VALVE: Final = 1
"""Outputs of the canteen's module."""
VALVE_INPUT: Final = 0
"""The valve's own contact, closed while it is shut."""
GAS_REGISTER: Final = 0
FAN_REGISTER: Final = 8
TEMPERATURE_REGISTER: Final = 0
SMOKE_REGISTER: Final = 16
FENCE_REGISTER: Final = 0
VOLTAGE_REGISTER: Final = 1
GAS_SCALE: Final = 0.1
FAN_SCALE: Final = 0.01
TENTH: Final = 0.1
FENCE_CUT: Final = 2
"""The fence's code for a wire that was cut."""

GAS_LIMIT: Final = 10.0
"""%LEL, from which on a fan that stands is an alarm."""
GAS_HIGH: Final = 25.0
"""%LEL, at which the detector alarms by itself."""
FAN_STOPPED_BELOW: Final = 0.3
FAN_STOPPED_S: Final = 2
"""Shorter than in production (30 s), as everything here that people would wait for."""
HEAT_LIMIT: Final = 45.0
VOLTAGE_LOW: Final = 4.0

READER_ADDRESS: Final = 1
CARD_DATA: Final = bytes.fromhex("55AA0140")
CARD_BITS: Final = 26
CARD_NUMBER: Final = "11228162"
"""The same card as people write it."""
ACCOUNT: Final = "1234"
"""Of the dormitory's alarm host."""
DOOR_ZONE: Final = "003"
SUPERVISION_S: Final = 20
CENTRE_ACCOUNT: Final = "370812"
POLL_S: Final = 5
"""The centre is polled so often."""
REPORT_WAIT_S: Final = 5
SIREN_AFTER_S: Final = 4
CENTRE_AFTER_S: Final = 10
PHONE_AFTER_S: Final = 13
"""When nobody acknowledges: 15, 15 and 60 s or so in production."""
SIREN_S: Final = 60
VALVE_S: Final = 600
PHONE: Final = "13800138000"

READER_KEY: Final = "reader.key"
HOST_KEY: Final = "host.key"
CENTRE_KEY: Final = "centre.key"
PHONES: Final = "phones"
CARDS: Final = "cards.csv"

GAS: Final[Where] = ("kitchen", "gas")
VALVE_SHUT: Final[Where] = ("kitchen-io", "valve")
FAN: Final[Where] = ("kitchen", "fan")
GAS_RULE: Final[Where] = ("rules", "gas-and-fan")
STORE_RULE: Final[Where] = ("rules", "store-outside-hours")
FORCED: Final[Where] = ("store-door", "forced")
SMOKE: Final[Where] = ("store", "smoke")
HEAT: Final[Where] = ("store", "temperature")
DORMITORY: Final[Where] = ("dormitory", "door")
FENCE: Final[Where] = ("fence", "east")
VOLTAGE: Final[Where] = ("fence", "voltage")
CROSSING: Final[Where] = ("yard", "crossing")
PARTITION: Final = "perimeter"
CENTRE: Final = "centre"
DUTY: Final = "duty"
LINE: Final = "fence"
"""The line that the yard's camera watches."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """TCP ports of 127.0.0.1: where the alarm host reports to, and where the alarm centre listens."""

    host: int
    centre: int


def name_of(where: Where) -> Text:
    """A point's name for people."""
    return say(f"demoplace.{'-'.join(where)}")


def keys() -> dict[str, str]:
    """The secrets of the devices, by the file that holds each."""
    return {
        READER_KEY: "30" * 16,
        HOST_KEY: "0123456789ABCDEF" * 2,
        CENTRE_KEY: "FEDCBA9876543210" * 2,
        PHONES: f"{PHONE}\n",
    }


def card_list(language: Language) -> str:
    """Who may enter the chemical store."""
    return f"{CARD_NUMBER},{say('demoplace.teacher').render(language)},store\n"


def lessons(now: datetime) -> str:
    """Class hours that are not now, so that the rule for outside of them can be seen at any time of the day."""
    return "14:00-17:00" if now.hour < 12 else "08:00-11:00"


def toml(folder: Path, listeners: Listeners, now: Moment, language: Language) -> str:
    """The part of the configuration about all this, with comments in the reader's language."""

    def note(key: str) -> str:
        return f"# {say(f'demoplace.toml-{key}').render(language)}"

    return "".join(
        part(folder, language)
        for part in (_canteen, _store, _store_door, lambda *_: _dormitory(folder, listeners, language), _fence)
    ) + (
        f"""
{note("telemetry")}
[telemetry]
every = "1s"
batch = "2s"

{note("calendar")}
[calendar]
lessons = ["{lessons(now.wall)}"]
"""
        + _rules(language, synced=now.clock == "synced")
        + _outside(folder, listeners, language)
    )


def yard_point(language: Language) -> str:
    """What the yard's camera sees, as a point of its own: a part of its [[camera]]."""
    return f"""  [[camera.point]]
  id = "{CROSSING[1]}"
  name = "{name_of(CROSSING).render(language)}"
  kind = "perimeter"
  input = "line-crossed/{LINE}"
  cameras = ["yard"]
"""


def _named(key: str, language: Language) -> str:
    return say(f"demoplace.{key}").render(language)


def _point(where: Where, kind: str, input_: str | int, language: Language, *more: str) -> str:
    lines = [
        "  [[device.point]]",
        f'  id = "{where[1]}"',
        f'  name = "{name_of(where).render(language)}"',
        f'  kind = "{kind}"',
        f"  input = {json.dumps(input_)}",
        *(f"  {line}" for line in more),
    ]
    return "\n".join(lines) + "\n"


def _bus(id_: str, folder: Path) -> str:
    return f"""
[[bus]]
id = "line-{id_}"
port = "{folder}/tty-{id_}"
baudrate = {BAUDRATE}
poll_interval = "50ms"
"""


def _canteen(folder: Path, language: Language) -> str:
    return f"""{_bus("canteen", folder)}
[[device]]
id = "kitchen-io"
name = "{_named("device-kitchen-io", language)}"
driver = "modbus-io"
bus = "line-canteen"
unit = {IO_UNIT}
inputs = 8
outputs = 8
{_point(VALVE_SHUT, "input", VALVE_INPUT, language)}
[[device]]
id = "kitchen"
name = "{_named("device-kitchen", language)}"
driver = "modbus-sensor"
bus = "line-canteen"
unit = {GAS_UNIT}
poll_every = "200ms"
  [[device.channel]]
  id = "gas"
  register = {GAS_REGISTER}
  scale = {GAS_SCALE}
  unit = "%LEL"
  lowest = 0.0
  highest = 100.0
  alarm_above = {GAS_HIGH}
  hysteresis = 2.0
  [[device.channel]]
  id = "fan"
  register = {FAN_REGISTER}
  scale = {FAN_SCALE}
  unit = "A"
  alarm_below = {FAN_STOPPED_BELOW}
  hysteresis = 0.1
{_point(GAS, "gas", "gas", language, 'cameras = ["canteen"]')}{_point(FAN, "fan-stopped", "fan", language)}"""


def _store(folder: Path, language: Language) -> str:
    return f"""{_bus("store", folder)}
[[device]]
id = "store"
name = "{_named("device-store", language)}"
driver = "modbus-sensor"
bus = "line-store"
unit = {SMOKE_UNIT}
  [[device.channel]]
  id = "temperature"
  register = {TEMPERATURE_REGISTER}
  type = "int16"
  scale = {TENTH}
  unit = "℃"
  lowest = -40.0
  highest = 120.0
  alarm_above = {HEAT_LIMIT}
  hysteresis = 3.0
  [[device.channel]]
  id = "smoke"
  register = {SMOKE_REGISTER}
  function = "input"
  mask = 0x0F
  codes = {{ normal = [0], alarm = [1], open = [2], short = [3] }}
{_point(SMOKE, "smoke", "smoke", language)}{_point(HEAT, "temperature", "temperature", language)}"""


def _store_door(folder: Path, language: Language) -> str:
    points = (
        (("store-door", "granted"), "door-granted"),
        (("store-door", "denied"), "door-denied"),
        (("store-door", "door"), "door"),
        (FORCED, "door-forced"),
        (("store-door", "tamper"), "tamper"),
        (("store-door", "lost"), "supervision-lost"),
    )
    return f"""
[[device]]
id = "store-door"
name = "{_named("device-store-door", language)}"
driver = "osdp"
port = "{folder}/tty-reader"
cards = "{folder}/{CARDS}"
  [[device.reader]]
  id = "store"
  address = {READER_ADDRESS}
  key = {{ file = "{folder}/{READER_KEY}" }}
  door_input = 0
  held_after = "60s"
  unlock_output = 0
{"".join(_point(where, kind, f"store/{where[1]}", language) for where, kind in points)}"""


def _dormitory(folder: Path, listeners: Listeners, language: Language) -> str:
    lost = _point(("dormitory", "host"), "supervision-lost", "supervision", language)
    return f"""
[[device]]
id = "dormitory"
name = "{_named("device-dormitory", language)}"
driver = "dc09"
listen = "127.0.0.1:{listeners.host}"
  [[device.account]]
  account = "{ACCOUNT}"
  key = {{ file = "{folder}/{HOST_KEY}" }}
  supervision = "{SUPERVISION_S}s"
{_point(DORMITORY, "intrusion", f"zone-{DOOR_ZONE}", language, 'cameras = ["corridor"]')}{lost}"""


def _fence(folder: Path, language: Language) -> str:
    return f"""{_bus("fence", folder)}
[[device]]
id = "fence"
name = "{_named("device-fence", language)}"
driver = "modbus-sensor"
bus = "line-fence"
unit = {FENCE_UNIT}
poll_every = "200ms"
  [[device.channel]]
  id = "alarm"
  register = {FENCE_REGISTER}
  codes = {{ normal = [0], alarm = [1, 2, 3] }}
  [[device.channel]]
  id = "voltage"
  register = {VOLTAGE_REGISTER}
  scale = {TENTH}
  unit = "kV"
  lowest = 0.0
  highest = 12.0
  alarm_below = {VOLTAGE_LOW}
  hysteresis = 0.5
  delay = "1s"
{_point(FENCE, "perimeter", "alarm", language, 'cameras = ["yard"]')}\
{_point(VOLTAGE, "fence-voltage", "voltage", language)}
[[partition]]
id = "{PARTITION}"
name = "{_named("partition", language)}"
points = ["{"/".join(FENCE)}", "{"/".join(CROSSING)}"]
"""


def _rules(language: Language, *, synced: bool) -> str:
    # what is bound to hours waits for a clock that is right, which the machine of a demo may never have
    when = 'when = { during = ["outside-lessons"] }' if synced else f"# {_named('toml-clock', language)}"
    return f"""
[[rule]]
id = "{GAS_RULE[1]}"
name = "{name_of(GAS_RULE).render(language)}"
kind = "gas"
cameras = ["canteen"]
  [rule.if]
  all = [
    {{ measure = "kitchen/gas", above = {GAS_LIMIT}, hysteresis = 2.0 }},
    # {_named("toml-fan", language)}
    {{ measure = "kitchen/fan", below = {FAN_STOPPED_BELOW}, for = "{FAN_STOPPED_S}s" }},
  ]
  [[rule.do]]
  output = {{ device = "kitchen-io", output = {SIREN}, value = true, for = "{SIREN_S}s" }}
  [[rule.do]]
  output = {{ device = "kitchen-io", output = {VALVE}, value = true, for = "{VALVE_S}s" }}

[[rule]]
id = "{STORE_RULE[1]}"
name = "{name_of(STORE_RULE).render(language)}"
kind = "chemical-store"
cameras = ["corridor"]
{when}
if = {{ point = "store-door/door" }}
"""


def _outside(folder: Path, listeners: Listeners, language: Language) -> str:
    return f"""
[[path]]
id = "{CENTRE}"
name = "{_named("path-centre", language)}"
driver = "dc09-dialler"
receivers = ["tcp://127.0.0.1:{listeners.centre}"]
account = "{CENTRE_ACCOUNT}"
key = {{ file = "{folder}/{CENTRE_KEY}" }}
interval = "{POLL_S}s"

[[path]]
id = "{DUTY}"
name = "{_named("path-duty", language)}"
driver = "sms"
port = "{folder}/tty-modem"
recipients = {{ file = "{folder}/{PHONES}" }}
report_wait = "{REPORT_WAIT_S}s"

# {_named("toml-escalation", language)}
[[escalation]]
id = "all"
  [[escalation.step]]
  after = "{SIREN_AFTER_S}s"
  siren = true
  console = true
  [[escalation.step]]
  after = "{CENTRE_AFTER_S}s"
  paths = ["{CENTRE}"]
  [[escalation.step]]
  after = "{PHONE_AFTER_S}s"
  paths = ["{DUTY}"]
"""
