"""Tests that look at graphs while they wait: in no mode but the lazy one is there anything to look at.

Each file, or test of a file, has a reason; modes.py marks them `lazy_only`.
"""

from __future__ import annotations

from typing import Final

_KERNELS: Final = "counts or names the kernels that whole graphs become"
_GRAPH: Final = "looks at the nodes of a graph that waits"
_CAPTURES: Final = "looks into captures of its own, which are none inside another one"
_SHOWN: Final = "shows values, which wait in a capture"
_KEPT: Final = "looks at what is let go of the past, of which a capture keeps all until it ends"
_ROUNDS: Final = "compares steps to ten units in the last place: alone each operation rounds, fused ones do once"
_LEARNED: Final = "looks at whether what waits is found among graphs that ran before"
_PLANS: Final = "counts plans, or breaks what makes them"

LAZY_ONLY: Final[dict[str, str]] = {
    "tests/bench/test_gpu_audit.py::test_matrix_instructions_that_wait_for_each_other_are_found": _KERNELS,
    "tests/codegen/choose/test_staged.py::test_all_products_have_register_tiles": _KERNELS,
    "tests/codegen/rewrites/test_deciding.py::test_the_gradient_of_a_reflecting_pad_compares_nothing": _KERNELS,
    "tests/codegen/choose/test_triton.py::test_gradients_of_attention_in_float32_fit_into_shared_memory": _KERNELS,
    "tests/codegen/choose/test_triton.py::test_gradients_of_attention_leave_registers": _KERNELS,
    "tests/codegen/choose/test_triton.py::"
    "test_products_of_float64_are_on_the_matrix_unit_where_the_language_knows_them": _KERNELS,
    "tests/codegen/choose/test_triton.py::"
    "test_tiles_of_one_step_are_copied_by_descriptors_that_are_made_once_or_by_threads": _KERNELS,
    "tests/dumping/test_folder.py": _KERNELS,
    "tests/dumping/test_page.py": _KERNELS,
    "tests/execution/test_known_again.py": _LEARNED,
    "tests/execution/test_known_changes.py": _LEARNED,
    "tests/execution/test_known_sizes.py": _LEARNED,
    "tests/native/test_operands.py::test_operands_of_all_kinds": _GRAPH,
    "tests/optim/test_lazily.py": _LEARNED,
    "tests/tensor/test_composite.py::test_constants_that_somebody_has_computed_are_constants": _GRAPH,
    "tests/func/test_repeating.py::test_functions_are_called_once": "looks at whether a loop waits",
    "tests/func/test_nested.py::test_functions_are_called_and_compiled_once": _KERNELS,
    "tests/func/test_repeating.py::test_captured": _CAPTURES,
    "tests/func/test_repeating.py::test_a_weight_is_stored_as_it_is": _CAPTURES,
    "tests/inspect/test_cli.py": _KERNELS,
    "tests/inspect/test_commands.py": _KERNELS,
    "tests/inspect/test_programs.py::test_what_a_function_gives_is_computed": _KERNELS,
    "tests/kernels/test_golden.py": _KERNELS,
    "tests/kernels/test_opencl_queues.py::test_a_kernel_that_takes_long_in_a_row_is_handed_over": _KERNELS,
    "tests/kernels/test_opencl_single.py::test_a_plan_of_several_short_kernels_is_called": _KERNELS,
    "tests/inspect/test_drawing.py": _GRAPH,
    "tests/parity/test_printing.py::test_any_tensor_is_written_as_torch_writes_it": _SHOWN,
    "tests/optim/test_updates.py::test_recording_leaves_nothing_to_compute_and_views_follow": _GRAPH,
    "tests/optim/test_again.py": "looks at how a step is put off until values are read",
    "tests/optim/test_optimizers.py::test_every_step_has_the_same_plan_and_computes_all_of_it": _KERNELS,
    "tests/optim/test_optimizers.py::test_history_is_freed": _GRAPH,
    "tests/tensor/test_autograd.py::test_a_loss_forgets_its_history_after_backward": _GRAPH,
    "tests/func/test_loops.py::test_cond": _CAPTURES,
    "tests/func/test_loops.py::test_cond_computes_one_of_both": "while a function is captured, both are computed",
    "tests/tensor/test_composite.py::test_a_call_is_what_it_stands_for": _GRAPH,
    "tests/tensor/test_unread.py::test_what_nobody_asks_for_keeps_a_bounded_part_of_its_past": _KEPT,
    "tests/tensor/test_unread.py::test_a_gradient_of_what_was_let_go_is_an_error": _KEPT,
    "tests/tensor/test_unread.py::test_a_graph_that_is_known_is_computed_after_the_look_that_is_due": _KEPT,
    "tests/tensor/test_unread.py::test_nothing_is_computed_where_little_is_kept": _GRAPH,
    "tests/tensor/test_unread.py::test_all_waits_where_that_is_asked_for": _GRAPH,
    "tests/tensor/test_core.py::test_realize_forgets_history_unless_gradients_need_it": _GRAPH,
    "tests/tensor/test_core.py::test_realize_computes_others_too": _GRAPH,
    "tests/tensor/test_pressure.py": "looks at when work that was put off is done",
    "tests/tensor/test_protocols.py::test_the_graph_that_waits_is_a_picture": _GRAPH,
    "tests/tensor/test_protocols.py::test_html": "shows that a tensor is not computed",
    "tests/tensor/test_protocols.py::test_many_values_are_cut_and_lazy_ones_not_computed": "the same",
    "tests/tensor/test_protocols.py::test_numpy_stays_lazy": "the same",
    "tests/tensor/test_random.py::test_drawing_is_one_kernel_with_what_uses_it": _KERNELS,
    "tests/tensor/test_rearranging.py::test_the_steps_of_a_computation": _KERNELS,
    "tests/tensor/test_solving.py::test_kernels_and_the_host_take_turns": _KERNELS,
    "tests/tensor/test_solving.py::test_what_has_no_answer": "errors of what is put off come when it is asked for",
    "tests/test_variable.py::test_a_captured_function_of_a_variable_compiles_nothing_new": _KERNELS,
    "tests/test_docs.py": _KERNELS,
    "tests/fusion/test_boundaries.py": _KERNELS,
    "tests/test_collector.py::test_plans_are_made_without_it": _PLANS,
    "tests/checking/test_confirming.py::test_planted_faults_are_found": _PLANS,
    "tests/fusion/test_fuse.py": _KERNELS,
    "tests/test_checked.py::test_what_is_looked_at_anyway_takes_no_kernel_of_its_own": _GRAPH,
    "tests/test_carried.py": "looks at when work that was put off is done",
    "tests/test_held.py": "looks at when work that was put off is done, and at what stays of it",
    "tests/execution/test_graphs.py": _KERNELS,
    "tests/planning/test_joint.py": _KERNELS,
    "tests/test_loops.py": _KERNELS,
    "tests/fusion/test_lower.py": _KERNELS,
    "tests/planning/test_kept.py::test_a_table_that_depends_on_nothing_is_computed_once": _KERNELS,
    "tests/planning/test_kept.py::test_tables_of_tables_are_computed_once": _KERNELS,
    "tests/planning/test_open_plans.py": _PLANS,
    "tests/execution/test_ownership.py": "looks at which memory results of whole graphs take",
    "tests/test_realize.py": _PLANS,
    "tests/execution/test_running.py": _PLANS,
    "tests/execution/test_saved.py": _PLANS,
    "tests/rewrites/test_onto.py::test_nothing_is_added_afterwards": _GRAPH,
    "tests/rewrites/test_onto.py::test_each_is_scattered_into_what_is_there": _KERNELS,
    "tests/rewrites/test_split.py": _KERNELS,
    "tests/execution/test_tried.py": _KERNELS,
    "tests/execution/test_verifying.py::test_a_fault_is_shown_without_its_program": _KERNELS,
    "tests/execution/test_verifying.py::test_a_fault_of_a_kernel_for_open_sizes_is_found": _PLANS,
    "tests/execution/test_verifying.py::test_kernels_for_open_sizes_are_checked_at_the_sizes_they_have": _PLANS,
    "tests/execution/test_verifying.py::test_planted_faults_are_found": _PLANS,
    "tests/windows/test_windowed.py": _GRAPH,
    "tests/windows/test_winograd.py": _GRAPH,
    "tests/kernels/test_cuda.py::test_a_program_met_before_is_neither_planned_nor_compiled": _KERNELS,
    "tests/kernels/test_triton_compile.py::test_gradients_of_causal_attention_stay_on_chip": _KERNELS,
    "tests/kernels/test_triton_compile.py::test_random_numbers_are_compiled_without_fused_arithmetic": _KERNELS,
    "tests/kernels/test_triton_programs.py::test_a_norms_gradients_read_its_rows_once": _KERNELS,
    "tests/kernels/test_triton_programs.py::"
    "test_every_product_of_attention_with_a_bias_is_on_the_matrix_unit": _KERNELS,
    "tests/kernels/test_triton_programs.py::test_products_and_sums_of_random_numbers_round_twice": _KERNELS,
    "tests/native/test_memory.py::test_a_graph_that_is_forgotten_while_it_is_looked_for": _GRAPH,
    "tests/native/test_objects.py::test_several_results_that_share_a_known_graph": _GRAPH,
    "tests/native/test_structure.py": _GRAPH,
    "tests/replay/test_taking.py::test_weights_whose_gradients_are_products_stay_where_they_were": _ROUNDS,
    "tests/replay/test_sizes.py::test_growing_twice_compiles_and_plans_nothing": _PLANS,
    "tests/tune/test_choice.py": _KERNELS,
    "kernelforge/inspect/profile.py::kernelforge.inspect.profile.profile": _KERNELS,
    "kernelforge/tensor/convert.py::kernelforge.tensor.convert.Convert.explain": _KERNELS,
    "tests/tune/test_inputs.py::test_indices_are_in_range": _KERNELS,
}
