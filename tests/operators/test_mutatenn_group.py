"""The group ``mutatenn``: the operators of MutateNN, with the paper's meaning."""

from pytest_mutatenn.operators import catalogue

MUTATENN = {
    # layer and arithmetic node replacement
    "relu_to_sigmoid",
    "add_to_subtract",
    # node input/output modification
    "transpose_conv2d_0_before",
    "transpose_dense_0_before",
    "transpose_conv2d_dense_0_before",
    "transpose_conv2d_dense_1_before",
    "transpose_batch_norm_0_before",
    "exp_conv2d_dense_0_before",
    "exp_conv2d_dense_0_after",
    "exp_batch_norm_0_before",
    "round_batch_norm_0_before",
    # arithmetic types
    "store_float32_to_float16",
    "store_float32_to_int32",
    "store_float32_to_int16",
    "store_float32_to_int8",
    # kernel variables and stores
    "store_minus_1e_8",
    "store_times_1_00000001",
    # conditional statements; of change_threshold the form that MutateNN ships
    "LT_to_LE",
    "LT_to_GT",
    "GT_to_LT",
    "GT_to_GE",
    "threshold_plus_0_5",
}


def test_it_has_mutatenn_s_twenty_two():
    operators = catalogue.load()
    found = {op.name for _, op in catalogue.select(operators, "mutatenn")}
    assert len(MUTATENN) == 22
    assert found == MUTATENN


def test_graph_operators_serve_the_graph_and_the_others_both_lower_stages():
    for op in catalogue.load().values():
        if op.name in MUTATENN:
            assert op.stages in (("graph",), ("kernel", "device"))
