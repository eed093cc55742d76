"""What was found, against what is configured and known."""

from dataclasses import dataclass, replace

from agent.skyeye.discovery import Found, compare, host_port, ports_by_host
from drivers.onvif import Onvif
from drivers.rtsp import Rtsp
from tests.unit.skyeye.inventory.cameras import camera

MAC, OTHER = "44:19:b6:00:11:22", "44:19:b6:ff:ff:ff"
HERE = Found("192.168.1.64", 80, "multicast", hardware="DS-2CD2032-I", mac=MAC)


@dataclass(frozen=True)
class Known:
    mac: str | None = None
    model: str | None = None
    hardware: str | None = None


def states(*args: object) -> list[tuple[str, tuple[str, ...]]]:
    return [(row.state, row.cameras) for row in compare(*args).rows]  # type: ignore[arg-type]


def test_new_known_and_gone() -> None:
    stranger = replace(HERE, address="192.168.1.99", mac=OTHER)
    away = camera("yard", address="192.168.1.70")
    assert states([HERE, stranger], [camera(), away]) == [("new", ()), ("gone", ("yard",)), ("known", ("gate",))]
    assert compare([HERE, stranger], [camera(), away]).new == (stranger,)


def test_another_mac_at_an_address_is_a_change() -> None:
    assert states([HERE], [camera()], {"gate": Known(mac=MAC)}) == [("known", ("gate",))]
    (row,) = compare([HERE], [camera()], {"gate": Known(mac=OTHER)}).rows
    assert row.state == "changed"
    assert OTHER in str(row.why)


def test_another_model_counts_only_without_macs_and_if_the_names_have_nothing_in_common() -> None:
    bare = replace(HERE, mac=None)
    assert states([bare], [camera()], {"gate": Known(model="IPC-HFW1120S")}) == [("changed", ("gate",))]
    assert states([HERE], [camera()], {"gate": Known(mac=MAC, model="IPC-HFW1120S")}) == [("known", ("gate",))]
    for same in ("DS-2CD2032-I", "ds 2cd2032 i", "HIKVISION DS-2CD2032-I", "2CD2032"):
        assert states([bare], [camera()], {"gate": Known(model=same)}) == [("known", ("gate",))]
    assert states([bare], [camera()], {"gate": Known(model="IPC", hardware="DS-2CD2032-I")}) == [("known", ("gate",))]


def test_a_known_mac_at_another_address_has_moved() -> None:
    moved = replace(HERE, address="192.168.1.99")
    (row,) = compare([moved], [camera()], {"gate": Known(mac=MAC)}).rows
    assert (row.state, row.cameras, row.address) == ("moved", ("gate",), "192.168.1.64")


def test_a_second_camera_with_a_known_mac_is_new_while_the_first_is_there() -> None:
    both = [HERE, replace(HERE, address="192.168.1.99")]
    assert [state for state, _ in states(both, [camera()], {"gate": Known(mac=MAC)})] == ["new", "known"]


def test_channels_of_a_recorder_are_one_place() -> None:
    channels = [camera(f"nvr-{n}", settings=Onvif(channel=n)) for n in (1, 2)]
    assert states([HERE], channels) == [("known", ("nvr-1", "nvr-2"))]
    assert states([], channels) == [("gone", ("nvr-1", "nvr-2"))]


def test_devices_behind_one_address_are_told_apart_by_their_ports() -> None:
    found = [replace(HERE, port=8001), replace(HERE, port=8002), replace(HERE, port=8003)]
    cameras = [camera("a", address="192.168.1.64:8001"), camera("b", settings=Onvif(port=8002))]
    assert states(found, cameras) == [("new", ()), ("known", ("a",)), ("known", ("b",))]


def test_places_by_settings() -> None:
    assert host_port(camera(address="http://cam.example:8080/onvif")) == ("cam.example", 8080)
    assert host_port(camera(address="192.168.1.9")) == ("192.168.1.9", 80)
    assert host_port(camera(driver="rtsp", settings=Rtsp())) == ("192.168.1.64", 554)
    assert host_port(camera(address="x:99999999")) == ("x:99999999", None)


def test_a_camera_that_is_configured_by_name_is_found_by_its_address() -> None:
    named = camera(address="gate.lan")
    assert states([HERE], [named], None, {"gate.lan": "192.168.1.64"}) == [("known", ("gate",))]


def test_a_camera_without_onvif_is_known_by_its_host() -> None:
    assert states([HERE], [camera(driver="rtsp", settings=Rtsp())]) == [("known", ("gate",))]


def test_cameras_behind_one_forwarding_address_are_each_at_their_port() -> None:
    cameras = [
        camera(id=f"c{port}", address=f"http://203.0.113.7:{port}", settings=Onvif()) for port in (8081, 8082, 8083)
    ]
    assert ports_by_host(cameras) == {"203.0.113.7": frozenset({8081, 8082, 8083})}
    found = [Found("203.0.113.7", port, "onvif") for port in (8081, 8083)]
    rows = compare(found, cameras).rows
    assert [(row.state, row.cameras) for row in rows] == [
        ("gone", ("c8082",)),
        ("known", ("c8081",)),
        ("known", ("c8083",)),
    ]
