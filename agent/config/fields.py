"""What is known of each key: the fields of a model by the names that TOML uses, and their texts."""

from collections.abc import Iterator
from types import GenericAlias, UnionType
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.config.problems import KeyPath
from agent.driver import Plugin
from agent.secrets import Secret
from agent.texts import Text, room_texts, say


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by TOML's keys."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def table_of(model: type[BaseModel]) -> str:
    """The first part of the keys of a model's texts: `uplink-tls`, `driver-modbus-io`."""
    return f"driver-{model.name}" if issubclass(model, Plugin) else str(getattr(model, "table", ""))


def field_text(model: type[BaseModel], key: str) -> Text | str | None:
    """What a key is for: from the catalogue, else as the field describes itself."""
    name = f"{table_of(model)}-{key.replace('_', '-')}"
    if name in room_texts("fields"):
        return say(f"fields.{name}")
    field = keys_of(model).get(key)
    return field.description if field else None


def model_at(model: type[BaseModel], path: KeyPath) -> type[BaseModel] | None:
    """The model of the table at `path` inside a table of `model`; None if there is none."""
    for part in path:
        if isinstance(part, int):
            continue  # the items of an array have the model that was found for it
        field = keys_of(model).get(part)
        found = models_in(field.annotation) if field else []
        if not found:
            return None
        model = found[0]
    return model


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and not isinstance(annotation, GenericAlias) and issubclass(annotation, BaseModel):
        return [annotation]
    is_compound = isinstance(annotation, UnionType | GenericAlias) or hasattr(annotation, "__args__")
    return [model for part in get_args(annotation) for model in models_in(part)] if is_compound else []


def tables_in(model: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables inside a model's, with their keys from it on: `("channel", ...)`, `("channel.level", ...)`."""
    for key, field in keys_of(model).items():
        for inner in models_in(field.annotation):
            yield key, inner
            yield from ((f"{key}.{deeper}", found) for deeper, found in tables_in(inner))


def secrets_of(table: BaseModel, at: KeyPath = ()) -> Iterator[tuple[KeyPath, Secret]]:
    """Every secret in settings, with where it stands."""
    for name, field in type(table).model_fields.items():
        yield from _secrets_in(getattr(table, name), (*at, field.alias or name))


def _secrets_in(value: object, at: KeyPath) -> Iterator[tuple[KeyPath, Secret]]:
    if isinstance(value, Secret):
        yield at, value
    elif isinstance(value, BaseModel):
        yield from secrets_of(value, at)
    elif isinstance(value, tuple):
        for position, item in enumerate(value):
            yield from _secrets_in(item, (*at, position))
