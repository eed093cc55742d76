"""What is not watched over: buttons that may be dead without anybody knowing. Pure."""

from agent.config.models import DeviceSettings
from agent.config.report import Report
from agent.config.sections import Parts, build_device
from agent.kinds import KINDS
from agent.texts import say


def check_unsupervised(parts: Parts, report: Report) -> None:
    """A radio button whose battery is flat says nothing, and looks like one that nobody presses: it may be a second
    way to call for help, and not the only one."""
    whole = [(part, build_device(part)) for part in parts.devices if part.head is not None and part.driver is not None]
    if any(device.supervised and has_button(device) for _, device in whole):
        return
    for part, device in whole:
        if has_button(device):
            rule, remedy = say("config.supervised-button"), say("config.supervised-button-fix")
            report.warn((*part.at, "driver"), rule, found=device.driver, remedy=remedy)


def has_button(device: DeviceSettings) -> bool:
    """Whether somebody calls for help with it."""
    return any(KINDS[point.kind].button for point in device.points)
