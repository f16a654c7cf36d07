"""Import of ONNX files: numbers against onnxruntime, names, layers, and every message."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from tvm import relax

from pytest_mutatenn.errors import MutatennError
from pytest_mutatenn.model.onnx_graph import identifiers
from pytest_mutatenn.model.onnx_import import ImportedModel, import_onnx

SHARED = Path(__file__).parents[3] / "shared"
MODELS = sorted((SHARED / "models").glob("*.onnx"))
SMALL = [path for path in MODELS if path.stat().st_size < 2_000_000 and "coral" not in path.name]

needs_shared = pytest.mark.skipif(not MODELS, reason="../shared/models is not there")


def info(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weight(name, *shape, dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).normal(size=shape).astype(dtype)
    return numpy_helper.from_array(values, name)


def const(name, value, dtype=np.int64):
    return numpy_helper.from_array(np.array(value, dtype), name)


def save(tmp_path, nodes, inputs, outputs, weights=(), opset=13, name="net.onnx"):
    graph = helper.make_graph(nodes, "net", inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    path = tmp_path / name
    onnx.save(model, path)
    return path


def compute(model: ImportedModel, arrays):
    machine = relax.VirtualMachine(relax.build(model.module, "llvm"), tvm.cpu())
    result = machine["main"](*[tvm.runtime.tensor(a) for a in (*arrays, *model.params)])
    return [result.numpy()] if hasattr(result, "numpy") else [one.numpy() for one in result]


def samples(model: ImportedModel, high=5):
    rng = np.random.default_rng(1)
    return [
        rng.integers(0, high, one.shape).astype(one.dtype)
        if np.dtype(one.dtype).kind in "iu"
        else (3 * rng.normal(size=one.shape)).astype(one.dtype)
        for one in model.inputs
    ]


def check(path, tolerance=1e-5, arrays=None, **options):
    """Import, compare with onnxruntime, check what holds of every import; return the model."""
    model = import_onnx(path, **options)
    arrays = samples(model) if arrays is None else arrays
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {one.name: a for one, a in zip(model.inputs, arrays, strict=True)}
    wanted = session.run([one.name for one in model.outputs], feed)
    got = compute(model, arrays)
    for spec, mine, theirs in zip(model.outputs, got, wanted, strict=True):
        assert mine.shape == theirs.shape == spec.shape
        assert mine.dtype == theirs.dtype == np.dtype(spec.dtype)
        np.testing.assert_allclose(mine, theirs, rtol=tolerance, atol=tolerance)
    well_shaped(model)
    return model


def well_shaped(model):
    main = model.module["main"]
    assert int(main.attrs["num_input"]) == len(model.inputs)
    assert (
        len(main.params)
        == len(model.inputs) + len(model.params)
        == len({p.name for p in main.params})
    )
    (block,) = main.body.blocks
    assert isinstance(block, relax.DataflowBlock)
    names = [binding.var.name for binding in block.bindings]
    assert names == [layer.name for layer in model.layers]
    everything = names + [p.name for p in main.params]
    assert len(set(everything)) == len(everything)
    assert all(name.isidentifier() and name.isascii() for name in everything)
    for array, param in zip(model.params, main.params[len(model.inputs) :], strict=True):
        assert array.shape == tuple(int(n) for n in param.ty.shape)


def ops(model):
    return [layer.op.rpartition(".")[2] for layer in model.layers]


# -- real networks ---------------------------------------------------------------------------


@needs_shared
@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_shared_models_import(path):
    model = import_onnx(path)
    well_shaped(model)
    assert [g.name_hint for g in model.module.functions] == ["main"]
    nodes = {n.name for n in onnx.load(path).graph.node}
    assert {layer.onnx_node for layer in model.layers} <= nodes
    assert "call_tir" not in ops(model)


@needs_shared
@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_small_shared_models_compute_what_onnxruntime_does(path):
    check(path)


@needs_shared
def test_layers_are_named_by_operator_and_number():
    model = import_onnx(SHARED / "models" / "mlperf_resnet8_bn.onnx")
    by_name = {layer.name: layer for layer in model.layers}
    assert by_name["conv2d"].op == "relax.nn.conv2d"
    assert by_name["conv2d"].onnx_op == "Conv"
    assert by_name["batch_norm_6_item0"].op == "relax.TupleGetItem"
    assert by_name["batch_norm_6_item0"].onnx_op == "BatchNormalization"
    assert [n for n in by_name if n.startswith("conv2d")] == [
        "conv2d",
        *(f"conv2d_{i}" for i in range(1, 9)),
    ]
    assert import_onnx(SHARED / "models" / "mlperf_resnet8_bn.onnx").layers == model.layers


# -- one operator at a time ------------------------------------------------------------------


@pytest.mark.parametrize("opset", [6, 8, 10])
def test_relu6_by_attributes(tmp_path, opset):
    node = helper.make_node("Clip", ["x"], ["y"], min=0.0, max=6.0)
    path = save(tmp_path, [node], [info("x", [1, 9])], [info("y", [1, 9])], opset=opset)
    assert ops(check(path)) == ["clip"]


@pytest.mark.parametrize("opset", [11, 13, 17])
@pytest.mark.parametrize("where", ["initialiser", "constant node"])
@pytest.mark.parametrize(("low", "high"), [(0, 6), (0, None), (None, 1), (None, None), (-1, -2)])
def test_relu6_by_inputs(tmp_path, opset, where, low, high):
    nodes, weights, names = [], [], []
    for name, value in (("lo", low), ("hi", high)):
        names.append(name if value is not None else "")
        if value is None:
            continue
        tensor = const(name, value, np.float32)
        if where == "initialiser":
            weights.append(tensor)
        else:
            nodes.append(helper.make_node("Constant", [], [name], value=tensor))
    nodes.append(helper.make_node("Clip", ["x", *names], ["y"]))
    path = save(tmp_path, nodes, [info("x", [1, 9])], [info("y", [1, 9])], weights, opset)
    model = import_onnx(path)
    assert ops(model) == ["clip"]
    assert model.params == ()
    if low != -1:
        check(path)


@pytest.mark.parametrize("dtype", [np.int64, np.float16, np.float64])
def test_clip_of_other_types(tmp_path, dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    node = helper.make_node("Clip", ["x", "lo", "hi"], ["y"])
    weights = [const("lo", 1, dtype), const("hi", 3, dtype)]
    path = save(tmp_path, [node], [info("x", [7], kind)], [info("y", [7], kind)], weights)
    assert ops(check(path)) == ["clip"]


def test_clip_with_bounds_that_are_computed_is_left_to_tvm(tmp_path):
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["hi"], keepdims=0),
        helper.make_node("Clip", ["x", "", "hi"], ["y"]),
    ]
    model = check(save(tmp_path, nodes, [info("x", [1, 9])], [info("y", [1, 9])]))
    assert {layer.onnx_op for layer in model.layers} == {"ReduceMax", "Clip"}


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (2, 1), (4, 3), (1, 2)])
def test_auto_pad(tmp_path, mode, kernel, stride):
    common = {"auto_pad": mode, "kernel_shape": [kernel, kernel], "strides": [stride, stride]}
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], **common),
        helper.make_node("MaxPool", ["x"], ["m"], **common),
        helper.make_node("AveragePool", ["x"], ["a"], **common),
    ]
    path = save(
        tmp_path,
        nodes,
        [info("x", [1, 2, 9, 8])],
        [info(one, None) for one in "cma"],
        [weight("w", 4, 2, kernel, kernel)],
    )
    assert ops(import_onnx(path)) == ["conv2d", "max_pool2d", "avg_pool2d"]
    if kernel >= stride:  # onnxruntime refuses the others: "padding values must be non-negative"
        check(path)


def test_sum_is_a_chain_of_additions(tmp_path):
    node = helper.make_node("Sum", ["x", "y", "w", "x"], ["z"])
    path = save(
        tmp_path,
        [node],
        [info("x", [2, 3]), info("y", [1, 3])],
        [info("z", [2, 3])],
        [weight("w", 3)],
    )
    model = check(path)
    assert ops(model) == ["add", "add", "add"]
    assert [layer.name for layer in model.layers] == ["add", "add_1", "add_2"]


def test_sum_of_one_and_identity_leave_no_layer(tmp_path):
    nodes = [
        helper.make_node("Sum", ["x"], ["s"]),
        helper.make_node("Identity", ["s"], ["i"]),
        helper.make_node("Relu", ["i"], ["y"], name="act"),
    ]
    model = check(save(tmp_path, nodes, [info("x", [4])], [info("y", [4])]))
    assert [(layer.name, layer.onnx_node) for layer in model.layers] == [("relu", "act")]


def test_residual_nhwc_two_outputs_and_names_that_are_no_identifiers(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["in:0"], ["/0/t"], perm=[0, 3, 1, 2], name="/t"),
        helper.make_node("Conv", ["/0/t", "0.weight", "0.bias"], ["/0/c"], pads=[1] * 4),
        helper.make_node("Relu", ["/0/c"], ["/0/relu"], name="/0/Relu"),
        helper.make_node("Conv", ["/0/relu", "0_weight"], ["conv2d"], name="/1/Conv"),
        helper.make_node("Add", ["conv2d", "/0/relu"], ["/0/Add_output_0"], name="/0/Add"),
        helper.make_node("GlobalAveragePool", ["/0/Add_output_0"], ["float"], name="pool"),
    ]
    weights = [weight("0.weight", 4, 3, 3, 3), weight("0.bias", 4), weight("0_weight", 4, 4, 1, 1)]
    outputs = [info("float", None), info("/0/Add_output_0", None)]
    model = check(save(tmp_path, nodes, [info("in:0", [1, 6, 5, 3])], outputs, weights))
    assert model.inputs[0].name == "in:0"
    assert [one.name for one in model.outputs] == ["float", "/0/Add_output_0"]
    assert model.param_names == ("0.weight", "0.bias", "0_weight")
    by_name = {layer.name: layer for layer in model.layers}
    assert by_name["conv2d"].onnx_node == "/0/c"  # unnamed: its first output
    assert by_name["conv2d_1"].onnx_node == "/1/Conv"
    assert by_name["add_1"].onnx_node == "/0/Add"
    assert by_name["reshape"].onnx_node == "/0/c"  # the bias is the convolution's


def test_a_weight_called_like_a_layer_gives_way(tmp_path):
    node = helper.make_node("Add", ["x", "add"], ["y"])
    path = save(tmp_path, [node], [info("x", [3])], [info("y", [3])], [weight("add", 3)])
    model = check(path)
    assert model.param_names == ("add",)
    assert model.layers[0].name == "add"


@pytest.mark.parametrize("kind", [TensorProto.INT64, TensorProto.INT32])
def test_embedding_and_two_inputs(tmp_path, kind):
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["e"], name="embed"),
        helper.make_node("MatMul", ["e", "w"], ["h"]),
        helper.make_node("Add", ["h", "x"], ["y"]),
    ]
    path = save(
        tmp_path,
        nodes,
        [info("ids", [1, 4], kind), info("x", [1, 4, 3])],
        [info("y", [1, 4, 3])],
        [weight("table", 6, 5), weight("w", 5, 3)],
    )
    ids = np.array([[0, -1, 5, -6]], helper.tensor_dtype_to_np_dtype(kind))
    model = check(path, arrays=[ids, np.ones((1, 4, 3), np.float32)])
    assert [one.dtype for one in model.inputs] == [ids.dtype.name, "float32"]
    assert "shape_to_tensor" not in ops(model)
    assert "take" in ops(model)


def test_gather_with_constant_indices_is_one_take(tmp_path):
    node = helper.make_node("Gather", ["x", "i"], ["y"], axis=1)
    path = save(tmp_path, [node], [info("x", [2, 5])], [info("y", None)], [const("i", [-1, 0])])
    model = check(path)
    assert ops(model) == ["take"]
    assert model.params == ()


def test_shape_arithmetic_is_known_when_importing(tmp_path):
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["x", "shape"], ["r"]),
        helper.make_node("Squeeze", ["r", "last"], ["y"]),
    ]
    weights = [const("zero", 0), const("axes", [0]), const("rest", [-1, 1]), const("last", [2])]
    model = check(save(tmp_path, nodes, [info("x", [2, 3, 4])], [info("y", None)], weights))
    assert model.params == ()


def test_values_that_must_be_known_are_no_weights(tmp_path):
    nodes = [
        helper.make_node("Resize", ["x", "", "scales"], ["r"], mode="nearest"),
        helper.make_node("Pad", ["r", "pads", "zero"], ["y"]),
    ]
    weights = [
        const("scales", [1, 1, 2, 2], np.float32),
        const("pads", [0, 0, 1, 1, 0, 0, 1, 1]),
        const("zero", 0, np.float32),
    ]
    model = check(save(tmp_path, nodes, [info("x", [1, 1, 3, 3])], [info("y", None)], weights))
    assert model.params == ()


def test_constant_nodes_of_every_form(tmp_path):
    nodes = [
        helper.make_node("Constant", [], ["f"], value_float=2.0),
        helper.make_node("Constant", [], ["fs"], value_floats=[1.0, 2.0, 3.0]),
        helper.make_node("Constant", [], ["i"], value_ints=[3, 1]),
        helper.make_node("Mul", ["x", "f"], ["m"]),
        helper.make_node("Add", ["m", "fs"], ["a"]),
        helper.make_node("Reshape", ["a", "i"], ["y"]),
    ]
    model = check(save(tmp_path, nodes, [info("x", [1, 3])], [info("y", [3, 1])]))
    assert model.param_names == ("fs",)


def test_dead_nodes_and_weights_are_gone(tmp_path):
    nodes = [
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("NoSuchOperator", ["x", "w"], ["z"]),
    ]
    path = save(tmp_path, nodes, [info("x", [2])], [info("y", [2])], [weight("w", 2)])
    model = import_onnx(path)
    assert ops(model) == ["relu"]
    assert model.params == ()


def test_split_and_concat(tmp_path):
    nodes = [
        helper.make_node("Split", ["x"], ["a", "b"], axis=1),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Concat", ["c", "a"], ["y"], axis=1),
    ]
    model = check(save(tmp_path, nodes, [info("x", [1, 4])], [info("y", [1, 4])]))
    assert [layer.name for layer in model.layers] == [
        "split",
        "split_item0",
        "split_item1",
        "relu",
        "concat",
    ]


def test_dropout_and_batch_norm_in_old_files(tmp_path):
    nodes = [
        helper.make_node("BatchNormalization", ["x", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Dropout", ["n"], ["y"]),
    ]
    weights = [weight(one, 3, seed=i) for i, one in enumerate("sbm")]
    weights.append(numpy_helper.from_array(np.array([1, 2, 3], np.float32), "v"))
    inputs = [info("x", ["N", 3, 4, 4]), *(info(one, [3]) for one in "sbmv")]
    path = save(tmp_path, nodes, inputs, [info("y", None)], weights, opset=8)
    model = check(path, arrays=[np.ones((1, 3, 4, 4), np.float32)])
    assert [one.name for one in model.inputs] == ["x"]
    assert len(model.params) == 4


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_floats(tmp_path, dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
             helper.make_node("Sigmoid", ["h"], ["y"])]  # fmt: skip
    weights = [weight("w", 3, 4, dtype=dtype), weight("b", 3, dtype=dtype)]
    path = save(tmp_path, nodes, [info("x", [1, 4], kind)], [info("y", [1, 3], kind)], weights)
    check(path, tolerance=5e-3 if dtype is np.float16 else 1e-12)


def test_local_functions_are_inlined(tmp_path):
    function = helper.make_function(
        "my", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 13)],
    )  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node("Twice", ["x"], ["y"], domain="my")], "g",
        [info("x", [2])], [info("y", [2])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("my", 1)]
    path = tmp_path / "f.onnx"
    onnx.save(
        helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8), path
    )
    assert ops(check(path)) == ["add"]


def test_external_data(tmp_path):
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    path = save(tmp_path, [node], [info("x", [1, 64])], [info("y", [1, 32])], [weight("w", 64, 32)])
    onnx.save(
        onnx.load(path),
        path,
        save_as_external_data=True,
        location="w.bin",
        size_threshold=0,
    )
    check(path)
    (tmp_path / "w.bin").write_bytes(b"short")
    with pytest.raises(MutatennError, match=r"net\.onnx: .*w"):
        import_onnx(path)
    (tmp_path / "w.bin").unlink()
    with pytest.raises(MutatennError, match=r"'w' keeps its data in 'w\.bin', but .* is not there"):
        import_onnx(path)


# -- shapes ----------------------------------------------------------------------------------


def relu(tmp_path, *shapes):
    nodes = [helper.make_node("Relu", [f"x{i}"], [f"y{i}"]) for i in range(len(shapes))]
    inputs = [info(f"x{i}", shape) for i, shape in enumerate(shapes)]
    return save(tmp_path, nodes, inputs, [info(f"y{i}", None) for i in range(len(shapes))])


def test_open_batch_is_one(tmp_path):
    for dim in ("N", None, -1, 0):
        assert import_onnx(relu(tmp_path, [dim, 3])).inputs[0].shape == (1, 3)


def test_shapes_are_taken(tmp_path):
    path = relu(tmp_path, ["N", 3, "H", "W"], ["N", "H"])
    model = import_onnx(path, shapes={"x0": (2, 3, 8, 9)})
    assert [one.shape for one in model.inputs] == [(2, 3, 8, 9), (2, 8)]
    assert [one.shape for one in model.outputs] == [(2, 3, 8, 9), (2, 8)]


@pytest.mark.parametrize(
    ("shape", "given", "message"),
    [
        (["N", 3, "H", 8], {}, r"dimension 2 \('H'\) of the input 'x0', \(N, 3, H, 8\), is open; "
         r"say how large it is, e\.g\. shapes=\{\"x0\": \(1, 3, 224, 8\)\}"),
        (["N", None], {}, r"dimension 1 of the input 'x0', \(N, \?\), is open"),
        (None, {}, r"'x0' has no shape at all.*shapes=\{\"x0\": "),
        (["N", 3], {"x": (1, 3)}, r"shapes: net\.onnx has no input 'x'; did you mean 'x0'\?"),
        (["N", 3], {"x0": (1, 4)}, r"the file fixes dimension 1 to 3: \(N, 3\)"),
        (["N", 3], {"x0": (1, 3, 4)}, r"has 3 dimensions, but the file has 2"),
        (["N", 3], {"x0": (1, -3)}, r"not a sequence of positive integers"),
        (["N", "N"], {"x0": (1, 3)}, r"dimension 1 is 'N', which is 1 elsewhere"),
    ],
)  # fmt: skip
def test_messages_about_shapes(tmp_path, shape, given, message):
    with pytest.raises(MutatennError, match=message):
        import_onnx(relu(tmp_path, shape), shapes=given)


# -- what cannot be imported -----------------------------------------------------------------


def test_damaged_files(tmp_path):
    good = save(
        tmp_path,
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [info("x", [400])],
        [info("y", [400])],
        [weight("w", 400)],
    ).read_bytes()
    bad = tmp_path / "bad.onnx"
    for data in (good[:900], good[:-7], b"\x00\x01 garbage", b"<html>not found</html>", b""):
        bad.write_bytes(data)
        with pytest.raises(MutatennError, match=r"bad\.onnx: not an ONNX file.*again"):
            import_onnx(bad)
    with pytest.raises(MutatennError, match="there is no such file"):
        import_onnx(tmp_path / "none.onnx")
    model = onnx.load_model_from_string(good)
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-8]
    onnx.save(model, bad)
    with pytest.raises(MutatennError, match=r"bad\.onnx: the initialiser 'w' is damaged"):
        import_onnx(bad)


def test_unknown_operator(tmp_path):
    node = helper.make_node("FancyOp", ["x"], ["y"], name="/head/fancy")
    path = save(tmp_path, [node], [info("x", [2])], [info("y", [2])])
    with pytest.raises(MutatennError, match=r"TVM cannot import FancyOp \(node '/head/fancy'\); "):
        import_onnx(path)


def test_operator_that_tvm_refuses(tmp_path, capfd):
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")
    path = save(tmp_path, [node], [info("x", [1, 2])], [info("y", None)], [weight("w", 3, 4)])
    with pytest.raises(MutatennError, match=r"cannot import MatMul \(node 'mm'\): .*onnxsim"):
        import_onnx(path)
    gc.collect()
    assert capfd.readouterr() == ("", "")


def test_control_flow(tmp_path):
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "b", [], [info("b", [2])])
    node = helper.make_node(
        "If", ["c"], ["y"], name="maybe", then_branch=branch, else_branch=branch
    )
    inputs = [info("x", [2]), info("c", [], TensorProto.BOOL)]
    with pytest.raises(MutatennError, match=r"If \(node 'maybe'\) holds a graph of its own"):
        import_onnx(save(tmp_path, [node], inputs, [info("y", [2])]))


def test_shape_that_depends_on_data(tmp_path):
    node = helper.make_node("NonZero", ["x"], ["y"], name="nz")
    path = save(tmp_path, [node], [info("x", [4])], [info("y", None, TensorProto.INT64)])
    with pytest.raises(MutatennError, match=r"NonZero \(node 'nz'\)"):
        import_onnx(path)


def test_nothing_to_mutate(tmp_path):
    path = save(tmp_path, [], [info("x", [2])], [info("x", [2])])
    with pytest.raises(MutatennError, match="no nodes"):
        import_onnx(path)
    node = helper.make_node("Identity", ["x"], ["y"])
    path = save(tmp_path, [node], [info("x", [2])], [info("y", [2])])
    with pytest.raises(MutatennError, match="nothing to mutate"):
        import_onnx(path)


def test_undefined_tensor_and_output(tmp_path):
    node = helper.make_node("Add", ["x", "lost"], ["y"], name="a")
    with pytest.raises(MutatennError, match=r"Add \(node 'a'\) reads 'lost', which nothing"):
        import_onnx(save(tmp_path, [node], [info("x", [2])], [info("y", [2])]))
    node = helper.make_node("Relu", ["x"], ["y"])
    with pytest.raises(MutatennError, match="nothing gives the output 'z'"):
        import_onnx(save(tmp_path, [node], [info("x", [2])], [info("y", [2]), info("z", [2])]))


def test_string_input(tmp_path):
    node = helper.make_node("Identity", ["x"], ["y"])
    path = save(tmp_path, [node], [info("x", [1], TensorProto.STRING)], [info("y", None)])
    with pytest.raises(MutatennError, match="'x' is no numeric tensor"):
        import_onnx(path)


# -- invariants ------------------------------------------------------------------------------


def test_tvm_is_not_patched(tmp_path):
    code = """
from tvm.relax.frontend.onnx import onnx_frontend as f
before = {k: (v, dict(vars(v))) for k, v in f._get_convert_map().items()}
importer = dict(vars(f.ONNXGraphImporter))
import pathlib, sys
from pytest_mutatenn.model.onnx_import import import_onnx
import_onnx(pathlib.Path(sys.argv[1]))
assert before == {k: (v, dict(vars(v))) for k, v in f._get_convert_map().items()}
assert importer == dict(vars(f.ONNXGraphImporter))
"""
    nodes = [
        helper.make_node("Clip", ["x"], ["c"], min=0.0, max=6.0),
        helper.make_node("Sum", ["c", "x"], ["y"]),
    ]
    path = save(tmp_path, nodes, [info("x", [2])], [info("y", [2])], opset=8)
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@given(st.lists(st.text(min_size=1), unique=True))
@settings(deadline=None, max_examples=200)
def test_identifiers_are_unique_and_plain(names):
    given_names = identifiers(names)
    assert list(given_names) == names
    values = list(given_names.values())
    assert len(set(values)) == len(values)
    assert all(value.isidentifier() and value.isascii() for value in values)
    assert identifiers(names) == given_names


@given(st.lists(st.sampled_from(["a", "a_1", "a.1", "a/1", "a_1_1", "é", "1", "_", "if", "expf"])))
def test_identifiers_that_collide(names):
    values = list(identifiers(names).values())
    assert len(set(values)) == len(values) == len(set(names))
    assert not {"if", "expf"} & set(values)
