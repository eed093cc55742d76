"""The names of what alarm hosts tell: Contact ID's, SIA's, and two of our own for each host."""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from agent.driver import Input
from drivers._contact_id import PanelInputs

SUPERVISION: Final = "supervision"
"""Active while a host does not report that it is there."""
REFUSED: Final = "refused"
"""Active while messages of a host cannot be accepted: wrong key, no encryption, wrong time."""
NAME: Final = re.compile(
    r"[0-9B-F]{3}(?:/[0-9A-F]{3})?|[A-Z]{2}(?:/[0-9]{3,6})?|zone-[0-9A-F]{3,6}|armed(?:-[0-9A-F]{2})?"
    rf"|{SUPERVISION}|{REFUSED}"
)


def plain(account: str) -> str:
    """An account as hosts may write it: some fill it up with zeros."""
    return account.upper().lstrip("0")


@dataclass(frozen=True, slots=True)
class HostInputs(Container[Input]):
    """Names begin with their account, as `1234:130/003`, unless there is only one account."""

    accounts: tuple[str, ...]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        account, colon, rest = name.rpartition(":")
        known = account in self.accounts if len(self.accounts) > 1 else not colon
        return known and NAME.fullmatch(rest) is not None

    @property
    def examples(self) -> tuple[str, ...]:
        """Some of the names, for whoever wrote a wrong one."""
        prefix = self.panel.prefix(self.accounts[0])
        return tuple(prefix + name for name in ("130/003", "BA/003", "zone-003", "armed-01", SUPERVISION))

    @property
    def panel(self) -> PanelInputs:
        """Who names the inputs of events."""
        return PanelInputs(self.accounts)
