"""The tables: they open in Excel, hold what they should, and start nothing there."""

import csv
import io
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SimClock
from agent.skyeye.inventory import Facts, collect
from agent.skyeye.inventory.sheet import COLUMNS, Entry, export_csv, export_xlsx, harmless, headings
from tests.unit.skyeye.inventory.cameras import ToldSession, camera

HEALTH = {"state": "fault", "faults": ["picture-black", "recordings"], "inspected": "2026-11-23T07:55:00+08:00"}


@pytest.fixture
async def facts() -> Facts:
    clock = SimClock(datetime.fromisoformat("2026-11-23T08:00:00+08:00"))
    return await collect(camera(), ToldSession(), clock)


@pytest.fixture
def entries(facts: Facts) -> list[Entry]:
    evil = replace(facts, model="=cmd|'/c calc'!A1", maker="＝1+1", serial="@SUM(A1)", firmware="-1", mac="+1")
    return [
        Entry.of(camera(gb_id="37081200001320000001"), facts, HEALTH, "实验小学"),
        Entry.of(camera("evil"), evil, {"state": "ok", "faults": []}),
        Entry.of(camera("unseen"), None),
    ]


def test_csv_is_what_excel_in_china_opens(entries: list[Entry]) -> None:
    raw = export_csv(entries, "zh-CN")
    assert raw.startswith(b"\xef\xbb\xbf")
    head, gate, evil, unseen = csv.reader(io.StringIO(raw.decode("utf-8-sig")))
    assert head[:3] == ["国标编码", "编号", "名称（安装位置）"]
    row = dict(zip(head, gate, strict=True))
    assert row["国标编码"] == "'37081200001320000001"
    assert row["编码"] == "H.264, H.265"
    assert row["主码流"] == "h265 1920×1080@25"
    assert (row["云台"], row["录像天数"], row["时钟偏差（秒）"]) == ("是", "31.0", "-12.4")
    assert (row["状态"], row["所属单位"]) == ("有故障", "实验小学")
    assert row["最近巡检"] == "2026-11-23 07:55:00"
    assert [cell for cell in evil if cell.startswith(("=", "+", "@", "＝")) or cell == "-1"] == []
    assert dict(zip(head, evil, strict=True))["故障"] == "无"
    assert dict(zip(head, unseen, strict=True))["型号"] == ""


def test_a_workbook_has_real_times_and_numbers(entries: list[Entry], tmp_path: Path) -> None:
    path = tmp_path / "cameras.xlsx"
    export_xlsx(path, entries, "en")
    book = openpyxl.load_workbook(path)
    sheet: Any = book.active
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == headings("en")
    row = {cell.value: rows[1][at] for at, cell in enumerate(rows[0])}
    assert row["GB/T 28181 id"].value == "37081200001320000001"
    assert row["recorded from"].value == datetime(2026, 10, 1, 0, 0)  # noqa: DTZ001 - Excel knows no zones
    assert row["recorded from"].is_date
    assert row["clock offset (s)"].value == -12.4
    assert row["last inspection"].value == datetime(2026, 11, 23, 7, 55)  # noqa: DTZ001 - as above
    assert sheet.freeze_panes == "D2"
    assert sheet.auto_filter.ref is not None
    assert all(cell.data_type != "f" for line in rows for cell in line)
    assert sheet.column_dimensions["C"].width > 20


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, entries: list[Entry]) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - any is printed with its path
        export_xlsx(tmp_path / "none" / "x.xlsx", entries, "en")


@given(st.text())
def test_no_text_is_a_formula(text: str) -> None:
    assert not harmless(text).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_every_column_has_its_heading_in_both_languages() -> None:
    assert len(set(headings("zh-CN"))) == len(set(headings("en"))) == len(COLUMNS)
