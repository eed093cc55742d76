"""`campus-agent camera probe`: the whole diagnosis of one camera, layer by layer, as it goes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, environment, print_json, run_async
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from agent.config.models import CameraSettings, Config
    from agent.skyeye.model import Check, Inspection


def probe(
    ctx: typer.Context,
    camera: Annotated[str, typer.Argument(metavar="CAMERA|ADDRESS", help="camcli.arg-probe")],
    username: Annotated[str | None, typer.Option("--username", metavar="NAME", help="camcli.opt-username")] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", metavar="FILE", help="camcli.opt-password-file")
    ] = None,
    driver: Annotated[str, typer.Option("--driver", metavar="NAME", help="camcli.opt-driver")] = "onvif",
    port: Annotated[int | None, typer.Option("--port", min=1, max=65_535, metavar="N", help="camcli.opt-port")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Look at one camera, configured or not."""
    from agent.cli.camera_login import ask_password, settings_for, with_login

    env = environment(ctx)
    config = config_of(env)
    password = ask_password(env, username, password_file) if username else None
    found = next((one for one in config.cameras if one.id == camera), None) if config else None
    if found is not None:
        settings = with_login(found, username, password) if username else found
        warn_of_gate(env, config, camera)
    else:
        if looks_like_id(camera):
            known = ", ".join(one.id for one in config.cameras) if config else ""
            env.complain(say("camcli.probe-address", word=camera[:64], known=known or "-"))
        settings = settings_for(camera, driver, username, password, port=port)
    inspection = run_async(inspect(env, config, settings, quiet=as_json))
    return report(env, inspection, as_json=as_json)


def config_of(env: Environment) -> "Config | None":
    """The configuration, if there is one that can be read: an address can be probed without."""
    from agent.cli.discover import config_if_any

    return config_if_any(env, needed=False) if env.config_path.exists() else None


def looks_like_id(word: str) -> bool:
    """Whether somebody meant a camera of the configuration: no dot, no colon."""
    return "." not in word and ":" not in word and word != "localhost"


def warn_of_gate(env: Environment, config: "Config | None", camera: str) -> None:
    """Say beforehand if the daemon keeps off the camera after refused logins: every try counts there."""
    from agent.cli.calls import ask
    from agent.cli.words import duration

    if config is None:
        return
    try:
        told = ask(config, "camera", camera=camera)
    except Spoken:
        return  # no daemon, or one that does not know it yet
    if isinstance(told, dict) and (closed_s := told.get("login_closed_s")):
        env.complain(say("camcli.gate", camera=camera, wait=duration(float(closed_s), env.language)))


async def inspect(
    env: Environment, config: "Config | None", settings: "CameraSettings", *, quiet: bool
) -> "Inspection":
    """Inspect in this process, with one try of the login."""
    import tempfile

    from agent.camera import CameraSession
    from agent.cli.camera_login import one_try
    from agent.clock import SystemClock
    from agent.config.models import SkyeyeSettings
    from agent.skyeye.cameras import Cameras
    from agent.skyeye.inspect import Inspector
    from agent.skyeye.streams import StreamHub

    clock = SystemClock(config.site.timezone if config else "Asia/Shanghai")
    cameras = Cameras([settings], clock)
    cameras[settings.id].gate = one_try(clock)
    hub = StreamHub(cameras.source, clock, admit=cameras.admit, on_state=cameras.stream_state)
    if not quiet:
        configured = config is not None and any(one.id == settings.id for one in config.cameras)
        shown = f"{settings.id} ({settings.address})" if configured else settings.address
        env.say("camcli.probing", camera=shown)

    async def session() -> CameraSession:
        return await cameras.open(settings.id)

    def seen(check: "Check") -> None:
        if not quiet:
            show(env, check)

    with tempfile.TemporaryDirectory(prefix="campus-agent-probe-") as folder:  # judged by itself, without a history
        inspector = Inspector(hub, clock, config.skyeye if config else SkyeyeSettings(), Path(folder))
        try:
            return await inspector.inspect(settings, session, on_check=seen)
        finally:
            await inspector.close()
            await hub.close()
            await cameras.close()


def show(env: Environment, check: "Check") -> None:
    """Print one step as it is known."""
    mark = "camcli.mark-unknown" if check.ok is None else "camcli.mark-ok" if check.ok else "camcli.mark-fail"
    layer = env.render(say(f"camcli.layer-{check.layer}"))
    print(f"{env.render(say(mark))}  {layer}\n      {env.render(check.text)}", flush=True)


def report(env: Environment, inspection: "Inspection", *, as_json: bool) -> int:
    """Print the judgements of the picture, and the end of it."""
    from agent.skyeye.wire import inspection_json

    bad = len(inspection.faults)
    if as_json:
        print_json(inspection_json(inspection))
        return PROBLEM if bad else OK
    for verdict in inspection.verdicts:
        if verdict.bad:
            print(f"{env.render(say('camcli.mark-fail'))}  {env.render(verdict.text)}")
    failed = next((check for check in inspection.checks if check.ok is False), None)
    if failed is not None:
        layer = env.render(say(f"camcli.layer-{failed.layer}"))
        env.say("camcli.probe-bad", layer=layer)
    else:
        env.say("camcli.probe-picture" if bad else "camcli.probe-fine", seconds=round(inspection.seconds, 1))
    return PROBLEM if bad or failed is not None else OK
