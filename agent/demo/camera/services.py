"""What the ONVIF services answer: device and search here, media, PTZ and events beside it. Each function takes one call
and returns the inside of the body; it raises Fault for what cannot be done."""

from datetime import timedelta
from typing import Final
from urllib.parse import quote

from agent.demo.camera.camera import Camera
from agent.demo.camera.services_host import Answer, Host
from agent.demo.camera.services_media import (
    get_profile,
    get_profiles,
    get_profiles2,
    get_snapshot_uri,
    get_stream_uri,
    get_video_encoder_configurations,
    get_video_source_configurations,
    get_video_sources,
)
from agent.demo.camera.services_ptz import (
    absolute_move,
    continuous_move,
    get_node,
    get_nodes,
    get_presets,
    get_ptz_configurations,
    get_status,
    goto_home,
    goto_preset,
    relative_move,
    remove_preset,
    set_preset,
    stop,
)
from agent.demo.camera.soap import NAMES, Call, Fault, escape, stamp

VERSIONS: Final = "<tt:Major>2</tt:Major><tt:Minor>60</tt:Minor>"
PATHS: Final = {
    "tds": "device_service",
    "trt": "media_service",
    "tr2": "media2_service",
    "tptz": "ptz_service",
    "tev": "event_service",
    "tse": "search_service",
}


# device (ONVIF Core 8)


def get_system_date_and_time(host: Host, _call: Call) -> str:
    now = host.camera.now()
    clock = f"<tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second>"
    day = f"<tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
    when = f"<tt:Time>{clock}</tt:Time><tt:Date>{day}</tt:Date>"
    return (
        "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
        "<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone>"
        f"<tt:UTCDateTime>{when}</tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>"
    )


def get_device_information(host: Host, _call: Call) -> str:
    who = {name: escape(str(value)) for name, value in host.camera.identity.items()}
    return (
        f"<tds:GetDeviceInformationResponse><tds:Manufacturer>{who['maker']}</tds:Manufacturer>"
        f"<tds:Model>{who['model']}</tds:Model><tds:FirmwareVersion>{who['firmware']}</tds:FirmwareVersion>"
        f"<tds:SerialNumber>{who['serial']}</tds:SerialNumber><tds:HardwareId>{who['hardware']}</tds:HardwareId>"
        "</tds:GetDeviceInformationResponse>"
    )


def offered(host: Host) -> list[str]:
    """The services that this camera has."""
    spec = host.camera.spec
    has = {
        "tr2": spec.media2,
        "tptz": spec.ptz,
        "tev": spec.events,
        "tse": host.camera.recordings_days is not None,
    }
    return [prefix for prefix in PATHS if has.get(prefix, True)]


def xaddr(host: Host, prefix: str) -> str:
    return escape(f"{host.base()}/onvif/{PATHS[prefix]}")


def get_capabilities(host: Host, _call: Call) -> str:
    has = offered(host)
    parts = [
        f"<tt:Device><tt:XAddr>{xaddr(host, 'tds')}</tt:XAddr><tt:System><tt:DiscoveryResolve>false"
        "</tt:DiscoveryResolve><tt:DiscoveryBye>false</tt:DiscoveryBye><tt:RemoteDiscovery>false</tt:RemoteDiscovery>"
        "<tt:SystemBackup>false</tt:SystemBackup><tt:SystemLogging>false</tt:SystemLogging><tt:FirmwareUpgrade>false"
        f"</tt:FirmwareUpgrade><tt:SupportedVersions>{VERSIONS}</tt:SupportedVersions></tt:System></tt:Device>"
    ]
    if "tev" in has:
        parts.append(
            f"<tt:Events><tt:XAddr>{xaddr(host, 'tev')}</tt:XAddr><tt:WSSubscriptionPolicySupport>false"
            "</tt:WSSubscriptionPolicySupport><tt:WSPullPointSupport>true</tt:WSPullPointSupport>"
            "<tt:WSPausableSubscriptionManagerInterfaceSupport>false"
            "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
        )
    parts.append(
        f"<tt:Media><tt:XAddr>{xaddr(host, 'trt')}</tt:XAddr><tt:StreamingCapabilities><tt:RTPMulticast>false"
        "</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP>"
        "</tt:StreamingCapabilities></tt:Media>"
    )
    if "tptz" in has:
        parts.append(f"<tt:PTZ><tt:XAddr>{xaddr(host, 'tptz')}</tt:XAddr></tt:PTZ>")
    if "tse" in has:
        search = f"<tt:Search><tt:XAddr>{xaddr(host, 'tse')}</tt:XAddr><tt:MetadataSearch>false</tt:MetadataSearch>"
        parts.append(f"<tt:Extension>{search}</tt:Search></tt:Extension>")
    inside = "".join(parts)
    return f"<tds:GetCapabilitiesResponse><tds:Capabilities>{inside}</tds:Capabilities></tds:GetCapabilitiesResponse>"


def get_services(host: Host, _call: Call) -> str:
    inside = "".join(
        f"<tds:Service><tds:Namespace>{NAMES[prefix]}</tds:Namespace><tds:XAddr>{xaddr(host, prefix)}</tds:XAddr>"
        f"<tds:Version>{VERSIONS}</tds:Version></tds:Service>"
        for prefix in offered(host)
    )
    return f"<tds:GetServicesResponse>{inside}</tds:GetServicesResponse>"


def get_network_interfaces(host: Host, _call: Call) -> str:
    mac, address = escape(str(host.camera.identity["mac"])), escape(host.camera.host)
    return (
        '<tds:GetNetworkInterfacesResponse><tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled><tt:Info>'
        f"<tt:Name>eth0</tt:Name><tt:HwAddress>{mac}</tt:HwAddress><tt:MTU>1500</tt:MTU></tt:Info><tt:IPv4><tt:Enabled>"
        f"true</tt:Enabled><tt:Config><tt:Manual><tt:Address>{address}</tt:Address><tt:PrefixLength>24"
        "</tt:PrefixLength></tt:Manual><tt:DHCP>false</tt:DHCP></tt:Config></tt:IPv4></tds:NetworkInterfaces>"
        "</tds:GetNetworkInterfacesResponse>"
    )


def scopes(camera: Camera) -> list[str]:
    """What discovery and GetScopes tell."""
    base = "onvif://www.onvif.org/"
    found = [f"{base}type/video_encoder", f"{base}Profile/Streaming", f"{base}name/{quote(camera.name)}"]
    found += [f"{base}hardware/{quote(str(camera.identity['model']))}", f"{base}location/country/china"]
    if camera.spec.media2:
        found.append(f"{base}Profile/T")
    if camera.spec.ptz:
        found.append(f"{base}type/ptz")
    return found


def get_scopes(host: Host, _call: Call) -> str:
    inside = "".join(
        f"<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>{escape(scope)}</tt:ScopeItem></tds:Scopes>"
        for scope in scopes(host.camera)
    )
    return f"<tds:GetScopesResponse>{inside}</tds:GetScopesResponse>"


def get_hostname(host: Host, _call: Call) -> str:
    name = escape(host.camera.spec.id)
    inside = f"<tt:FromDHCP>false</tt:FromDHCP><tt:Name>{name}</tt:Name>"
    inside = f"<tds:HostnameInformation>{inside}</tds:HostnameInformation>"
    return f"<tds:GetHostnameResponse>{inside}</tds:GetHostnameResponse>"


def get_service_capabilities(_host: Host, call: Call) -> str:
    extra = {"tev": ' WSPullPointSupport="true" MaxPullPoints="4"', "trt": ' SnapshotUri="true"'}.get(call.service, "")
    name = f"{call.service}:GetServiceCapabilitiesResponse"
    return f"<{name}><{call.service}:Capabilities{extra}/></{name}>"


# recordings (Recording Search 5.3)


def get_recording_summary(host: Host, _call: Call) -> str:
    now, days = host.camera.now(), host.camera.recordings_days
    if days is None:
        raise Fault("ter:ActionNotSupported", "no recordings", sender=False)
    return (
        "<tse:GetRecordingSummaryResponse><tse:Summary>"
        f"<tt:DataFrom>{stamp(now - timedelta(days=days))}</tt:DataFrom><tt:DataUntil>{stamp(now)}</tt:DataUntil>"
        f"<tt:NumberRecordings>{len(host.camera.channels)}</tt:NumberRecordings></tse:Summary>"
        "</tse:GetRecordingSummaryResponse>"
    )


BEFORE_LOGIN: Final = frozenset(
    {"GetSystemDateAndTime", "GetServices", "GetCapabilities", "GetServiceCapabilities", "GetHostname"}
)
"""The access class PRE_AUTH (ONVIF Core 5.9.4.3)."""
ANSWERS: Final[dict[tuple[str, str], Answer]] = {
    ("tds", "GetSystemDateAndTime"): get_system_date_and_time,
    ("tds", "GetDeviceInformation"): get_device_information,
    ("tds", "GetCapabilities"): get_capabilities,
    ("tds", "GetServices"): get_services,
    ("tds", "GetNetworkInterfaces"): get_network_interfaces,
    ("tds", "GetScopes"): get_scopes,
    ("tds", "GetHostname"): get_hostname,
    ("trt", "GetProfiles"): get_profiles,
    ("trt", "GetProfile"): get_profile,
    ("trt", "GetVideoSources"): get_video_sources,
    ("trt", "GetVideoSourceConfigurations"): get_video_source_configurations,
    ("trt", "GetVideoEncoderConfigurations"): get_video_encoder_configurations,
    ("trt", "GetStreamUri"): get_stream_uri,
    ("trt", "GetSnapshotUri"): get_snapshot_uri,
    ("tr2", "GetProfiles"): get_profiles2,
    ("tr2", "GetVideoSourceConfigurations"): get_video_source_configurations,
    ("tr2", "GetVideoEncoderConfigurations"): get_video_encoder_configurations,
    ("tr2", "GetStreamUri"): get_stream_uri,
    ("tr2", "GetSnapshotUri"): get_snapshot_uri,
    ("tse", "GetRecordingSummary"): get_recording_summary,
    ("tptz", "GetNodes"): get_nodes,
    ("tptz", "GetNode"): get_node,
    ("tptz", "GetConfigurations"): get_ptz_configurations,
    ("tptz", "GetStatus"): get_status,
    ("tptz", "ContinuousMove"): continuous_move,
    ("tptz", "AbsoluteMove"): absolute_move,
    ("tptz", "RelativeMove"): relative_move,
    ("tptz", "Stop"): stop,
    ("tptz", "GotoHomePosition"): goto_home,
    ("tptz", "GetPresets"): get_presets,
    ("tptz", "SetPreset"): set_preset,
    ("tptz", "GotoPreset"): goto_preset,
    ("tptz", "RemovePreset"): remove_preset,
    **{(prefix, "GetServiceCapabilities"): get_service_capabilities for prefix in PATHS},
}
