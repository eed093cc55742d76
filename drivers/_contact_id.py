"""Contact ID: what the event blocks of alarm hosts mean, whatever line or network they come by. Pure; for drivers.

Source: SIA DC-05-1999.09 (Ademco Contact ID), message block `ACCT MT QXYZ GG CCC S` and appendix C, event codes; the
list of codes was compared with two published copies of that appendix. What a code means to this agent is ours.

One report is one input, with three names. The most specific counts first, and a point may have any of them:

    130/003     code 130 of zone 3
    zone-003    any alarm of zone 3
    130         code 130 of any zone

Opening and closing are one input per partition (`armed-01`; `armed` is any partition): who did it is in the detail.
Where a driver serves several accounts, every name begins with the account: `1234:130/003`.
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final

from pydantic import AfterValidator

from agent.driver import BadFrame, BadSetting, Detail, Input, Sample, Text, pulse, say

NEW: Final = 1
RESTORE: Final = 3
STATUS: Final = 6
"""DC-05: new event or opening; new restore or closing; previously reported condition still present."""
QUALIFIERS: Final[Mapping[int, int]] = MappingProxyType(
    {ord("1"): NEW, ord("3"): RESTORE, ord("6"): STATUS, ord("E"): NEW, ord("R"): RESTORE, ord("P"): STATUS}
)
"""As digits in the standard; as letters on Sur-Gard lines and from some Chinese hosts."""
EVENT: Final = re.compile(rb"([136ERP])([0-9B-F]{3})([0-9A-F]{2})([0-9A-F]{3})")
BLOCK: Final = re.compile(rb"([0-9A-F]{4})(?:18|98)([136][0-9B-F]{3}[0-9A-F]{5})[0-9A-F]")
"""DC-05: message type 18 is preferred, 98 is optional for newer hosts; they mean the same."""
CHECK_MODULUS: Final = 15
ZERO_COUNTS: Final = 10
"""DC-05: the digit 0 is sent as the tone of 10, and counts so in the checksum."""
RELEASE_AFTER_S: Final = 60.0
"""How long a panic button counts as pressed, if its host never tells a restore: long enough to be seen, short enough
to reset the alarm when somebody has come."""


@dataclass(frozen=True, slots=True)
class Report:
    """One event block."""

    account: str
    qualifier: int
    code: str
    partition: str
    zone: str
    """Zone, or user where the code is about people; 000 is neither."""


def decode_event(data: bytes, account: str) -> Report:
    """Decode `QXYZGGCCC`, without spaces. Raises BadFrame."""
    if not (match := EVENT.fullmatch(data)):
        raise BadFrame("QXYZGGCCC", data)
    qualifier, *rest = match.groups()
    code, partition, zone = (part.decode("ascii") for part in rest)
    return Report(account.upper(), QUALIFIERS[qualifier[0]], code, partition, zone)


def decode_block(data: bytes) -> Report:
    """Decode a whole block `ACCT18QXYZGGCCCS`, without spaces, by its checksum. Raises BadFrame."""
    if not (match := BLOCK.fullmatch(data)):
        raise BadFrame("ACCT 18 QXYZ GG CCC S", data)
    if total(data) % CHECK_MODULUS:
        raise BadFrame(f"ACCT 18 QXYZ GG CCC {check_digit(data[:-1])}", data)
    account, event = match.groups()
    return decode_event(event, account.decode("ascii"))


def total(digits: bytes) -> int:
    """The sum that the checksum makes a multiple of 15."""
    return sum(int(chr(digit), 16) or ZERO_COUNTS for digit in digits)


def check_digit(digits: bytes) -> str:
    """The last digit of a block."""
    rest = CHECK_MODULUS - total(digits) % CHECK_MODULUS
    return "0" if rest == ZERO_COUNTS else f"{rest:X}"


# --- what the codes mean


def _codes(*lines: str) -> frozenset[str]:
    return frozenset(code for line in lines for code in line.split())


_KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "medical": "100 101 102",
        "fire": "110 112 113 114 115 117",
        "smoke": "111 116 118",
        "panic": "120 123",
        "duress": "121 122 124 125 126",
        "intrusion": "130 132 133 134 135 138 139 140 146 155 374",
        "perimeter": "131 136",
        "tamper": "137 144 145 341 383",
        "supervision-lost": "147 344 355 381 382",
        "gas": "151 162",
        "temperature": "152 153 158 159",
        "water-leak": "154",
        "fan-stopped": "161",
        "mains-lost": "301 314 337 342 926",
        "battery-low": "302 309 311 338 384",
        "panel-trouble": "141 142 143 150 156 157 163 453 454 455 457",
        "door-denied": "421 424 461",
        "door-granted": "422 425",
        "door-forced": "423",
        "door-held": "426",
        "armed": "400 401 402 403 404 405 407 408 409 441 442 450 451 452 456",
        "panel-test": "601 602 603 608",
    }
)
_CODE_KINDS: Final = MappingProxyType({code: kind for kind, codes in _KINDS.items() for code in codes.split()})
_GROUP_KINDS: Final = MappingProxyType(
    {
        "10": "medical",
        "11": "fire",
        "12": "panic",
        "1": "intrusion",
        "2": "panel-trouble",
        "3": "panel-trouble",
        "427": "panel-trouble",
        "428": "panel-trouble",
        "432": "panel-trouble",
        "5": "panel-trouble",
    }
)
"""By their beginning, for codes that are not in the table: an unknown alarm is an alarm."""
OTHER_KIND: Final = "input"
TROUBLES_OF_ALARM_GROUP: Final = frozenset({"tamper", "supervision-lost", "panel-trouble"})
"""Kinds of 1xx codes that say nothing of what a zone watches: they are not `zone-003`."""
NO_END: Final = _codes(
    "305 306 313 406 411 412 413 414 415 416 421 422 424 425 429 430 435 436 458 459 461 462 464 465 466 531 532",
    "601 602 603 604 605 606 608 609 611 612 613 614 615 616 621 622 623 624 625 626 627 628 629 630 631 632",
)
"""What happens and does not last."""
RARELY_RESTORED: Final = ("10", "12")
"""Medical and panic buttons: many hosts tell the press and never a restore."""
USER_CODES: Final = _codes(
    "121 126 313 574 604 607 625 642 421 422 424 425 429 430 431 435 436 441 442 450 451 452 453 454 455 456 457 458",
    "459 462 463 464 466",
)
"""Beside 400-415: codes whose CCC is a user (DC-05, appendix C)."""


def kind_of(code: str) -> str:
    """What a code is to this agent: a name of agent.kinds."""
    if known := _CODE_KINDS.get(code):
        return known
    return next((_GROUP_KINDS[code[:n]] for n in (3, 2, 1) if code[:n] in _GROUP_KINDS), OTHER_KIND)


def is_about_user(code: str) -> bool:
    """Whether CCC is a user rather than a zone."""
    return code in USER_CODES or "400" <= code <= "415"


NAMED: Final = _codes(
    "100 101 102 110 111 112 113 114 115 116 117 118 120 121 122 123 124 125 126 130 131 132 133 134 135 136 137",
    "138 139 140 141 142 143 144 145 146 147 150 151 152 153 154 155 156 157 158 159 161 162 163 200 201 202 203",
    "204 205 206 300 301 302 303 304 305 306 307 308 309 310 311 312 313 314 320 321 322 323 324 330 331 332 333",
    "334 335 336 337 338 339 341 342 343 344 350 351 352 353 354 355 356 370 371 372 373 374 375 376 377 378 380",
    "381 382 383 384 389 391 392 393 400 401 402 403 406 407 408 409 421 422 423 424 425 426 427 441 442 450 451",
    "452 453 454 455 456 457 461 570 571 572 573 574 601 602 603 604 605 606 607 608 621 622 623 624 625 626 627",
    "628",
)
"""Codes that have their words in the catalogue (`contactid.code-130`)."""


def words(code: str) -> Text:
    """What a code says, for people."""
    return say(f"contactid.code-{code if code in NAMED else 'other'}", code=code)


# --- inputs

ACCOUNT: Final = re.compile(r"[0-9A-F]{3,16}")
"""Contact ID has 4 digits; DC-09 allows 3 to 16, Sur-Gard up to 6."""
NAME: Final = re.compile(
    r"(?:([0-9A-F]{3,16}):)?([0-9B-F]{3}(?:/[0-9A-F]{3})?|zone-[0-9A-F]{3}|armed(?:-[0-9A-F]{2})?)"
)


def _account(value: str) -> str:
    if not ACCOUNT.fullmatch(account := value.upper()):
        raise BadSetting(say("contactid.account"), value)
    return account


Account = Annotated[str, AfterValidator(_account)]
"""An account as the receiver or host prints it."""


@dataclass(frozen=True, slots=True)
class PanelInputs(Container[Input]):
    """The names of the inputs of one or several hosts. With one account they begin with nothing, with several with
    theirs; what an account says that is not among them has it in front too, and so no point."""

    accounts: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or not (match := NAME.fullmatch(name)):
            return False
        account = match[1]
        return account in self.accounts if len(self.accounts) > 1 else account is None

    def prefix(self, account: str) -> str:
        """What stands before the name of an account's input."""
        return "" if self.accounts == (account,) else f"{account}:"


def names(report: Report) -> tuple[str, ...]:
    """The names of a report's input, the most specific first."""
    code, zone = report.code, report.zone
    kind = kind_of(code)
    if kind == "armed" and report.qualifier != STATUS:
        return f"armed-{report.partition}", "armed"
    of_zone = code.startswith("1") and kind not in TROUBLES_OF_ALARM_GROUP and not is_about_user(code)
    return f"{code}/{zone}", *((f"zone-{zone}",) if of_zone else ()), code


def samples(
    report: Report, inputs: PanelInputs, seen_ns: int, *, release_after_s: float = RELEASE_AFTER_S
) -> tuple[Sample, ...]:
    """What a report means, for `link.emit`."""
    code, kind = report.code, kind_of(report.code)
    prefix = inputs.prefix(report.account)
    first, *also = (prefix + name for name in names(report))
    is_armed = kind == "armed" and report.qualifier != STATUS
    active = (report.qualifier == RESTORE) if is_armed else (report.qualifier != RESTORE)
    no_end = code in NO_END or (kind == "armed" and not is_armed)
    sample = Sample(
        first,
        active or (no_end and kind == "panel-test"),
        seen_ns,
        kind=OTHER_KIND if kind == "armed" and not is_armed else kind,
        detail=detail(report),
        also=tuple(also),
        press=active and report.qualifier != STATUS and not is_armed,
        hold_s=release_after_s if code.startswith(RARELY_RESTORED) else None,
    )
    return pulse(sample) if no_end and sample.value else (sample,)


def detail(report: Report) -> Detail:
    """What a report says beside its value. 00 and 000 say nothing (DC-05)."""
    found: dict[str, str | Text] = {"account": report.account, "code": report.code, "event": words(report.code)}
    if report.partition != "00":
        found["partition"] = report.partition
    if report.zone != "000":
        found["user" if is_about_user(report.code) else "zone"] = report.zone
    return found
