"""What a listing of events says of tries and faults."""

from agent.cli.events import about
from agent.cli.words import event_word


def test_what_was_not_brought_over_is_not_called_brought_over() -> None:
    assert event_word("campus.alarm.notified", "zh-CN") == "第二通道送达"
    assert event_word("campus.alarm.notified", "zh-CN", failed=True) == "第二通道未送达"
    assert event_word("campus.test.path", "en", failed=True) == "path test failed"
    assert event_word("campus.alarm.raised", "en", failed=True) == "alarm raised"


def test_a_line_names_the_fault_the_path_and_who_did_it() -> None:
    assert about({"name": "围墙", "fault": "bypassed"}, "zh-CN") == ["围墙", "布防时未关好"]
    assert about({"name": "门卫室", "path": "police"}, "en") == ["门卫室", "police"]
    assert about({"name": "围墙", "actor": "key:hall/key"}, "en") == ["围墙", "key:hall/key"]
    assert about({"verb": "arm", "actor": "李老师", "reason": "no"}, "en") == ["arm", "李老师", "no"]
