"""The PTZ service (ONVIF PTZ 5): moves, presets, status."""

from typing import Final

from agent.demo.camera.camera import Camera
from agent.demo.camera.pictures import View
from agent.demo.camera.services_host import Host
from agent.demo.camera.soap import BadSoap, Call, Fault, escape, parse_span, quoteattr, stamp

MOST_S: Final = 60.0
"""The longest continuous move."""


def ptz_configuration(tag: str, token: str = "ptz_1") -> str:  # noqa: S107 - ONVIF's word for an id
    space = "http://www.onvif.org/ver10/tptz/PanTiltSpaces/VelocityGenericSpace"
    zoom = "http://www.onvif.org/ver10/tptz/ZoomSpaces/VelocityGenericSpace"
    return (
        f'<{tag} token="{token}"><tt:Name>ptz</tt:Name><tt:UseCount>2</tt:UseCount><tt:NodeToken>node_1</tt:NodeToken>'
        f"<tt:DefaultContinuousPanTiltVelocitySpace>{space}</tt:DefaultContinuousPanTiltVelocitySpace>"
        f"<tt:DefaultContinuousZoomVelocitySpace>{zoom}</tt:DefaultContinuousZoomVelocitySpace>"
        f"<tt:DefaultPTZTimeout>PT10S</tt:DefaultPTZTimeout></{tag}>"
    )


def moving(host: Host) -> Camera:
    if not host.camera.spec.ptz:
        raise Fault("ter:NoPTZProfile", "not a moving camera")
    return host.camera


def node(tag: str) -> str:
    return (
        f'<{tag} token="node_1" FixedHomePosition="false"><tt:Name>node</tt:Name><tt:SupportedPTZSpaces/>'
        f"<tt:MaximumNumberOfPresets>64</tt:MaximumNumberOfPresets><tt:HomeSupported>true</tt:HomeSupported></{tag}>"
    )


def get_nodes(host: Host, _call: Call) -> str:
    moving(host)
    return f"<tptz:GetNodesResponse>{node('tptz:PTZNode')}</tptz:GetNodesResponse>"


def get_node(host: Host, _call: Call) -> str:
    moving(host)
    return f"<tptz:GetNodeResponse>{node('tptz:PTZNode')}</tptz:GetNodeResponse>"


def get_ptz_configurations(host: Host, _call: Call) -> str:
    moving(host)
    inside = ptz_configuration("tptz:PTZConfiguration")
    return f"<tptz:GetConfigurationsResponse>{inside}</tptz:GetConfigurationsResponse>"


def get_status(host: Host, _call: Call) -> str:
    turret = moving(host).turret
    state = "MOVING" if turret.moving else "IDLE"
    return (
        f"<tptz:GetStatusResponse><tptz:PTZStatus>{position('tt:Position', turret.view())}<tt:MoveStatus><tt:PanTilt>"
        f"{state}</tt:PanTilt><tt:Zoom>{state}</tt:Zoom></tt:MoveStatus><tt:UtcTime>{stamp(host.camera.now())}"
        "</tt:UtcTime></tptz:PTZStatus></tptz:GetStatusResponse>"
    )


def position(tag: str, view: View) -> str:
    return f'<{tag}><tt:PanTilt x="{view.pan:.4f}" y="{view.tilt:.4f}"/><tt:Zoom x="{view.zoom:.4f}"/></{tag}>'


def asked(call: Call) -> View:
    return View(call.number("PanTilt", "x"), call.number("PanTilt", "y"), call.number("Zoom", "x"))


def continuous_move(host: Host, call: Call) -> str:
    seconds = None
    if timeout := call.text("Timeout"):
        try:
            seconds = min(MOST_S, max(0.0, parse_span(timeout, host.camera.now())))
        except BadSoap as error:
            raise Fault("ter:InvalidArgVal", str(error)) from None
    moving(host).turret.move(asked(call), seconds)
    return "<tptz:ContinuousMoveResponse/>"


def absolute_move(host: Host, call: Call) -> str:
    moving(host).turret.place(asked(call))
    return "<tptz:AbsoluteMoveResponse/>"


def relative_move(host: Host, call: Call) -> str:
    turret, by = moving(host).turret, asked(call)
    at = turret.view()
    turret.place(View(at.pan + by.pan, at.tilt + by.tilt, at.zoom + by.zoom))
    return "<tptz:RelativeMoveResponse/>"


def stop(host: Host, _call: Call) -> str:
    moving(host).turret.stop()
    return "<tptz:StopResponse/>"


def goto_home(host: Host, _call: Call) -> str:
    moving(host).turret.place(View())
    return "<tptz:GotoHomePositionResponse/>"


def get_presets(host: Host, _call: Call) -> str:
    inside = "".join(
        f"<tptz:Preset token={quoteattr(token)}><tt:Name>{escape(name)}</tt:Name>{position('tt:PTZPosition', view)}"
        "</tptz:Preset>"
        for token, (name, view) in moving(host).turret.presets.items()
    )
    return f"<tptz:GetPresetsResponse>{inside}</tptz:GetPresetsResponse>"


def set_preset(host: Host, call: Call) -> str:
    try:
        token = moving(host).turret.save((call.text("PresetName") or "")[:64], call.text("PresetToken"))
    except KeyError:
        raise Fault("ter:NoToken", "no such preset, or no room for another") from None
    return f"<tptz:SetPresetResponse><tptz:PresetToken>{escape(token)}</tptz:PresetToken></tptz:SetPresetResponse>"


def goto_preset(host: Host, call: Call) -> str:
    try:
        moving(host).turret.goto(call.text("PresetToken") or "")
    except KeyError:
        raise Fault("ter:NoToken", "no such preset") from None
    return "<tptz:GotoPresetResponse/>"


def remove_preset(host: Host, call: Call) -> str:
    if moving(host).turret.presets.pop(call.text("PresetToken") or "", None) is None:
        raise Fault("ter:NoToken", "no such preset")
    return "<tptz:RemovePresetResponse/>"
