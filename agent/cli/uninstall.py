"""`campus-agent uninstall`: take away what `install` put in place."""

from typing import Annotated

import typer

from agent.cli.install import DryRunFlag, RootOption
from agent.cli.shared import OK, command, commands, environment
from agent.texts import Text

app = commands()


@command(app, "uninstall", "install.help-uninstall")
def uninstall(
    ctx: typer.Context,
    root: RootOption = None,
    purge: Annotated[bool, typer.Option("--purge", help="install.opt-purge")] = False,
    dry_run: DryRunFlag = False,
) -> int:
    """Stop and remove the service; keep configuration and journal unless told otherwise."""
    from agent.cli.installer import Installer, target

    env = environment(ctx)

    def tell(text: Text) -> None:
        print(env.render(text))

    where = target(root, None)
    Installer(where, tell, dry_run=dry_run).uninstall(purge=purge)
    if dry_run:
        env.say("install.dry-run-done")
    elif where.here:
        env.say("install.gone", prefix=where.prefix)
    return OK
