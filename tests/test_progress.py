"""Progress: items pass unchanged, and the line says what is so."""

import io

from kernelforge.progress import progress, trange


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_items_pass_and_the_last_line_is_complete() -> None:
    terminal = Terminal()
    assert list(progress("abc", "letters", file=terminal)) == ["a", "b", "c"]
    last = terminal.getvalue().rpartition("\r")[2]
    assert last.startswith("letters: 100% ") and " 3/3 [" in last and last.endswith("\n")


def test_nothing_is_written_where_nobody_looks() -> None:
    file = io.StringIO()
    assert list(progress(iter(range(3)), file=file)) == [0, 1, 2] and not file.getvalue()
    assert list(trange(2, 4, file=file)) == [2, 3] and len(trange(5)) == 5


def test_the_line_after_some_time() -> None:
    bar = progress(range(8), "x", disable=True)
    bar.count = 2
    assert bar.line(4.0) == "x:  25% " + "█" * 7 + "░" * 23 + " 2/8 [00:04, 0.5 it/s, 00:12 left]"
    bar.set_description("y")
    assert bar.line(0.0).startswith("y:  25%")
    endless = progress(iter("ab"), unit="letter")
    endless.count = 7200
    assert endless.line(3661.0) == "7200 letter [1:01:01, 1.967 letter/s]"


def test_the_line_ends_when_the_loop_is_left() -> None:
    terminal = Terminal()
    for item in progress(range(5), file=terminal):
        if item == 1:
            break
    assert terminal.getvalue().endswith("\n") and " 1/5 " in terminal.getvalue()
