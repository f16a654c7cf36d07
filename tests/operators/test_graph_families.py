"""Where the families of graph operators find a site, and where not."""

import numpy as np
import pytest
from benches import ACTIVATIONS_NUMBERS, OPERATORS, network, weights

from pytest_mutatenn.operators import catalogue


class TestActivations:
    def test_a_gelu_is_found_by_its_last_multiplication(self, benches):
        assert benches["activations"].sites("gelu_to_relu") == ["gelu#1", "multiply_2#1"]

    @pytest.mark.parametrize(
        "nodes",
        [
            [("Mul", "x half", "h"), ("Mul", "h gate", "y")],
            [("Mul", "half gate", "h"), ("Mul", "x h", "y")],
            [("Mul", "gate x", "h"), ("Mul", "half h", "y")],
        ],
    )
    @pytest.mark.parametrize("tanh", [False, True])
    def test_however_it_is_spelled(self, make_bench, nodes, tanh):
        inside = [("Div", "x root", "r"), ("Erf", "r", "e"), ("Add", "one e", "gate")]
        if tanh:
            inside = [
                ("Pow", "x three", "cube"), ("Mul", "cube small", "s"), ("Add", "x s", "a"),
                ("Mul", "a root", "r"), ("Tanh", "r", "t"), ("Add", "t one", "gate"),
            ]  # fmt: skip
        numbers = {**ACTIVATIONS_NUMBERS, "three": 3.0, "small": 0.044715}
        bench = make_bench(network([*inside, *nodes], {"x": [2, 3]}, numbers))
        (site,) = bench.sites("gelu_to_relu")
        assert bench.model.layers[-1].name == site.partition("#")[0]
        image = np.maximum(bench.image, 0)
        np.testing.assert_array_equal(bench.run(f"graph.gelu_to_relu@{site}"), image)

    @pytest.mark.parametrize("product", ["x s", "s x"])
    def test_a_silu_is_a_product_with_its_own_sigmoid(self, make_bench, product):
        model = network([("Sigmoid", "x", "s"), ("Mul", product, "y")], {"x": [2, 3]})
        bench = make_bench(model)
        np.testing.assert_array_equal(
            bench.run("graph.silu_to_relu@multiply#1"), np.maximum(bench.image, 0)
        )

    def test_a_gate_of_something_else_is_none(self, make_bench):
        nodes = [
            ("Exp", "x", "other"),
            ("Sigmoid", "other", "s"),
            ("Mul", "x s", "gated"),
            ("Add", "gated x", "sum"),
            ("Mul", "sum x", "y"),
        ]
        assert not make_bench(network(nodes, {"x": [2, 3]})).sites("silu_to_relu")

    def test_a_clip_that_does_not_start_at_zero_is_no_relu(self, make_bench):
        numbers = {"low": -1.0, "high": 1.0}
        bench = make_bench(network([("Clip", "x low high", "y")], {"x": [2, 3]}, numbers))
        assert not bench.sites("relu_to_identity")
        assert not bench.sites("exp_relu_0_before")

    @pytest.mark.parametrize("level", range(5))
    def test_a_network_of_nothing_else(self, make_bench, level):
        bench = make_bench(network([("Relu", "x", "y")], {"x": [2, 3]}))
        np.testing.assert_array_equal(
            bench.run("graph.relu_to_identity@relu#1", level), bench.image
        )


class TestResiduals:
    def test_a_bias_of_the_image_s_shape_is_no_shortcut(self, make_bench):
        nodes = [("Conv", "x k b", "c"), ("Add", "c c", "y")]
        model = network(nodes, {"x": [1, 2, 3, 3]}, weights(k=(2, 2, 3, 3), b=2))
        bench = make_bench(model)
        assert [layer.op for layer in bench.model.layers].count("relax.add") == 2
        assert not bench.sites("drop_residual")

    @pytest.mark.parametrize("order", ["deep short", "short deep"])
    def test_the_projection_is_the_shortcut(self, make_bench, order):
        nodes = [
            ("Conv", "x k", "first"),
            ("Conv", "first k", "deep"),
            ("Conv", "x k", "short"),
            ("Add", order, "y"),
        ]
        model = network(nodes, {"x": [1, 2, 3, 3]}, {"k": np.full((2, 2, 1, 1), 3.0)})
        bench = make_bench(model)
        (site,) = bench.sites("drop_residual")
        # every convolution multiplies the sum of the channels by three
        deep = np.repeat(bench.image.sum(1, keepdims=True) * 18, 2, axis=1)
        np.testing.assert_allclose(bench.run(f"graph.drop_residual@{site}"), deep, rtol=1e-5)


class TestConvolutions:
    def sites(self, make_bench, name, attributes, kernel=(2, 2, 3, 3), image=(1, 2, 7, 7)):
        nodes = [("Conv", "x k", "c", attributes), ("Relu", "c", "y")]
        bench = make_bench(network(nodes, {"x": image}, weights(k=kernel)))
        for site in bench.sites(name):
            bench.run(f"graph.{name}@{site}", 3)
        return bench.sites(name)

    @pytest.mark.parametrize(
        ("name", "attributes", "count"),
        [
            ("conv_stride", {}, 1),
            ("conv_stride", {"strides": [2, 2]}, 2),
            ("conv_stride", {"strides": [2, 1]}, 1),
            ("conv_padding", {}, 1),
            ("conv_padding", {"pads": [1, 1, 1, 1]}, 2),
            ("conv_padding", {"pads": [0, 0, 1, 1], "strides": [2, 2]}, 2),
            ("conv_dilation", {}, 1),
            ("conv_dilation", {"dilations": [2, 2]}, 2),
            ("conv_dilation", {"dilations": [3, 3]}, 1),
        ],
    )
    def test_one_more_and_one_less(self, make_bench, name, attributes, count):
        assert len(self.sites(make_bench, name, attributes)) == count

    @pytest.mark.parametrize("name", ["conv_stride", "conv_padding", "conv_dilation"])
    def test_depthwise_and_one_dimensional(self, make_bench, name):
        pads = {"pads": [1, 1, 1, 1], "strides": [2, 2]}
        assert self.sites(make_bench, name, {"group": 2, **pads}, kernel=(2, 1, 3, 3))
        assert self.sites(make_bench, name, {"pads": [1, 1]}, (2, 2, 3), (1, 2, 7))

    def test_what_would_change_nothing(self, make_bench):
        assert not self.sites(make_bench, "conv_dilation", {}, kernel=(2, 2, 1, 1))
        assert not self.sites(make_bench, "conv_stride", {}, kernel=(2, 2, 7, 7))
        assert not self.sites(make_bench, "layout_nchw_nhwc", {}, (2, 1, 3, 3), (1, 1, 7, 7))

    def test_a_window_wider_than_the_image_is_none(self, make_bench):
        assert not self.sites(make_bench, "conv_dilation", {}, kernel=(2, 2, 5, 5))


class TestPooling:
    @pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
    @pytest.mark.parametrize("rank", [1, 3])
    def test_other_ranks(self, make_bench, operator, rank):
        nodes = [(operator, "x", "y", {"kernel_shape": [2] * rank})]
        bench = make_bench(network(nodes, {"x": [1, 2, *[4] * rank]}))
        name = {"MaxPool": "max_pool_to_avg_pool", "AveragePool": "avg_pool_to_max_pool"}[operator]
        (site,) = bench.sites(name)
        assert not np.array_equal(bench.run(f"graph.{name}@{site}"), bench.run("identity"))

    def test_a_mean_over_channels_is_no_pooling(self, make_bench):
        nodes = [("ReduceMean", "x axes", "y")]
        bench = make_bench(network(nodes, {"x": [1, 2, 4, 4]}, {"axes": np.array([1])}))
        assert not bench.sites("avg_pool_to_max_pool")

    def test_a_maximum_of_two_tensors_is_no_pooling(self, benches):
        assert not benches["arithmetic"].sites("max_pool_to_avg_pool")


class TestOnDemand:
    @pytest.mark.parametrize(
        ("name", "sites"),
        [
            ("sqrt_conv2d_dense_0_before", ["conv2d#1", "conv2d_1#1", "matmul#1"]),
            ("square_relu_softmax_0_after", ["clip#1", "relu#1", "softmax#1"]),
            ("sign_add_1_before", ["add#1", "add_1#1", "add_2#1"]),
            ("zero_batch_norm_4_before", ["batch_norm#1"]),
            ("tanh_max_pool2d_mean_0_before", ["max_pool2d#1", "mean#1"]),
            ("log_conv2d_2_before", []),
        ],
    )  # fmt: skip
    def test_every_id_of_the_grammar(self, benches, name, sites):
        bench = benches["images"]
        assert bench.sites(name) == sites
        for site in sites[:1]:
            assert np.isfinite(bench.run(f"graph.{name}@{site}")).all()

    def test_it_belongs_to_no_group(self):
        op = OPERATORS.find("floor_conv2d_0_after")
        assert op.groups == frozenset()
        assert op.summary == "Round down the output of a conv2d layer."
        assert OPERATORS.find("floor_dense_relu_1_before").summary == (
            "Round down argument 1 of a dense or a relu layer."
        )

    @pytest.mark.parametrize(
        "name",
        [
            "sqrt_conv2d_0_between",
            "sqrt_conv2d_before",
            "sqrt_conv9d_0_before",
            "cube_conv2d_0_before",
            "sqrt_conv2d_1_after",
            "sqrt_0_before",
            "sqrt_*",
        ],
    )
    def test_what_is_no_id(self, name):
        assert OPERATORS.find(name) is None

    def test_names_that_share_their_words(self):
        assert OPERATORS.find("transpose_conv2d_transpose_1_before").on == (
            "relax.nn.conv2d_transpose",
        )
        assert OPERATORS.find("relu_relu_0_before").on == ("relax.nn.relu", "relax.clip")

    def test_its_parameters(self):
        op = catalogue.load(settings=[("scale_relu_0_after", "factor", "0.5")]).find(
            "scale_relu_0_after"
        )
        assert op.parameters == {"factor": 0.5}
        assert OPERATORS["clip_dense_0_after"].parameters == {"low": -1.0, "high": 1.0}
        assert OPERATORS["negate_dense_0_after"].parameters == {}
