"""`campus-agent drivers`: the protocols that are there, and what each one's devices can be set to."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.shared import MISUSE, OK, Environment, JsonFlag, command, commands, environment, print_json
from agent.texts import Text, say

if TYPE_CHECKING:
    from pydantic import BaseModel

    from agent.driver import Plugin

app = commands()


@command(app, "drivers", "config.help-drivers")
def drivers(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="config.arg-driver")] = None,
    as_json: JsonFlag = False,
) -> int:
    """List all drivers with their keys, or show one."""
    from agent.config.drivers import NoDriver, find_plugin, plugin_names

    env = environment(ctx)
    try:
        found = [find_plugin(word) for word in ([name] if name else plugin_names())]
    except NoDriver as error:
        env.complain(error.text)
        return MISUSE
    if as_json:
        described = [describe(env, driver) for driver in found]
        print_json(described[0] if name else described)
        return OK
    for position, driver in enumerate(found):
        if position:
            print()
        show(env, driver, in_full=name is not None)
    return OK


def describe(env: Environment, driver: "type[Plugin]") -> dict[str, Any]:
    """One driver as data."""
    return {
        "name": driver.name,
        "description": about(env, driver),
        "source": source_of(driver),
        "of": array_of(driver),
        "needs_bus": needs_bus(driver),
        "supervised": is_supervised(driver),
        "fields": [describe_field(env, driver, key) for key in keys(driver)],
        "tables": {
            name: [describe_field(env, inner, key) for key in keys(inner)] for name, inner in inner_tables(driver)
        },
        "schema": schema_of(driver),
    }


def describe_field(env: Environment, model: "type[BaseModel]", key: str) -> dict[str, Any]:
    """One key as data."""
    from agent.config.fields import field_text, keys_of
    from agent.config.schema import default_of, limits_of, type_word

    return {
        "name": key,
        "type": plain(env, type_word(model, key)),
        "required": keys_of(model)[key].is_required(),
        "default": default_of(model, key),
        "limits": limits_of(model, key),
        "description": plain(env, field_text(model, key)),
    }


def keys(model: "type[BaseModel]") -> list[str]:
    """The keys of a driver or of a table, in its order."""
    from agent.config.fields import keys_of

    return list(keys_of(model))


def schema_of(driver: "type[Plugin]") -> dict[str, Any]:
    """The JSON Schema of a driver's keys."""
    from agent.config.schema import property_of

    return {key: property_of(driver, key) for key in keys(driver)}


def about(env: Environment, driver: "type[Plugin]") -> str:
    """What a driver is for: from the catalogue, else the first line of its docstring."""
    from agent.config.fields import table_of
    from agent.texts import room_texts

    name = table_of(driver)
    if name in room_texts("fields"):
        return env.render(say(f"fields.{name}"))
    return (driver.__doc__ or driver.name).strip().splitlines()[0]


def source_of(driver: "type[Plugin]") -> str | None:
    """The standard or manual that a driver follows, as its docstring names it."""
    for line in (driver.__doc__ or "").splitlines():
        if line.strip().startswith("Source:"):
            return line.partition("Source:")[2].strip()
    return None


def needs_bus(driver: "type[Plugin]") -> bool:
    """Whether its devices share a line."""
    from agent.driver import BusDriver

    return issubclass(driver, BusDriver)


def is_supervised(driver: "type[Plugin]") -> bool:
    """Whether its devices are heard while nothing happens."""
    from agent.driver import Driver

    return driver.supervised if issubclass(driver, Driver) else True


def array_of(driver: "type[Plugin]") -> str:
    """Where the configuration names it: `device`, `camera` or `path`."""
    from agent.driver import CameraDriver, PathDriver

    if issubclass(driver, PathDriver):
        return "path"
    return "camera" if issubclass(driver, CameraDriver) else "device"


def place_of(driver: "type[Plugin]") -> str:
    """Which sentence says where it belongs."""
    if (array := array_of(driver)) != "device":
        return f"of-{array}"
    return "on-bus" if needs_bus(driver) else "off-bus"


def plain(env: Environment, text: "Text | str | None") -> str:
    """A text in the user's language."""
    return env.render(text) if isinstance(text, Text) else text or ""


def show(env: Environment, driver: "type[Plugin]", *, in_full: bool) -> None:
    """Print one driver; in full with its source, limits and an example."""
    print(f"{driver.name}  {about(env, driver)}")
    if in_full and (source := source_of(driver)) is not None:
        env.say("config.driver-source", source=source)
    env.say(f"config.driver-{place_of(driver)}")
    if not is_supervised(driver):
        env.say("config.driver-unsupervised")
    show_keys(env, driver, in_full=in_full)
    if not in_full:
        return
    for name, inner in inner_tables(driver):
        print(f"\n[[{array_of(driver)}.{name}]]")
        show_keys(env, inner, in_full=True)
    print()
    print(example(driver))


def show_keys(env: Environment, model: "type[BaseModel]", *, in_full: bool) -> None:
    """Print the keys of a driver, or of a table inside its own."""
    rows = []
    for field in (describe_field(env, model, key) for key in keys(model)):
        row = [field["name"], field["type"], default_word(env, field), field["description"]]
        rows.append([*row[:2], limits_word(field["limits"]), *row[2:]] if in_full else row)
    columns = ["key", "type", *(["limits"] if in_full else []), "default", "about"]
    env.table([f"config.col-{column}" for column in columns], rows)


def inner_tables(driver: "type[Plugin]") -> "list[tuple[str, type[BaseModel]]]":
    """The tables inside a driver's own, by their keys."""
    from agent.config.fields import tables_in

    return list(tables_in(driver))


def default_word(env: Environment, field: dict[str, Any]) -> str:
    """A key's default as TOML writes it."""
    from agent.units import shown

    if field["required"]:
        return env.render(say("config.required"))
    return "-" if field["default"] is None else shown(field["default"])


def limits_word(limits: dict[str, str]) -> str:
    """`1 .. 247`, `>= 0`."""
    if set(limits) == {"ge", "le"}:
        return f"{limits['ge']} .. {limits['le']}"
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(f"{signs[name]} {limit}" for name, limit in limits.items()) or "-"


def example(driver: "type[Plugin]") -> str:
    """A device to start from: what must be given, and the rest as it is by default; each table inside it once."""
    array = array_of(driver)
    lines = [f"[[{array}]]", 'id = "..."', 'name = "..."', f'driver = "{driver.name}"']
    lines += ['address = "..."', 'username = "..."', "password = ..."] if array == "camera" else []
    lines += ['bus = "..."'] if needs_bus(driver) else []
    lines += example_keys(driver)
    for name, inner in inner_tables(driver):
        lines += [f"  [[{array}.{name}]]", *(f"  {line}" for line in example_keys(inner))]
    return "\n".join(lines)


def example_keys(model: "type[BaseModel]") -> list[str]:
    """The keys of one table, those with a default commented out."""
    from agent.config.fields import keys_of, models_in
    from agent.config.schema import default_of
    from agent.units import shown

    lines = []
    for key, field in keys_of(model).items():
        if models_in(field.annotation):
            continue  # a table of its own
        default = default_of(model, key)
        optional = f"# {key} = {'...' if default is None else shown(default)}"
        lines.append(f"{key} = ..." if field.is_required() else optional)
    return lines
