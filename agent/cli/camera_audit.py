"""`campus-agent camera audit`: does any camera still take the password that it came with?"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, environment, print_json, run_async
from agent.texts import say

if TYPE_CHECKING:
    from agent.config.models import CameraSettings, Config
    from agent.skyeye.inventory import Account, Finding


def audit(
    ctx: typer.Context,
    cameras: Annotated[list[str] | None, typer.Argument(metavar="CAMERA", help="camcli.arg-cameras")] = None,
    as_json: JsonFlag = False,
) -> int:
    """Try factory passwords: few, far apart, and at most once a day."""
    from agent.cli.camera_login import camera_of

    env = environment(ctx)
    config = env.config()
    chosen = [camera_of(config, id_) for id_ in dict.fromkeys(cameras)] if cameras else [*config.cameras]
    asked = [camera for camera in chosen if camera.driver == "onvif"]
    skipped = [camera.id for camera in chosen if camera.driver != "onvif"]
    if skipped:  # an RTSP server tells nobody who it is; a login there proves nothing about the camera's accounts
        env.complain(say("camcli.audit-skipped", cameras=", ".join(skipped)))
    if asked and not as_json:
        env.complain(say("camcli.audit-warning", count=len(asked)))
    found = run_async(run(env, config, asked, quiet=as_json))
    if as_json:
        print_json([one.as_data() for one in found])
    elif not found:
        env.say("camcli.none")
    else:
        env.table(
            ("camcli.col-camera", "camcli.col-result", "camcli.col-finding"),
            [[one.camera, env.render(say(f"camcli.audit-{one.state}")), env.render(one.text)] for one in found],
        )
    return PROBLEM if any(one.bad for one in found) else OK


async def run(
    env: Environment, config: "Config", cameras: "Sequence[CameraSettings]", *, quiet: bool
) -> "list[Finding]":
    """One camera after another; those of one address, a recorder's channels, once. Raises OSError where it cannot be
    remembered."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from agent.clock import SystemClock
    from agent.skyeye.discovery import host_port
    from agent.skyeye.inventory import Store
    from agent.skyeye.inventory import audit as look

    store, clock = Store(config.skyeye_path / "inventory"), SystemClock(config.site.timezone)
    places = {host_port(camera): camera for camera in reversed(cameras)}
    console = env.console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    found = []
    with bar:
        task = bar.add_task("", total=len(places))
        for camera in reversed(places.values()):
            bar.update(task, description=camera.id)
            facts = store.load(camera.id)
            found.append(await look(camera, facts.maker if facts else None, store, clock, attempt))
            bar.update(task, advance=1)
    return found


async def attempt(camera: "CameraSettings", account: "Account | None") -> None:
    """Ask a camera who it is with one login, once. Raises CameraError."""
    from agent.cli.camera_login import one_session, with_login

    login = (account.username, account.password) if account else (None, None)
    async with one_session(with_login(camera, *login)) as session:
        await session.identity()
