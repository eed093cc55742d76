"""The serial ports of this machine: which there are, who may open them, and who holds them."""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

BY_ID: Final = Path("/dev/serial/by-id")
"""udev's names: they stay with the adapter, whatever socket it is plugged into."""
PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class PortInfo:
    """One serial port. `path` is what configuration should name: the by-id link where there is one."""

    path: str
    device: str
    maker: str | None
    product: str | None
    serial: str | None
    usb_id: str | None
    group: str | None
    permitted: bool
    holder: str | None


def list_ports(by_id: Path = BY_ID, proc: Path = PROC) -> tuple[PortInfo, ...]:
    """List the serial ports, with who holds them as far as this user may see it. Blocks for some milliseconds."""
    from serial.tools.list_ports import comports

    links = dict(_links(by_id))
    found = []
    for port in comports():
        device = os.path.realpath(port.device)
        usb_id = f"{port.vid:04x}:{port.pid:04x}" if port.vid is not None and port.pid is not None else None
        found.append(
            PortInfo(
                path=links.get(device, port.device),
                device=port.device,
                maker=port.manufacturer,
                product=port.product,
                serial=port.serial_number,
                usb_id=usb_id,
                group=group_of(device),
                permitted=os.access(device, os.R_OK | os.W_OK),
                holder=holder(device, proc),
            )
        )
    return tuple(sorted(found, key=lambda info: info.path))


def port_names(by_id: Path = BY_ID) -> tuple[str, ...]:
    """Name the serial ports, the best name of each."""
    from serial.tools.list_ports import comports

    links = dict(_links(by_id))
    return tuple(sorted(links.get(os.path.realpath(port.device), port.device) for port in comports()))


def _links(by_id: Path) -> Iterator[tuple[str, str]]:
    if by_id.is_dir():
        for link in sorted(by_id.iterdir()):
            yield os.path.realpath(link), str(link)


def group_of(path: str) -> str | None:
    """Name the group that may use `path`; None if there is no such path or the group has no name."""
    try:
        return grp.getgrgid(Path(path).stat().st_gid).gr_name
    except (OSError, KeyError):
        return None


def user_name() -> str:
    """Name the user that this process runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def is_character_device(path: str) -> bool:
    """Whether `path` may be a serial port at all: neither a file nor a folder."""
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except OSError:
        return False


def holder(path: str, proc: Path = PROC) -> str | None:
    """Name a process that has `path` open, as "name (pid)"; None if there is none that this user may see."""
    device = os.path.realpath(path)
    own = str(os.getpid())
    for process in proc.iterdir():
        if process.name.isdigit() and process.name != own and _has_open(process, device):
            return f"{_command(process)} ({process.name})"
    return None


def _has_open(process: Path, device: str) -> bool:
    try:
        return any(os.readlink(entry) == device for entry in os.scandir(process / "fd"))  # noqa: PTH115 - a raw link
    except OSError:  # it has ended, or belongs to somebody else
        return False


def _command(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "?"
