"""Tests that run without KF_VERIFY, whatever the environment says: what they look at is otherwise while it checks.

A key is a file or a test; its value is the reason.
"""

from __future__ import annotations

from typing import Final

_WAITS: Final = "a checked launch is waited for, so its faults are told at once"
_EACH: Final = "checked kernels are launched one by one"

UNCHECKED: Final = {
    "tests/inspect/test_commands.py::test_an_edit_is_checked_and_used_in_the_whole_program": "the edit is a fault",
    "tests/inspect/test_commands.py::test_edits_hold_where_the_switch_names_their_dump": "the edit is a fault",
    "tests/kernels/test_cuda.py::test_an_index_out_of_range_is_found": _WAITS,
    "tests/kernels/test_opencl_single.py::test_operations_done_often_are_called": _EACH,
    "tests/replay/test_watching.py::test_an_index_out_of_range_before_a_call_is_its_own_fault": _WAITS,
    "tests/replay/test_watching.py::test_an_index_out_of_range_that_is_caught": _WAITS,
    "tests/execution/test_graphs.py": _EACH,
    "tests/test_realize.py::test_a_plan_keeps_no_algebra_where_text_is_enough": "what is checked needs its algebra",
    "tests/test_realize.py::test_an_index_out_of_range_is_reported_at_the_next_synchronisation": _WAITS,
    "tests/test_realize.py::test_waiting_for_a_device_reports_indices_out_of_range": _WAITS,
    "tests/test_realize.py::test_one_operation_on_views_is_known_by_how_its_operands_are_seen": _EACH,
    "tests/test_realize.py::test_one_operation_runs_again_without_a_look_at_its_structure": _EACH,
    "tests/execution/test_running.py::test_launches_of_one_program_get_executables_of_their_own": _EACH,
    "tests/execution/test_saved.py": "what is checked is not kept on disk",
    "tests/execution/test_verifying.py::test_nothing_is_copied_when_it_is_off": "it is off",
}
