# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "numpy>=1.26",
#     "onnx>=1.16",
#     "onnxruntime>=1.18",
#     "scikit-learn>=1.4",
#     "torch==2.13.0",
# ]
# ///
"""Train the small network of the examples on scikit-learn's handwritten digits.

Writes `digits.onnx` and `digits.npz`, the digits that it was not trained on, beside this file;
with an argument, into that folder. Takes about ten seconds on one core. The same machine and
versions give the same files; run it with `uv run examples/train_digits.py`, or with the packages
above.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from torch import nn

SEED = 20
HELD_OUT = 300
NEEDED = 0.97
EPOCHS = 60
BATCH = 64
WIDTH = 16, 32
"""Channels of the first two convolutions, and of the rest."""


class Digits(nn.Module):
    """MobileNet's building blocks, each once; its attributes are the ONNX file's layers."""

    def __init__(self):
        super().__init__()
        narrow, wide = WIDTH
        self.stem_conv = nn.Conv2d(1, narrow, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(narrow)
        self.depthwise_conv = nn.Conv2d(
            narrow, narrow, 3, stride=2, padding=1, groups=narrow, bias=False
        )
        self.depthwise_norm = nn.BatchNorm2d(narrow)
        self.pointwise_conv = nn.Conv2d(narrow, wide, 1, bias=False)
        self.pointwise_norm = nn.BatchNorm2d(wide)
        self.residual_conv = nn.Conv2d(wide, wide, 3, padding=1, bias=False)
        self.residual_norm = nn.BatchNorm2d(wide)
        self.classifier = nn.Linear(wide, 10)

    def forward(self, image):
        relu6 = nn.functional.relu6
        x = relu6(self.stem_norm(self.stem_conv(image)))
        x = relu6(self.depthwise_norm(self.depthwise_conv(x)))
        x = relu6(self.pointwise_norm(self.pointwise_conv(x)))
        x = relu6(x + self.residual_norm(self.residual_conv(x)))
        return self.classifier(x.mean(dim=(2, 3)))


def split():
    """Shuffle the digits; give those to train on and those to hold out, images and labels."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)[..., np.newaxis]
    labels = digits.target.astype(np.int64)
    order = np.random.RandomState(SEED).permutation(len(images))
    held_out, seen = order[:HELD_OUT], order[HELD_OUT:]
    return (images[seen], labels[seen]), (images[held_out], labels[held_out])


def as_input(images):
    """Turn uint8 images, n x 8 x 8 x 1 with values to 16, into what the network takes."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / 16


def shifted(images, generator):
    """Move each image by up to one pixel, so that 1500 digits go further."""
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    rows, columns = torch.randint(0, 3, (2, len(images)), generator=generator)
    return torch.stack(
        [
            image[:, row : row + 8, column : column + 8]
            for image, row, column in zip(padded, rows.tolist(), columns.tolist(), strict=True)
        ]
    )


def train(images, labels):
    """Train a network; deterministic, so single-threaded."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    generator = torch.Generator().manual_seed(SEED)
    inputs, targets = torch.from_numpy(as_input(images)), torch.from_numpy(labels)

    network = Digits().train()
    # smoothed labels keep the softmax off 0 and 1, so that rankings of the scores mean something
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01, weight_decay=0.01)
    steps = EPOCHS * (len(inputs) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=0.01, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(inputs), generator=generator)
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            optimiser.zero_grad()
            loss_of(network(shifted(inputs[batch], generator)), targets[batch]).backward()
            optimiser.step()
            schedule.step()
    return network.eval()


class Graph:
    """An ONNX graph under construction, its weights taken from a network's layers."""

    def __init__(self, network):
        self.network, self.nodes, self.weights = network, [], []

    def weight(self, name, values):
        values = np.asarray(values, np.float32)
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind, name, inputs, output=None, **attributes):
        output = output or f"{name}_out"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def conv(self, name, x):
        layer = getattr(self.network, name)
        weight = self.weight(f"{name}_weight", layer.weight.detach())
        (padding, _), stride = layer.padding, layer.stride
        return self.node(
            "Conv",
            name,
            [x, weight],
            kernel_shape=list(layer.kernel_size),
            pads=[padding] * 4,
            strides=list(stride),
            dilations=[1, 1],
            group=layer.groups,
        )

    def norm(self, name, x):
        layer = getattr(self.network, name)
        parameters = {
            "scale": layer.weight.detach(),
            "bias": layer.bias.detach(),
            "mean": layer.running_mean,
            "variance": layer.running_var,
        }
        inputs = [self.weight(f"{name}_{key}", values) for key, values in parameters.items()]
        return self.node("BatchNormalization", name, [x, *inputs], epsilon=layer.eps)

    def relu6(self, name, x):
        if not any(weight.name == "six" for weight in self.weights):
            self.weight("zero", 0.0), self.weight("six", 6.0)
        return self.node("Clip", name, [x, "zero", "six"])

    def linear(self, name, x):
        layer = getattr(self.network, name)
        weight = self.weight(f"{name}_weight", layer.weight.detach())
        bias = self.weight(f"{name}_bias", layer.bias.detach())
        return self.node("Gemm", name, [x, weight, bias], transB=1)

    def model(self):
        graph = helper.make_graph(
            self.nodes,
            "digits",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, 8, 8])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])],
            self.weights,
        )
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", 17)],
            producer_name="pytest-mutatenn examples/train_digits.py",
        )
        model.ir_version = 8  # the one of opset 17, which every reader in use knows
        onnx.checker.check_model(model, full_check=True)
        return model


def to_onnx(network):
    """Write the network node by node: an exporter would fold the batch norms away."""
    graph = Graph(network)
    x = "image"
    for block in "stem", "depthwise", "pointwise":
        x = graph.conv(f"{block}_conv", x)
        x = graph.norm(f"{block}_norm", x)
        x = graph.relu6(f"{block}_relu6", x)
    shortcut = x
    x = graph.conv("residual_conv", x)
    x = graph.norm("residual_norm", x)
    x = graph.node("Add", "residual_add", [shortcut, x])
    x = graph.relu6("residual_relu6", x)
    x = graph.node("GlobalAveragePool", "pool", [x])
    x = graph.node("Flatten", "flatten", [x], axis=1)
    x = graph.linear("classifier", x)
    graph.node("Softmax", "softmax", [x], output="scores", axis=1)
    return graph.model()


def main(folder):
    (images, labels), (unseen_images, unseen_labels) = split()
    network = train(images, labels)
    model = to_onnx(network)

    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = as_input(unseen_images)
    scores = np.concatenate([session.run(None, {"image": image[None]})[0] for image in inputs])
    with torch.no_grad():
        expected = network(torch.from_numpy(inputs)).softmax(dim=1).numpy()
    np.testing.assert_allclose(scores, expected, atol=1e-5)

    right = int((scores.argmax(axis=1) == unseen_labels).sum())
    parameters = sum(weight.numel() for weight in network.parameters())
    print(
        f"{parameters} parameters; right on {right} of {len(unseen_labels)} digits "
        f"it was not trained on: {right / len(unseen_labels):.1%}"
    )
    assert right >= NEEDED * len(unseen_labels), f"needed {NEEDED:.0%}"

    onnx.save(model, folder / "digits.onnx")
    np.savez_compressed(folder / "digits.npz", images=unseen_images, labels=unseen_labels)
    for name in "digits.onnx", "digits.npz":
        print(f"{name}: {(folder / name).stat().st_size / 1000:.1f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
