"""Factory passwords: does a camera still take the one that it came with? Only where somebody asks for it.

A camera counts refused logins and locks everybody out, us too (Hikvision and Dahua after 5 to 7, some after 3). So:
at most two tries per camera and run, a wait between them, the end at the first sign of a lock, and no second run
within a day, which is remembered on disk before the first try is made. The passwords tried appear nowhere.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from agent.camera import CameraError, LoginRefused, NotOffered
from agent.clock import Clock
from agent.config.models import CameraSettings
from agent.model import JsonValue
from agent.secrets import SecretError
from agent.skyeye.inventory.store import Store
from agent.texts import Text, say

TRIES_LIMIT: Final = 2
"""Below the smallest lock-out counter known (3), with one left for a technician who mistypes."""
WAIT_S: Final = 10.0
"""Between two tries: some cameras take quick ones for an attack."""
AGAIN_AFTER: Final = timedelta(hours=24)
"""Lock-out counters fall back to zero within half an hour to a day."""

State = Literal["weak", "configured", "open", "fine", "stopped", "recent", "unreachable"]


@dataclass(frozen=True, slots=True)
class Account:
    """A login that a maker delivered its cameras with."""

    username: str
    password: str = field(repr=False)


_ADMIN: Final = "admin"
ACCOUNTS: Final[Mapping[str, tuple[Account, ...]]] = {
    "hikvision": (Account(_ADMIN, "12345"), Account(_ADMIN, "123456")),
    "dahua": (Account(_ADMIN, _ADMIN), Account("888888", "888888")),
    "uniview": (Account(_ADMIN, "123456"),),
    "tiandy": (Account("Admin", "1111"), Account(_ADMIN, "111111")),
    "axis": (Account("root", "pass"),),
    "hanwha": (Account(_ADMIN, "4321"), Account(_ADMIN, "1111111")),
    "bosch": (Account("service", "service"),),
    "vivotek": (Account("root", "root"),),
    "xiongmai": (Account(_ADMIN, "123456"), Account(_ADMIN, _ADMIN)),
}
"""As their manuals give them; newer firmware of most asks for a password at the first start instead."""
COMMON: Final = (Account(_ADMIN, _ADMIN), Account(_ADMIN, "123456"))
"""Where the maker is not known."""

Attempt = Callable[[CameraSettings, Account | None], Awaitable[None]]
"""Asks the camera who it is with one login, once; without any for None. Raises CameraError."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one camera."""

    camera: str
    state: State
    tries: int
    text: Text
    username: str | None = None

    @property
    def bad(self) -> bool:
        """Whether somebody should do something."""
        return self.state in {"weak", "configured", "open"}

    def as_data(self) -> dict[str, JsonValue]:
        """As JSON."""
        said: dict[str, JsonValue] = {"zh-CN": self.text.render("zh-CN"), "en": self.text.render("en")}
        return {
            "camera": self.camera,
            "state": self.state,
            "tries": self.tries,
            "username": self.username,
            "text": said,
        }


def accounts_for(maker: str | None) -> Sequence[Account]:
    """What cameras of a maker came with."""
    name = (maker or "").casefold()
    return next((accounts for word, accounts in ACCOUNTS.items() if word in name), COMMON)


async def audit(
    camera: CameraSettings, maker: str | None, store: Store, clock: Clock, attempt: Attempt, tries: int = TRIES_LIMIT
) -> Finding:
    """Look at one camera. Raises OSError where it could not be remembered: then nothing was tried."""
    accounts = accounts_for(maker)
    if (weak := _configured(camera, [*accounts, *COMMON])) is not None:
        text = say("inventory.audit-configured", camera=camera.id, username=weak.username)
        return Finding(camera.id, "configured", 0, text, weak.username)
    sheet = store.sheet(camera.id)
    now = clock.wall()
    if (since := _recent(sheet.audited, now)) is not None:
        hours = round((AGAIN_AFTER - since).total_seconds() / 3600, 1)
        return Finding(camera.id, "recent", 0, say("inventory.audit-recent", camera=camera.id, hours=hours))
    sheet.audited = now.isoformat(timespec="seconds")
    store.write(camera.id, sheet)
    return await _try(camera, accounts[: min(tries, TRIES_LIMIT)], clock, attempt)


async def _try(camera: CameraSettings, accounts: Sequence[Account], clock: Clock, attempt: Attempt) -> Finding:
    for number, account in enumerate((None, *accounts)):
        if number > 1:
            await clock.sleep(WAIT_S)
        try:
            await attempt(camera, account)
        except LoginRefused as error:
            if number and locked(error):
                text = say("inventory.audit-stopped", camera=camera.id, why=error.text)
                return Finding(camera.id, "stopped", number, text)
            continue
        except NotOffered:
            pass  # it let us in, and has not what was asked for
        except CameraError as error:
            text = say("inventory.audit-unreachable", camera=camera.id, why=error.text)
            return Finding(camera.id, "unreachable", number, text)
        if account is None:  # then it would take any password, and nothing is proven
            return Finding(camera.id, "open", 0, say("inventory.audit-open", camera=camera.id))
        text = say("inventory.audit-weak", camera=camera.id, username=account.username)
        return Finding(camera.id, "weak", number, text, account.username)
    return Finding(camera.id, "fine", len(accounts), say("inventory.audit-fine", camera=camera.id, tries=len(accounts)))


def locked(error: LoginRefused) -> bool:
    """Whether a refusal speaks of a lock: by its own text, or since our gate has closed."""
    return "lock" in error.text.render("en").casefold() or "closed" in error.text.key


def _configured(camera: CameraSettings, accounts: Sequence[Account]) -> Account | None:
    """The factory account that is configured: found without asking the camera anything."""
    if camera.username is None or camera.password is None:
        return None
    try:
        password = camera.password.reveal()
    except SecretError:
        return None
    return next((one for one in accounts if (one.username, one.password) == (camera.username, password)), None)


def _recent(text: str | None, now: datetime) -> timedelta | None:
    """How long ago it was, if that is less than a day. A time in the future counts as now: the clock was wrong."""
    if text is None:
        return None
    try:
        since = max(now - datetime.fromisoformat(text), timedelta())
    except (ValueError, TypeError):
        return timedelta()
    return since if since < AGAIN_AFTER else None
