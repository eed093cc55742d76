"""SIA codes: what hosts write, what it means, and whatever else may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.driver import BadFrame, Sample
from agent.kinds import KINDS
from drivers._contact_id import PanelInputs
from drivers._sia import CODES, EVENTS_MAX, TEXT_MAX, Event, decode, samples

ONE = PanelInputs(("1234",))
TWO = PanelInputs(("1234", "5678"))


def told(data: str, inputs: PanelInputs = ONE) -> list[Sample]:
    return [sample for event in decode(data) for sample in samples("1234", event, inputs, 7)]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        ("Nri1/BA001^大门^", [Event("BA", "001", "1", "", "大门")]),
        ("Nri1/BA12", [Event("BA", "12", "1")]),
        ("Nri1BA012", [Event("BA", "012", "1")]),
        ("NHB0003", [Event("HB", "0003")]),
        ("NNL2", [Event("NL", "2")]),
        ("NL2", [Event("NL", "2")]),
        ("OP001", [Event("OP", "001")]),
        ("NRR|Atest", [Event("RR", "", text="test")]),
        ("Nti20:50:26RP99", [Event("RP", "99")]),
        ("Nti19:44/id1/ri4/RP", [Event("RP", "", "4", "1")]),
        ("Nri01^TOTAL^/LX901^centrale d'alarme^", [Event("LX", "901", "01", "", "centrale d'alarme")]),
        ("Nri04/OP001*'NM", [Event("OP", "001", "04", "", "NM")]),
        ("Nid3/ri2/OP3^Jérôme^", [Event("OP", "3", "2", "3", "Jérôme")]),
        ("NCL001/id0007", [Event("CL", "001", "", "0007")]),
        ("Nri1/id0007/pm03/CL001", [Event("CL", "001", "1", "0007")]),
        ("Nri1/BA01/BA02", [Event("BA", "01", "1"), Event("BA", "02", "1")]),
        ("1234|NFA129", [Event("FA", "129")]),
    ],
)  # fmt: skip
def test_what_hosts_write_is_read(data: str, events: list[Event]) -> None:
    assert list(decode(data)) == events


def test_a_text_in_gb2312_is_read() -> None:
    data = "Nri1/BA001^门卫室^".encode("gb2312").decode("utf-8", "surrogateescape")
    assert decode(data)[0].text == "门卫室"


@pytest.mark.parametrize("data", ["", "N", "hello", "Nri1", "#1234", "^^^", "|||"])
def test_data_without_a_code_is_a_bad_frame(data: str) -> None:
    with pytest.raises(BadFrame):
        decode(data)


@given(data=st.text(max_size=300) | st.binary(max_size=300).map(lambda raw: raw.decode("utf-8", "surrogateescape")))
def test_any_data_is_some_events_or_a_bad_frame(data: str) -> None:
    try:
        events = decode(data)
    except BadFrame:
        return
    assert 0 < len(events) <= EVENTS_MAX
    for event in events:
        assert len(event.text) <= TEXT_MAX
        assert event.text.isprintable()
        assert samples("1234", event, ONE, 7)


def test_an_alarm_and_its_restore_are_one_input_with_more_general_names() -> None:
    (alarm,) = told("Nri1/BA3^北墙^")
    assert (alarm.input, alarm.also, alarm.value, alarm.kind) == ("BA/003", ("zone-003", "BA"), True, "intrusion")
    assert alarm.detail == {"account": "1234", "code": "BA", "zone": "003", "partition": "01", "text": "北墙"}
    assert alarm.press
    restores = {sample.input: sample.value for sample in told("Nri1/BR003")}
    assert restores["BA/003"] is False
    assert restores["BT/003"] is False


def test_a_button_falls_back_by_itself_because_hosts_tell_no_release() -> None:
    (press,) = told("Nri1/PA9")
    assert press.kind == "panic"
    assert press.hold_s is not None
    assert told("NBA9")[0].hold_s is None


def test_names_of_several_accounts_begin_with_the_account() -> None:
    (alarm,) = told("NBA003", TWO)
    assert (alarm.input, alarm.also) == ("1234:BA/003", ("1234:zone-003", "1234:BA"))


@pytest.mark.parametrize(
    ("data", "input_", "value"),
    [
        ("Nri2/CL7", "armed-02", True),
        ("Nri2/OP7", "armed-02", False),
        ("NNL3", "armed-03", True),
        ("NOP1", "armed-00", False),
    ],
)
def test_arming_is_one_input_of_an_area(data: str, input_: str, value: bool) -> None:
    (sample,) = told(data)
    assert (sample.input, sample.also, sample.value, sample.kind) == (input_, ("armed",), value, "armed")


def test_who_armed_is_in_the_detail() -> None:
    assert told("Nri2/CL7")[0].detail["user"] == "007"
    assert told("Nri2/id12/CL0")[0].detail["user"] == "12"


def test_what_does_not_last_is_a_pulse() -> None:
    on, off = told("NDD5")
    assert (on.input, on.kind, on.value, off.value) == ("DD/005", "door-denied", True, False)


def test_an_unknown_code_is_told_and_is_no_alarm() -> None:
    assert [sample.kind for sample in told("NQQ99")] == ["input", None]


def test_every_kind_is_one_that_the_agent_knows() -> None:
    assert {meaning.kind for meaning in CODES.values()} <= set(KINDS)


def test_whatever_begins_can_end() -> None:
    begun = {meaning.on for meaning in CODES.values() if meaning.on and not meaning.falls_back}
    ended = {code for meaning in CODES.values() for code in meaning.off}
    assert begun <= ended
