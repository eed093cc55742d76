"""`campus-agent install`: account, unit, directories, udev rules and example configuration."""

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.shared import OK, command, commands, environment
from agent.texts import Text

app = commands()

RootOption = Annotated[Path | None, typer.Option("--root", metavar="DIR", help="install.opt-root")]
DryRunFlag = Annotated[bool, typer.Option("--dry-run", help="install.opt-dry-run")]


@command(app, "install", "install.help-install")
def install(
    ctx: typer.Context,
    root: RootOption = None,
    prefix: Annotated[Path | None, typer.Option("--prefix", metavar="DIR", help="install.opt-prefix")] = None,
    dry_run: DryRunFlag = False,
) -> int:
    """Put the service into this system or an image, say what was done, and what comes next."""
    from agent.cli.installer import Installer, target

    env = environment(ctx)

    def tell(text: Text) -> None:
        print(env.render(text))

    where = target(root, prefix)
    installer = Installer(where, tell, dry_run=dry_run)
    installer.install()
    if dry_run:
        env.say("install.dry-run-done")
    elif installer.running():
        env.say("install.next-restart")
    else:
        env.say("install.next" if where.here else "install.next-image", root=where.root)
    return OK
