"""The commands that the eye carries out: their arguments are checked here, the eye's refusals go back as they are."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from agent.alarms.engine import Refusal
from agent.config.models import Config
from agent.config.values import did_you_mean
from agent.model import Command, JsonValue
from agent.runtime.cameras import Watcher, names_of
from agent.runtime.eyeline import EyeLine
from agent.runtime.verbs import Verb
from agent.texts import say
from agent.uplink.redact import redacted

URL_LIMIT: Final = 2_048
"""A pre-signed address of S3 has some 500 characters."""
BEFORE_S: Final = (0.0, 60.0)
AFTER_S: Final = (1.0, 300.0)
LEASE_S: Final = (5.0, 86_400.0)
PTZ_ACTS: Final = ("move", "stop", "goto", "save", "list")
PUT_SCHEMES: Final = ("http", "https")
PUSH_SCHEMES: Final = ("rtsp", "rtsps", "rtmp", "rtmps", "srt")


class CameraVerbs:
    """The handlers of `snapshot`, `clip`, `ptz`, `inspect`, `stream-start`, `stream-stop`, `patrol`, `inventory`."""

    def __init__(self, config: Callable[[], Config], cameras: Watcher, line: EyeLine) -> None:
        self._config = config
        self._cameras = cameras
        self._line = line

    def handlers(self) -> dict[str, Verb]:
        """The verbs by name."""
        return {
            "snapshot": self._snapshot,
            "clip": self._clip,
            "ptz": self._ptz,
            "inspect": self._inspect,
            "stream-start": self._stream_start,
            "stream-stop": self._stream_stop,
            "patrol": self._patrol,
            "inventory": self._inventory,
        }

    async def _snapshot(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "camera", "put_url")
        return await self._act("snapshot", command, camera=self._camera(args), **put_url(args))

    async def _clip(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "camera", "before_s", "after_s", "put_url")
        times = {**number(args, "before_s", BEFORE_S), **number(args, "after_s", AFTER_S)}
        return await self._act("clip", command, camera=self._camera(args), **times, **put_url(args))

    async def _ptz(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "camera", *PTZ_ACTS)
        camera = self._camera(args)
        acts = [name for name in PTZ_ACTS if name in args]
        if len(acts) != 1:
            raise bad("ptz", " | ".join(PTZ_ACTS), ", ".join(acts) or "-")
        return await self._act("ptz", command, camera=camera, **{acts[0]: args[acts[0]]})

    async def _inspect(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "camera", "cameras", "relearn")
        if not isinstance(relearn := args.get("relearn", False), bool):
            raise bad("relearn", "true | false", relearn)
        if relearn and "camera" not in args:  # by mistake for all of them, it would take days to mend
            raise bad("relearn", 'with "camera"', relearn)
        anew: dict[str, JsonValue] = {"relearn": True} if relearn else {}
        return await self._act("inspect", command, cameras=self._some(args), **anew)

    async def _inventory(self, command: Command) -> Mapping[str, JsonValue]:
        return await self._act("inventory", command, cameras=self._some(known(command.args, "camera", "cameras")))

    async def _stream_start(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "camera", "role", "url", "lease_s")
        camera = self._camera(args)
        role = args.get("role", "main")
        if role not in {"main", "sub"}:
            raise bad("role", "main | sub", role)
        url = address(args, "url", PUSH_SCHEMES)
        return await self._act(
            "stream-start", command, camera=camera, role=role, url=url, **number(args, "lease_s", LEASE_S)
        )

    async def _stream_stop(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "camera", "stream")
        if isinstance(stream := args.get("stream"), str):
            return await self._act("stream-stop", command, stream=stream)
        return await self._act("stream-stop", command, camera=self._camera(args))

    async def _patrol(self, command: Command) -> Mapping[str, JsonValue]:
        args = known(command.args, "patrol", "action")
        patrols = [patrol.id for patrol in self._config().patrols]
        patrol, action = args.get("patrol"), args.get("action", "start")
        if patrol not in patrols:
            name = str(patrol)[:60]
            remedy = did_you_mean(name, patrols) if patrols else "-"
            raise Refusal(say("runtime.no-patrol", patrol=name, remedy=remedy))
        if action not in {"start", "stop"}:
            raise bad("action", "start | stop", action)
        return await self._act("patrol", command, patrol=patrol, action=action)

    async def _act(self, method: str, command: Command, **params: JsonValue) -> Mapping[str, JsonValue]:
        """Have the eye do it. Raises EyeAway, ControlError. What comes back is journaled and sent, so that no address
        in it keeps its credentials."""
        answer = redacted(await self._line.call(method, **params, actor=command.actor))
        return answer if isinstance(answer, dict) else {"answer": answer}

    def _camera(self, args: Mapping[str, JsonValue]) -> str:
        """The camera that is named. Raises NoCamera."""
        return self._cameras.find(args.get("camera")).id

    def _some(self, args: Mapping[str, JsonValue]) -> JsonValue:
        """The cameras that are named, null for all. Raises NoCamera."""
        if "camera" in args:
            return [self._camera(args)]
        names = names_of(args.get("cameras"))
        return [self._cameras.find(name).id for name in names] if names else None


def known(args: Mapping[str, JsonValue], *names: str) -> Mapping[str, JsonValue]:
    """The arguments, if the verb has them all: a misspelt one must not be overlooked. Raises Refusal."""
    for name in args:
        if name not in names:
            raise Refusal(say("runtime.unknown-arg", name=name[:60], known=", ".join(names)))
    return args


def number(args: Mapping[str, JsonValue], name: str, bounds: tuple[float, float]) -> dict[str, JsonValue]:
    """A number, if it is there. Raises Refusal."""
    if (value := args.get(name)) is None:
        return {}
    low, high = bounds
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise bad(name, f"{low:g}..{high:g}", value)
    return {name: value}


def put_url(args: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Where the file is to be sent as well, if that is said. Raises Refusal."""
    return {"put_url": address(args, "put_url", PUT_SCHEMES)} if args.get("put_url") is not None else {}


def address(args: Mapping[str, JsonValue], name: str, schemes: tuple[str, ...]) -> str:
    """An address. Raises Refusal, which does not repeat it: it may hold a key."""
    value = args.get(name)
    expected = " | ".join(f"{scheme}://..." for scheme in schemes)
    if not isinstance(value, str):
        raise bad(name, expected, value)
    try:
        parts = urlsplit(value)
        fits = parts.scheme in schemes and bool(parts.hostname) and len(value) <= URL_LIMIT
    except ValueError:
        fits = False
    if not fits:
        raise bad(name, expected, redacted(value))
    return value


def bad(name: str, expected: str, got: JsonValue) -> Refusal:
    """A refusal of one argument."""
    return Refusal(say("runtime.bad-arg", name=name, expected=expected, got=repr(got)[:80]))
