"""Who may import whom (docs/architecture.md): the folders are the order."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Each room may import itself, what stands in the rows above it, and of its own row nothing but what `BESIDE` says.
ROWS: list[set[str]] = [
    {"agent", "texts", "units", "share", "childhood"},
    {"model", "clock", "kinds", "secrets", "logs", "backoff", "bucket", "ports"},
    {"camera", "path"},
    {"driver"},
    {"bus"},
    {"config"},
    {"alarms", "journal", "rules"},
    {"uplink", "control"},
    {"runtime", "skyeye", "console"},
    {"demo"},
    {"cli"},
]
BESIDE: dict[str, set[str]] = {
    "clock": {"model"},
    "kinds": {"model"},
    "backoff": {"clock"},
    "bucket": {"clock"},
    "agent": set(),
    "units": {"texts"},
    "share": {"agent"},
}
ONLY_IN: dict[str, tuple[str, ...]] = {
    "paho": ("agent/uplink/mqtt.py",),
    "sqlite3": ("agent/journal/",),
    "sqlite_utils": ("agent/journal/",),
    "typer": ("agent/cli/",),
    "rich": ("agent/cli/", "agent/demo/"),
    "amqtt": ("agent/demo/",),
    "aiohttp": ("agent/console/", "agent/skyeye/", "agent/demo/"),
    "jinja2": ("agent/console/",),
    "av": ("agent/skyeye/", "agent/demo/camera/"),
    "cv2": ("agent/skyeye/", "agent/demo/camera/"),
    "numpy": ("agent/skyeye/", "agent/demo/camera/"),
    "xlsxwriter": ("agent/skyeye/inventory/",),
    "zeep": (),
    "onvif": (),
}
APART = {"skyeye", "console"}
NOT_FOR_THEM = {"journal", "alarms", "uplink", "bus"}
DRIVERS_MAY = {"agent.driver"}
NEVER_IN_CORE = {"av", "cv2", "zeep", "onvif", "numpy"}


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def imported(path: Path) -> tuple[tuple[int, str], ...]:
    """Line and module of every import of a file, inside functions and under TYPE_CHECKING too."""
    return tuple(imports(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    package = path.relative_to(ROOT).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: -node.level]) + "." if node.level else ""
            name = base + (node.module or "")
            if name == "agent":
                yield from ((node.lineno, f"agent.{alias.name}") for alias in node.names if alias.name != "__version__")
            else:
                yield node.lineno, name


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "agent"


def row_of(room: str) -> int:
    return next(number for number, row in enumerate(ROWS) if room in row)


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_every_room_has_its_row() -> None:
    known = set().union(*ROWS)
    there = {room_of(name_of(path)) for path in modules("agent")}
    assert there <= known


def test_rooms_import_only_what_stands_above_them() -> None:
    wrong = []
    for path in modules("agent"):
        own = room_of(name_of(path))
        for line, module in imported(path):
            if module.split(".")[0] != "agent":
                continue
            room = room_of(module)
            if room != own and row_of(room) >= row_of(own) and room not in BESIDE.get(own, set()):
                wrong.append(f"{path.relative_to(ROOT)}:{line} ({own}) imports {module}")
    assert wrong == []


def test_drivers_import_the_driver_contract_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules("drivers")
        for line, module in imported(path)
        if module.split(".")[0] == "agent" and module not in DRIVERS_MAY
    ]
    assert wrong == []


def test_only_the_configuration_finds_drivers() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules("agent")
        for line, module in imported(path)
        if module.split(".")[0] == "drivers" and not path.is_relative_to(ROOT / "agent" / "demo")
    ]
    assert wrong == []


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_library_has_its_one_home(library: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in modules("agent")
        for line, module in imported(path)
        if module.split(".")[0] == library and not str(path.relative_to(ROOT)).startswith(ONLY_IN[library])
    ]
    assert wrong == []


def test_the_other_processes_reach_the_core_through_its_socket_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in modules("agent")
        for line, module in imported(path)
        if room_of(name_of(path)) in APART and module.split(".")[0] == "agent" and room_of(module) in NOT_FOR_THEM
    ]
    assert wrong == []


def test_camera_drivers_load_what_is_heavy_only_when_a_camera_is_opened() -> None:
    statement = "from agent.config.drivers import camera_driver_names\nassert camera_driver_names()"
    assert loaded_after(statement) & NEVER_IN_CORE == set()


def test_a_driver_is_loaded_without_the_others() -> None:
    code = "import sys\nfrom agent.config.drivers import find_driver\nfind_driver('line-contact')\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in done.stdout.split() if name.startswith("drivers.")] == ["drivers.line_contact"]


def test_a_child_limits_itself_before_anything_heavy_is_loaded() -> None:
    assert loaded_after("import agent.childhood") & {*HEAVY, *NEVER_IN_CORE, "asyncio"} == set()


def loaded_after(statement: str) -> set[str]:
    """Name the top-level modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


HEAVY = {"pydantic", "pydantic_core", "paho", "rich", "sqlite3", "sqlite_utils", "serial", "pymodbus", "cryptography"}


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_after("import agent.cli") & {*HEAVY, "typer", "asyncio"} == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_after("from agent.cli import main\nmain(['--help'])") & HEAVY == set()


def test_help_of_a_command_loads_nothing_heavy() -> None:
    statement = "from agent.cli import main\nmain(['events', 'list', '--help'])"
    assert (
        loaded_after(statement) & (HEAVY - {"pydantic", "pydantic_core"}) == set()
    )  # pydantic reads typer's arguments


def test_the_daemon_never_loads_the_command_line() -> None:
    unwanted = {"typer", "rich", "sqlite_utils", "amqtt", "aiohttp", "jinja2", *NEVER_IN_CORE}
    assert loaded_after("import agent.runtime.__main__") & unwanted == set()
