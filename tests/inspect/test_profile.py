"""Profiles: every launch once, with its time; the table, the timeline and the command line."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kernelforge import Context, GlobalCounters, Tensor
from kernelforge.cli import main
from kernelforge.execution.observing import observers
from kernelforge.inspect import profile


def test_every_launch_is_seen(device):
    x = Tensor.ones(61, 61).contiguous().realize()  # of a size no other test has: a known plan tells of its lines
    GlobalCounters.reset()
    with Context(OPEN=0), profile() as p:
        for _ in range(3):
            ((x @ x) + 1).sum(0).softmax().realize()
    assert len(p.events) == GlobalCounters.kernel_count > 0
    assert sum(event.flops for event in p.events) == GlobalCounters.global_ops
    assert all(event.seconds > 0 for event in p.events)
    assert all(a.start <= b.start for a, b in zip(p.events, p.events[1:]))
    assert p.kernel_seconds <= p.seconds
    assert {Path(file).name for event in p.events for file, _ in event.lines} == {"test_profile.py"}


def test_nothing_is_watched_afterwards(device):
    with pytest.raises(ZeroDivisionError), profile() as p:
        Tensor([1.0, 2.0]).exp().realize()
        raise ZeroDivisionError
    assert not observers and len(p.events) == 1
    Tensor([1.0, 2.0]).sin().realize()
    assert len(p.events) == 1 and p.seconds > 0


def test_the_table_begins_with_the_costliest(numpy_device):
    x = Tensor.rand(300, 300).realize()
    with profile() as p:
        Tensor([1.0, 2.0]).exp().realize()
        (x @ x).realize()
    p.events[:] = [replace(event, seconds=1e-6 + 1e-9 * event.flops) for event in p.events]  # whatever else runs
    head, first, *_ = p.table().splitlines()
    assert head.startswith("kernel") and first.startswith("contract_300x300")
    assert p.table(limit=1).splitlines()[-1].startswith("... and")
    assert p.summary().startswith(f"{len(p.events)} launches of {len(p.rows())} kernels")


def test_the_timeline(numpy_device, tmp_path):
    with profile() as p:
        Tensor([1.0, 2.0]).exp().realize()
    p.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert [event["name"] for event in slices if "flops" in event["args"]] == [event.name for event in p.events]
    assert {event["args"]["name"] for event in events if event["ph"] == "M"} == {"host", "NUMPY"}


def test_a_program_without_launches(capsys, tmp_path):
    script = tmp_path / "nothing.py"
    script.write_text("print('done')")
    assert main(["profile", str(script)]) == 0
    assert "0 launches of 0 kernels" in capsys.readouterr().out


def test_the_command_line(capsys, tmp_path):
    script = tmp_path / "some.py"
    program = "import sys", "from kernelforge import Tensor", "print(sys.argv[1], Tensor.ones(4).exp().sum().item())"
    script.write_text("\n".join(program))
    assert main(["profile", str(script), "-o", str(tmp_path / "trace.json"), "word"]) == 0
    printed = capsys.readouterr().out
    assert "word 10.87" in printed and "some.py:3" in printed and (tmp_path / "trace.json").exists()
    assert main(["profile", str(tmp_path / "absent.py")]) == 2
