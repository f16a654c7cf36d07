"""Weights mutants: one parameter tensor exchanged, and nothing compiled anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax

from pytest_mutatenn.compiler.line import bindings_of, operator_name, shape_of
from pytest_mutatenn.compiler.mutant import Mutant, Site
from pytest_mutatenn.compiler.weight_text import changed_elements
from pytest_mutatenn.model.onnx_import import ImportedModel
from pytest_mutatenn.operators.parameter import Parameter
from pytest_mutatenn.operators.registry import PARAMETER_ROLES, Operator

_BATCH_NORM = ("weight", "scale", "shift", "mean", "variance")
_RESHAPING = ("relax.reshape", "relax.permute_dims", "relax.expand_dims", "relax.squeeze")


@dataclass(frozen=True, eq=False)
class Weight:
    """A floating-point parameter of the network.

    Attributes
    ----------
    index
        Its place in :attr:`ImportedModel.params`.
    whole
        What operators see of it.
    layers
        The layers that read it, in order.
    onnx_name
        Its name in the ONNX file.
    """

    index: int
    whole: Parameter
    layers: tuple[str, ...]
    onnx_name: str


@dataclass(frozen=True, eq=False)
class WeightChange:
    """A parameter as an operator changes it.

    Attributes
    ----------
    weight
        The parameter.
    node
        What of it the operator was asked about.
    values
        All its values, changed.
    """

    weight: Weight
    node: Parameter
    values: np.ndarray

    @property
    def site(self) -> Site:
        """Where the change is."""
        return Site(self.weight.whole.name, self.node.number, self.node.bit)

    def lines(self) -> tuple[str, str]:
        """The first element that changes, before and after, and how many more there are."""
        old = self.weight.whole.values
        count, first = changed_elements(old.reshape(-1), self.values.reshape(-1))
        where = tuple(int(i) for i in np.unravel_index(first[0], old.shape))
        more = count - 1
        rest = f" (and {more} more)" if more else ""
        name = f"{self.weight.onnx_name}[{', '.join(map(str, where))}]"
        before, after = (f"{name} = {values[where]:.9g}" for values in (old, self.values))
        if self.node.bit >= 0:
            bits = [int(v.view(f"u{old.itemsize}")[where]) for v in (old, self.values)]
            was, now = (value >> self.node.bit & 1 for value in bits)
            rest = f", bit {self.node.bit}: %d{rest}"
            return before + rest % was, after + rest % now
        return before + rest, after + rest


def weights_of(model: ImportedModel) -> tuple[Weight, ...]:
    """The floating-point parameters of a network, in the order in which layers first read them."""
    main = model.module["main"]
    variables = list(main.params)[len(model.inputs) :]
    uses = _uses(main, variables)
    names = {var: i for i, var in enumerate(variables)}
    found = []
    for var, (layers, role, axis) in uses.items():
        values = np.asarray(model.params[names[var]])
        if values.dtype.kind == "f" and values.size:
            # from bytes, so that no operator can make it writable
            values = np.frombuffer(values.tobytes(), values.dtype).reshape(values.shape)
            whole = Parameter(var.name, role, axis, values)
            found.append(Weight(names[var], whole, tuple(layers), model.param_names[names[var]]))
    return tuple(found)


def weight_changes(op: Operator, weights: Iterable[Weight], seed: int) -> Iterator[WeightChange]:
    """One change for each parameter that the operator serves, drawn with the seed."""
    (kind,) = op.on
    for weight in weights:
        if not _serves(op, weight.whole):
            continue
        for node in kind.draw(weight.whole, seed, op.name, op.within):
            change = _changed(op, weight, node)
            if change is not None:
                yield change
                break


def chosen_weights(mutant: Mutant, op: Operator, weights: Sequence[Weight]) -> list[WeightChange]:
    """The changes that a mutant asks for; fewer where it names what is not there."""
    if mutant.window is not None:
        start, stop = mutant.window
        return list(weight_changes(op, weights, mutant.draw))[start:stop]
    by_name = {weight.whole.name: weight for weight in weights}
    (kind,) = op.on
    found = []
    for site in mutant.sites:
        weight = by_name.get(site.place)
        if weight is None or not _serves(op, weight.whole):
            continue
        node = kind.of(weight.whole, site.number, site.bit)
        change = _changed(op, weight, node) if node.exists() else None
        if change is not None:
            found.append(change)
    return found


def with_weights(
    params: Sequence[np.ndarray], changes: Iterable[WeightChange]
) -> tuple[np.ndarray, ...]:
    """All parameters, those that change exchanged; of two changes of one the later."""
    new: Mapping[int, np.ndarray] = {c.weight.index: c.values for c in changes}
    return tuple(new.get(i, values) for i, values in enumerate(params))


def _serves(op: Operator, whole: Parameter) -> bool:
    roles = op.within.intersection(PARAMETER_ROLES)
    return not roles or whole.role in roles


def _changed(op: Operator, weight: Weight, node: Parameter) -> WeightChange | None:
    """What the operator makes of a node; None where it does not apply, or changes no bit."""
    values = next(iter(op.replacements(node)), None)
    if values is None:
        return None
    old = weight.whole.values
    values = np.asarray(values, old.dtype, order="C")
    return None if values.tobytes() == old.tobytes() else WeightChange(weight, node, values)


def _uses(main: Any, variables: Sequence[Any]) -> dict[Any, tuple[list[str], str, int]]:
    """Parameter -> the layers that read it, what the first that computes does with it, its axis."""
    found: dict[Any, tuple[list[str], str, int]] = {}
    # a parameter that is only reshaped or permuted is still that parameter
    aliases: dict[Any, tuple[Any, list[int] | None]] = {
        var: (var, list(range(len(shape_of(var) or ())))) for var in variables
    }
    for binding in bindings_of(main):
        value = binding.value
        arguments = list(value.args) if isinstance(value, relax.Call) else []
        for position, argument in enumerate(arguments):
            if not isinstance(argument, relax.Var) or argument not in aliases:
                continue
            var, axes = aliases[argument]
            if operator_name(value) in _RESHAPING and position == 0:
                aliases[binding.var] = var, _axes_after(value, axes)
                continue
            layers, *known = found.get(var, ([], *_role(value, position, argument, axes)))
            layers.append(binding.var.name)
            found[var] = (layers, *known)  # type: ignore[assignment]
    return found


def _axes_after(call: Any, axes: list[int] | None) -> list[int] | None:
    """Which axis of the parameter each axis of the result is; None where that is lost."""
    if axes is not None and operator_name(call) == "relax.permute_dims":
        order = call.attrs.axes
        order = range(len(axes))[::-1] if order is None else [int(i) for i in order]
        return [axes[i] for i in order]
    return None


def _role(call: Any, position: int, argument: Any, axes: list[int] | None) -> tuple[str, int]:
    name, shape = operator_name(call), shape_of(argument) or []
    if name.startswith("relax.nn.conv") and position == 1:
        layout = str(call.attrs.kernel_layout)
        return "weight", _axis(axes, layout.index("O"))
    if name == "relax.matmul":
        return "weight", _axis(axes, len(shape) - 1 if position == 1 else max(0, len(shape) - 2))
    if name == "relax.nn.batch_norm" and position:
        return _BATCH_NORM[position], 0
    if name in ("relax.add", "relax.subtract"):
        long = [i for i, extent in enumerate(shape) if extent > 1]
        if len(long) <= 1:
            return "bias", _axis(axes, long[0]) if long else 0
    return "other", 0


def _axis(axes: list[int] | None, axis: int) -> int:
    return 0 if axes is None else axes[axis]
