"""`campus-agent version`: what is installed here."""

import typer

from agent.cli.shared import OK, JsonFlag, command, commands, environment, print_json

app = commands()


@command(app, "version", "cli.help-version")
def version(ctx: typer.Context, as_json: JsonFlag = False) -> int:
    """Print the versions of the agent, of Python and of the libraries that it stands on."""
    from agent.cli.versions import installed

    found = installed()
    if as_json:
        print_json(found)
        return OK
    env = environment(ctx)
    print(f"campus-agent {found.pop('campus-agent')}")
    env.say("cli.version-libraries")
    for name, value in found.items():
        print(f"  {name:<22}{value}")
    return OK
