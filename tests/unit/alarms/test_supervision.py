"""Devices that speak only when something happens are offline when their driver failed, and never by silence."""

from agent.config.models import DeviceSettings
from agent.texts import say
from tests.unit.alarms.scenario import SilentDriver, Site, device


class Radio(SilentDriver):
    """A driver of what is not heard while nothing happens."""

    name = "radio"
    supervised = False


def radio(**settings: float) -> Site:
    return Site(DeviceSettings(id="hall", name="接收机", driver="radio", settings=Radio(), **settings))


def offline(site: Site) -> bool:
    return site.engine.fault_stands("hall", None, "offline")


def test_silence_says_nothing_of_a_device_that_is_not_supervised() -> None:
    site = radio()
    site.take(site.engine.heard("hall", site.clock.moment()))
    site.go(86_400.0)
    assert not offline(site)


def test_it_is_offline_when_its_driver_never_came_to_it() -> None:
    site = radio()
    site.go(11.0)
    assert offline(site)


def test_it_is_offline_when_its_driver_failed_and_did_not_come_back() -> None:
    site = radio()
    site.take(site.engine.heard("hall", site.clock.moment()))
    site.go(3600.0)
    site.engine.failed("hall", say("runtime.driver-ended", device="hall"), site.clock.moment())
    site.go(9.0)
    assert not offline(site)
    site.go(2.0)
    assert offline(site)
    site.take(site.engine.heard("hall", site.clock.moment()))
    assert not offline(site)


def test_noise_alone_does_not_make_it_so() -> None:
    site = radio()
    site.take(site.engine.heard("hall", site.clock.moment()))
    site.engine.failed("hall", say("runtime.driver-ended", device="hall"), site.clock.moment(), down=False)
    site.go(3600.0)
    assert not offline(site)


def test_who_says_how_long_it_may_be_silent_has_it_supervised() -> None:
    site = radio(offline_after_s=60.0)
    site.take(site.engine.heard("hall", site.clock.moment()))
    site.go(61.0)
    assert offline(site)


def test_a_supervised_device_is_so_by_default() -> None:
    assert device([]).supervised
