"""The page's texts, out of the catalogue: the page itself has no sentence of its own."""

from collections.abc import Mapping
from typing import Final

from agent.kinds import FAULTS, KINDS
from agent.texts import Language, room_texts, template

PAGE: Final = "page-"


def own_names() -> Mapping[str, str]:
    """Each language by its own name, for the switch."""
    return dict(template("console.page-own-name").items())


def page_texts(language: Language) -> Mapping[str, Mapping[str, str]]:
    """`page`: what the page says, `{field}` for what it fills in; `faults` and `kinds`: their names."""
    return {
        "page": {
            name.removeprefix(PAGE): template(f"console.page-{name.removeprefix(PAGE)}")[language]
            for name in room_texts("console")
            if name.startswith(PAGE)
        },
        "faults": {name: template(f"kinds.{name}")[language] for name in FAULTS},
        "kinds": {name: template(f"kinds.{name}")[language] for name in KINDS},
    }
