"""The district's broker configuration loads as it is shipped, and lets each side do what it must and nothing else."""

import re
import shutil
from pathlib import Path
from typing import Final

from tests.sims.broker import Broker, make_authority
from tests.sims.district import District
from tests.sims.uplink import SITE, school

CONFIG: Final = Path(__file__).parents[2] / "config"
USERS: Final = {"370812-sy-primary": "one", "370812-platform": "two", "370812-other": "three"}


def shipped(broker: Broker) -> str:
    """The options of the shipped file that a test may keep: all but its paths, its port and its logging."""
    text = (CONFIG / "mosquitto-district.conf").read_text(encoding="utf-8")
    ours = re.compile(
        r"^(listener|certfile|keyfile|password_file|acl_file|allow_anonymous|persistence_location|log_|con)"
    )
    kept = [line for line in text.splitlines() if line and not line.startswith("#") and not ours.match(line)]
    assert "persistence true" in kept
    assert "autosave_on_changes true" in kept
    return "\n".join(
        [*(line for line in kept if line != "max_queued_messages 100000"), f"persistence_location {broker.directory}/"]
    )


async def test_a_school_and_its_district_meet_on_the_shipped_configuration(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca")
    acl = (CONFIG / "mosquitto-district.acl").read_text(encoding="utf-8") + "\nuser 370812-other\n"
    broker = Broker(tmp_path / "mq", users=USERS, acl=acl, tls=authority)
    broker.directory.mkdir()
    broker.extra = shipped(broker)
    tls = {"ca": str(authority.ca)}
    with broker:
        async with (
            District(
                broker.port, SITE, username="370812-platform", password="two", ca=authority.ca, auto_receipts=True
            ) as district,
            school(tmp_path, broker.url, username="370812-sy-primary", password="one", tls=tls) as here,
        ):
            row = await here.press()
            await district.event(seq=row.seq)
            await here.until(lambda: here.uplink.status().receipts == "live")
            await here.delivered(row.seq)
            assert (await district.command("ping", {}))["ok"]
            assert here.journal.refused_count() == 0
            assert here.faults.get("broker") is None


async def test_another_school_may_not_speak_for_this_one(tmp_path: Path) -> None:
    acl = (CONFIG / "mosquitto-district.acl").read_text(encoding="utf-8")
    acl += "\nuser 370812-other\ntopic write campus/v1/370812/other/event/#\n"
    with Broker(tmp_path / "mq", users=USERS, acl=acl) as broker:
        async with school(tmp_path, broker.url, username="370812-other", password="three") as here:
            row = await here.press()
            await here.until(lambda: here.journal.delivery(row.seq) == "refused")
            assert "status" in str(await here.until(lambda: here.faults.get("broker")))


def test_the_whole_file_is_known_to_mosquitto(tmp_path: Path) -> None:
    """Only paths and the port are replaced, so that a misspelt option would end it."""
    authority = make_authority(tmp_path / "ca")
    text = (CONFIG / "mosquitto-district.conf").read_text(encoding="utf-8")
    (tmp_path / "passwords").write_text("")
    (tmp_path / "data").mkdir()
    shutil.copy(CONFIG / "mosquitto-district.acl", tmp_path)
    broker = Broker(tmp_path / "mq")
    for old, new in {
        "/etc/mosquitto/certs/server.pem": authority.cert,
        "/etc/mosquitto/certs/server.key": authority.key,
        "/etc/mosquitto/passwords": tmp_path / "passwords",
        "/etc/mosquitto/mosquitto-district.acl": tmp_path / "mosquitto-district.acl",
        "/var/lib/mosquitto/": f"{tmp_path}/data/",
        "listener 8883": f"user root\nlistener {broker.port} 127.0.0.1",
    }.items():
        assert old in text
        text = text.replace(old, str(new))
    broker.whole_config = text
    with broker:
        assert broker.running
