"""Random interleavings of everything that happens to a journal, against a model of a few dictionaries."""

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.journal import Journal, verify, verify_database
from agent.model import ZERO_HASH, Lane, Receipt, Stored
from tests.unit.journal.kit import SITE, Settings, event, sim_clock

seqs = st.integers(1, 24)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.sampled_from(list(Lane)), min_size=1, max_size=4)),
        st.tuples(st.just("save"), st.sampled_from("abc"), st.none() | st.text(max_size=3)),
        st.tuples(st.just("ack"), st.lists(seqs, max_size=5)),
        st.tuples(st.just("refuse"), seqs),
        st.tuples(st.just("retry"), st.none() | st.lists(seqs, max_size=3)),
        st.tuples(st.just("receipt"), st.integers(0, 24), st.lists(st.tuples(seqs, seqs), max_size=2)),
        st.tuples(st.just("wrong"), seqs),
        st.tuples(st.just("maintain")),
        st.tuples(st.just("restart")),
    ),
    max_size=25,
)


@dataclass
class Model:
    rows: list[Stored] = field(default_factory=list)
    state: dict[int, str] = field(default_factory=dict)
    saved: dict[str, str] = field(default_factory=dict)
    live: bool = False

    def due(self, lane: Lane) -> list[int]:
        return [row.seq for row in self.rows if row.lane is lane and self.state.get(row.seq) == "due"]

    def count(self, lane: Lane) -> int:
        wanted = ("due", "acked") if self.live else ("due",)
        return sum(row.lane is lane and self.state.get(row.seq) in wanted for row in self.rows)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_journal_is_its_model_whatever_comes_in_whatever_order(steps: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder) / "journal.db", steps))


async def _play(path: Path, steps: list[tuple[Any, ...]]) -> None:
    clock, model = sim_clock(), Model()
    journal = await Journal.open(Settings(path), SITE, clock)
    try:
        for step in steps:
            if step[0] == "restart":
                await journal.close()
                journal = await Journal.open(Settings(path), SITE, clock)
                assert journal.store == "file"
            else:
                await _step(journal, model, step)
            await _compare(journal, model)
        assert verify([journal.published(row) for row in model.rows]).ok
    finally:
        await journal.close()
    assert verify_database(path).ok


async def _step(journal: Journal, model: Model, step: tuple[Any, ...]) -> None:
    clock = sim_clock()
    match step:
        case ("append", lanes):
            stored = await journal.append(*[event(clock, lane) for lane in lanes])
            model.rows += stored
            model.state |= {row.seq: "due" for row in stored}
        case ("save", key, value):
            await journal.append(save={key: value})
            model.saved = {k: v for k, v in {**model.saved, key: value}.items() if v is not None}
        case ("ack", acked):
            await journal.mark_acked(acked)
            model.state |= {seq: "acked" for seq in acked if model.state.get(seq) == "due"}
        case ("refuse", seq):
            await journal.mark_refused(seq, 0x97, "quota")
            model.state |= {seq: "refused"} if seq in model.state else {}
        case ("retry", chosen):
            mine = [s for s, state in model.state.items() if state == "refused" and (chosen is None or s in chosen)]
            assert await journal.retry(chosen) == len(mine)
            model.state |= dict.fromkeys(mine, "due")
        case ("receipt", seq, also):
            hash_ = model.rows[seq - 1].hash if 0 < seq <= len(model.rows) else ZERO_HASH
            receipt = Receipt(seq, hash_, tuple(also))
            spans = [(1, seq), *also] if seq else also
            fits = seq <= len(model.rows) and all(1 <= a <= b <= len(model.rows) for a, b in spans)
            held = [s for s in model.state if any(a <= s <= b for a, b in spans)]
            outcome = await journal.take_receipt(receipt)
            assert (outcome.disagrees is None) == fits
            assert outcome.covered == (len(held) if fits else 0)
            if fits:
                model.live = True
                for s in held:
                    del model.state[s]
        case ("wrong", seq):
            assert (await journal.take_receipt(Receipt(seq, "cd" * 32))).disagrees is not None
        case _:
            await journal.maintain()


async def _compare(journal: Journal, model: Model) -> None:
    assert journal.head.seq == len(model.rows)
    assert dict(journal.saved) == model.saved
    assert journal.receipts_live == model.live
    for lane in Lane:
        assert [row.seq for row in await journal.due(lane)] == model.due(lane)
        assert journal.due_counts()[lane] == model.count(lane)
    for row in model.rows:
        delivered = "received" if model.live else "acked"
        assert journal.delivery(row.seq) == model.state.get(row.seq, delivered)
