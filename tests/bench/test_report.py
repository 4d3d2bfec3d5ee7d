"""Ratios, ceilings and tables; what is committed is what the record says."""

import math

import pytest

from bench.suite import report
from bench.suite.record import CACHED, Record, Row, best_peer, least_seconds, mean_ratio, ratio
from bench.suite.workload import Workload
from bench.suite.workloads import ALL

CEILINGS = {"flops": 100.0, "copy": 50e6, "read": 80e6, "fill": 40e6}
MEGA = 1e6


def work(**amounts: float) -> Workload:
    return Workload("some", "group", lambda random: [], lambda f: None, **amounts)


def test_a_ratio_is_to_the_best_peer_that_is_right() -> None:
    row = Row({"kernelforge": 2.0, "torch": 3.0, "jax": 1.0, "torch.compile": 4.0}, {"jax": "wrong"})
    assert best_peer(row) == "torch" and ratio(row) == 1.5


@pytest.mark.parametrize("seconds", [{}, {"kernelforge": 1.0}, {"torch": 1.0}])
def test_no_ratio_without_both_sides(seconds) -> None:
    assert ratio(Row(seconds)) is None


def test_the_mean_is_geometric_over_the_rows_that_have_a_ratio() -> None:
    rows = [Row({"kernelforge": 1.0, "torch": times}) for times in (0.5, 8.0)]
    assert mean_ratio([*rows, Row()]) == pytest.approx(2) and math.isnan(mean_ratio([]))


@pytest.mark.parametrize(
    ("workload", "seconds"),
    [
        (work(flops=300), 3),
        (work(read=100 * MEGA, write=100 * MEGA), 4),
        (work(read=180 * MEGA, write=100 * MEGA), 5),
        (work(write=80 * MEGA), 2),
        (work(flops=300, read=400 * MEGA), 5),
        (work(flops=300, read=CACHED), 3),
        (work(read=CACHED), None),
    ],
)
def test_least_time(workload, seconds) -> None:
    assert least_seconds(workload, CEILINGS) == (seconds and pytest.approx(seconds))


def test_a_record_survives_the_disk(tmp_path) -> None:
    starts = {"model": {"kernelforge": {"cold": 1.0}}}
    record = Record({"processor": "P"}, {"row": Row({"torch": 0.25}, {"jax": "no"}, CEILINGS)}, starts)
    record.write(tmp_path / "folder" / "record.json")
    assert Record.read(tmp_path / "folder" / "record.json") == record


def test_a_page_shows_every_row_and_what_failed() -> None:
    rows = {name: Row({"kernelforge": 1e-3, "torch": 2e-3}) for name in ALL}
    rows["add 64x64"] = Row({"kernelforge": 1e-3}, {"torch": "it broke"})
    starts = {"model": {"torch": {"cold": 9.0, "warm": 2.0, "process": 3.0, "memory": 2.0**21}}}
    text = report.page(Record({"processor": "P"}, rows, starts), ALL)
    assert all(f"| {name} |" in text for name in ALL)
    assert "| 1000x999x1001 NN | 1.000 | 2.000 | 2.00 |" in text and "- add 64x64, torch: it broke" in text
    assert "| model | torch | 9.00 | 2.00 | 3.00 | 2 |" in text and "- processor: P" in text


def test_highlights_are_workloads() -> None:
    assert set(report.HIGHLIGHTS) <= set(ALL)


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    text = f"before\n{report.BEGIN}old\n{report.END}after\n"
    assert report.replaced(text, "new\n") == f"before\n{report.BEGIN}new\n{report.END}after\n"
    with pytest.raises(ValueError, match="lost the marks"):
        report.replaced("no marks", "new")


def test_the_committed_tables_are_those_of_the_record() -> None:
    record = Record.read(report.RECORD)
    assert report.PAGE.read_text() == report.page(record, ALL), "python -m bench.suite --page"
    readme = report.README.read_text()
    assert report.replaced(readme, report.readme_table(record, ALL)) == readme, "python -m bench.suite --page"


def test_a_table_can_be_read() -> None:
    row = Row({"kernelforge": 1e-3, "torch": 3e-3}, {"torch": "result differs"}, CEILINGS)
    assert report.line("name", row, work(flops=0.05), ["kernelforge", "torch", "jax"]) == [
        "name", "1.000", "3.000 ≠", "–", "–", "50%",
    ]  # fmt: skip
