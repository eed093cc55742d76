"""What holds for all rules: a restart at any time is no restart, the order of a group is no matter, what two negations
say is what none says, and the index overlooks nothing."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.rulebook import RuleSettings
from tests.unit.rules.story import School, rule

PLACES = ("hall/a", "hall/b")
MEASURE = "hall/0"
FEW = settings(max_examples=60, deadline=None)
MORE = settings(max_examples=150, deadline=None)

durations = st.sampled_from(["1s", "2s", "5s"])


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(
            lambda place, state: {"point": place, "state": state},
            st.sampled_from(PLACES),
            st.sampled_from(["on", "off", "alarm", "idle", "acknowledged"]),
        ),
        st.builds(
            lambda limit, hysteresis: {"measure": MEASURE, "above": limit, "hysteresis": hysteresis},
            st.sampled_from([5.0, 10.0]),
            st.sampled_from([0.0, 2.0]),
        ),
        st.builds(
            lambda count, within: {"events": {"type": "campus.access.denied", "at_least": count, "within": within}},
            st.integers(1, 3),
            durations,
        ),
        st.builds(lambda time: {"absent": {"kind": "guard-tour", "type": "campus.access.*", "for": time}}, durations),
        st.builds(
            lambda within: {"sequence": {"steps": [{"kind": "door"}, {"kind": "guard-tour"}], "within": within}},
            durations,
        ),
        st.just({"fault": "offline", "device": "hall"}),
        st.just({"when": {"times": ["08:00-08:01"]}}),
    )


def lasting(condition: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(condition, st.builds(lambda one, time: {**one, "for": time}, condition, durations))


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    return st.recursive(
        lasting(leaves()),
        lambda inner: lasting(
            st.one_of(
                st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
                st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
                st.builds(lambda part: {"not": part}, inner),
            )
        ),
        max_leaves=5,
    )


steps = st.lists(
    st.one_of(
        st.tuples(st.just("go"), st.sampled_from([1.0, 0.5, 2.0, 30.0])),
        st.tuples(st.just("go"), st.just(1.0)),
        st.tuples(st.just("point"), st.sampled_from(PLACES), st.sampled_from([True, False])),
        st.tuples(st.just("measure"), st.sampled_from([4.0, 6.0, 9.0, 11.0])),
        st.tuples(st.just("event"), st.sampled_from(["door", "guard-tour", "door-denied"])),
        st.tuples(st.just("offline"), st.booleans()),
    ),
    min_size=2,
    max_size=14,
)
TYPES = {"door": "campus.access.opened", "guard-tour": "campus.access.tour", "door-denied": "campus.access.denied"}


def play(school: School, step: tuple[Any, ...]) -> None:
    match step:
        case ("go", seconds):
            school.go(seconds)
        case ("point", place, value):
            school.point(place, value)
        case ("measure", value):
            school.measure(MEASURE, value)
        case ("event", kind):
            school.event(type=TYPES[kind], kind=kind, device="hall")
        case ("offline", stands):
            school.fault("offline", stands, "hall")


def heard(rules: list[RuleSettings], story: list[tuple[Any, ...]], restart_at: int | None = None) -> list[str]:
    school = School(rules)
    for number, step in enumerate([("offline", False), *story]):
        if number == restart_at:
            school.restart()
        play(school, step)
    return school.heard()


@MORE
@given(conditions(), lasting(leaves()), steps)
def test_a_restart_at_any_time_is_no_restart(condition: dict[str, Any], simple: dict[str, Any], story: Any) -> None:
    rules = [rule(condition, hold="2s"), rule(condition, id="at-once"), rule(simple, id="simple", hold="1s")]
    without = heard(rules, story)
    for at in range(1, len(story) + 1):
        assert heard(rules, story, at) == without


@FEW
@given(st.lists(conditions(), min_size=2, max_size=4), st.sampled_from(["all", "any"]), steps, st.randoms())
def test_the_order_of_a_group_is_no_matter(parts: list[dict[str, Any]], group: str, story: Any, random: Any) -> None:
    other = [*parts]
    random.shuffle(other)
    assert heard([rule({group: parts})], story) == heard([rule({group: other})], story)


@FEW
@given(conditions(), steps)
def test_two_negations_are_none(condition: dict[str, Any], story: Any) -> None:
    assert heard([rule({"not": {"not": condition}})], story) == heard([rule(condition)], story)


@FEW
@given(conditions(), conditions(), steps)
def test_what_is_not_true_of_both_is_untrue_of_one(one: dict[str, Any], two: dict[str, Any], story: Any) -> None:
    both = rule({"not": {"all": [one, two]}})
    either = rule({"any": [{"not": one}, {"not": two}]})
    assert heard([both], story) == heard([either], story)


@FEW
@given(conditions(), steps)
def test_the_index_overlooks_nothing(condition: dict[str, Any], story: Any) -> None:
    """Judging every rule after every fact finds nothing that was not found."""
    school = School([rule(condition)])
    for step in story:
        play(school, step)
        assert school.engine.look(school.clock.moment()) == ()


@FEW
@given(conditions(), steps)
def test_nothing_is_due_that_changes_nothing_for_ever(condition: dict[str, Any], story: Any) -> None:
    """A timer that is served moves on: there is no busy loop."""
    school = School([rule(condition)])
    for step in story:
        play(school, step)
        due_ns = school.engine.next_due_ns()
        assert due_ns is None or due_ns > school.clock.boottime_ns()
