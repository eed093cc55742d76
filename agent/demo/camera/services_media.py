"""The media services (ONVIF Media 5, Media2 5): profiles, encoders, addresses of streams and snapshots."""

from agent.demo.camera.camera import ROLES
from agent.demo.camera.services_host import Host
from agent.demo.camera.services_ptz import ptz_configuration
from agent.demo.camera.soap import Call, Fault, escape
from agent.demo.camera.spec import StreamSpec


def streams(host: Host) -> list[tuple[int, str, StreamSpec]]:
    """Every stream: number of its channel from 1, role, specification."""
    found = []
    for number in range(1, len(host.camera.channels) + 1):
        for role in ROLES:
            if stream := host.camera.stream(role):
                found.append((number, role, stream))
    return found


def profile_token(number: int, role: str) -> str:
    return f"profile_{number}_{role}"


def chosen(host: Host, call: Call) -> tuple[int, str, StreamSpec]:
    """The stream of the call's ProfileToken. Raises Fault."""
    token = call.text("ProfileToken")
    for number, role, stream in streams(host):
        if profile_token(number, role) == token:
            return number, role, stream
    raise Fault("ter:InvalidArgVal", f"no profile {token!r}")


def source_configuration(host: Host, number: int, tag: str) -> str:
    size = host.camera.spec.main
    return (
        f'<{tag} token="vsc_{number}"><tt:Name>vsc_{number}</tt:Name><tt:UseCount>2</tt:UseCount>'
        f'<tt:SourceToken>vs_{number}</tt:SourceToken><tt:Bounds x="0" y="0" width="{size.width}" '
        f'height="{size.height}"/></{tag}>'
    )


def encoder(host: Host, number: int, role: str, stream: StreamSpec, tag: str) -> str:
    """Media1's encoder configuration."""
    size = f"<tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height>"
    codec = "H264" if stream.codec == "h264" or host.camera.spec.media1_hides_h265 else "H265"
    return (
        f'<{tag} token="ve_{number}_{role}"><tt:Name>{role}</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{codec}'
        f"</tt:Encoding><tt:Resolution>{size}</tt:Resolution><tt:Quality>4</tt:Quality><tt:RateControl>"
        f"<tt:FrameRateLimit>{stream.fps}</tt:FrameRateLimit><tt:EncodingInterval>1</tt:EncodingInterval>"
        f"<tt:BitrateLimit>{stream.kbps}</tt:BitrateLimit></tt:RateControl><tt:H264><tt:GovLength>{stream.gop}"
        "</tt:GovLength><tt:H264Profile>Main</tt:H264Profile></tt:H264><tt:Multicast><tt:Address><tt:Type>IPv4"
        "</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address><tt:Port>0</tt:Port><tt:TTL>1</tt:TTL>"
        f"<tt:AutoStart>false</tt:AutoStart></tt:Multicast><tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
    )


def encoder2(number: int, role: str, stream: StreamSpec, tag: str) -> str:
    """Media2's (Media2 5.2.2): the group length and profile are attributes, H.265 has its name."""
    size = f"<tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height>"
    return (
        f'<{tag} token="ve_{number}_{role}" GovLength="{stream.gop}" Profile="Main"><tt:Name>{role}</tt:Name>'
        f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{stream.codec.upper()}</tt:Encoding><tt:Resolution>{size}"
        f"</tt:Resolution><tt:RateControl><tt:FrameRateLimit>{stream.fps}</tt:FrameRateLimit><tt:BitrateLimit>"
        f"{stream.kbps}</tt:BitrateLimit></tt:RateControl><tt:Quality>4</tt:Quality></{tag}>"
    )


def profile(host: Host, number: int, role: str, stream: StreamSpec, tag: str) -> str:
    ptz = ptz_configuration("tt:PTZConfiguration") if host.camera.spec.ptz else ""
    return (
        f'<{tag} token="{profile_token(number, role)}" fixed="true"><tt:Name>{role}{number}</tt:Name>'
        f"{source_configuration(host, number, 'tt:VideoSourceConfiguration')}"
        f"{encoder(host, number, role, stream, 'tt:VideoEncoderConfiguration')}{ptz}</{tag}>"
    )


def get_profiles(host: Host, _call: Call) -> str:
    inside = "".join(profile(host, *one, "trt:Profiles") for one in streams(host))
    return f"<trt:GetProfilesResponse>{inside}</trt:GetProfilesResponse>"


def get_profile(host: Host, call: Call) -> str:
    return f"<trt:GetProfileResponse>{profile(host, *chosen(host, call), 'trt:Profile')}</trt:GetProfileResponse>"


def get_profiles2(host: Host, call: Call) -> str:
    wanted = {(element.text or "").strip() for element in call.body if str(element.tag).endswith("}Type")}
    parts = []
    for number, role, stream in streams(host):
        inside = ""
        if wanted & {"All", "VideoSource"}:
            inside += source_configuration(host, number, "tr2:VideoSource")
        if wanted & {"All", "VideoEncoder"}:
            inside += encoder2(number, role, stream, "tr2:VideoEncoder")
        if host.camera.spec.ptz and wanted & {"All", "PTZ"}:
            inside += ptz_configuration("tr2:PTZ")
        parts.append(
            f'<tr2:Profiles token="{profile_token(number, role)}" fixed="true"><tr2:Name>{role}{number}</tr2:Name>'
            f"<tr2:Configurations>{inside}</tr2:Configurations></tr2:Profiles>"
        )
    return f"<tr2:GetProfilesResponse>{''.join(parts)}</tr2:GetProfilesResponse>"


def get_video_sources(host: Host, _call: Call) -> str:
    main = host.camera.spec.main
    size = f"<tt:Width>{main.width}</tt:Width><tt:Height>{main.height}</tt:Height>"
    inside = "".join(
        f'<trt:VideoSources token="vs_{number}"><tt:Framerate>{main.fps}</tt:Framerate><tt:Resolution>{size}'
        "</tt:Resolution></trt:VideoSources>"
        for number in range(1, len(host.camera.channels) + 1)
    )
    return f"<trt:GetVideoSourcesResponse>{inside}</trt:GetVideoSourcesResponse>"


def get_video_source_configurations(host: Host, call: Call) -> str:
    prefix = call.service
    tag = f"{prefix}:Configurations"
    inside = "".join(source_configuration(host, number + 1, tag) for number in range(len(host.camera.channels)))
    name = f"{prefix}:GetVideoSourceConfigurationsResponse"
    return f"<{name}>{inside}</{name}>"


def get_video_encoder_configurations(host: Host, call: Call) -> str:
    if call.service == "tr2":
        inside = "".join(encoder2(*one, "tr2:Configurations") for one in streams(host))
    else:
        inside = "".join(encoder(host, *one, "trt:Configurations") for one in streams(host))
    name = f"{call.service}:GetVideoEncoderConfigurationsResponse"
    return f"<{name}>{inside}</{name}>"


def get_stream_uri(host: Host, call: Call) -> str:
    number, role, _ = chosen(host, call)
    uri = escape(host.stream_uri(number, role))
    if call.service == "tr2":
        return f"<tr2:GetStreamUriResponse><tr2:Uri>{uri}</tr2:Uri></tr2:GetStreamUriResponse>"
    return f"<trt:GetStreamUriResponse>{media_uri(uri)}</trt:GetStreamUriResponse>"


def media_uri(uri: str) -> str:
    return (
        f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
    )


def get_snapshot_uri(host: Host, call: Call) -> str:
    number, _, _ = chosen(host, call)
    if not host.camera.spec.snapshot:
        raise Fault("ter:ActionNotSupported", "no snapshots", sender=False)
    uri = escape(f"{host.base()}/snapshot/{number}")
    if call.service == "tr2":
        return f"<tr2:GetSnapshotUriResponse><tr2:Uri>{uri}</tr2:Uri></tr2:GetSnapshotUriResponse>"
    return f"<trt:GetSnapshotUriResponse>{media_uri(uri)}</trt:GetSnapshotUriResponse>"
