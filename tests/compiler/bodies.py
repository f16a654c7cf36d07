"""What the tests of mutants share: generated kernels, and the legalised ones of a small network."""

from functools import cache

from hypothesis import strategies as st
from lowering import network
from tvm import relax, tirx
from tvm.ir import prim
from tvm.target import Target

from pytest_mutatenn.compiler.passes import OptLevel, legalise, optimise

SOURCE = tirx.decl_buffer((64,), "float32", "source")
RESULT = tirx.decl_buffer((64,), "float32", "result")
LOOPS = [tirx.Var(name, "int32") for name in ("i", "j", "k")]
COMPARISONS = [prim.LT, prim.LE, prim.GT, prim.GE]


def _int(value):
    return tirx.const(value, "int32")


def indices():
    leaves = st.one_of(st.sampled_from(LOOPS), st.integers(0, 7).map(_int))
    return st.recursive(
        leaves,
        lambda inner: st.builds(
            lambda cls, a, b: cls(a, b),
            st.sampled_from([prim.Add, prim.Mul, prim.Min]),
            inner,
            inner,
        ),
        max_leaves=3,
    )


def conditions():
    return st.builds(
        lambda cls, a, b: cls(a, b), st.sampled_from(COMPARISONS), indices(), indices()
    )


def values():
    leaves = st.one_of(
        st.integers(-4, 4).map(lambda v: tirx.const(float(v), "float32")),
        indices().map(lambda i: tirx.BufferLoad(SOURCE, [i])),
    )

    def shared(value):
        # one object in two places
        return prim.Add(value, value)

    def around(inner):
        return st.one_of(
            st.builds(
                lambda cls, a, b: cls(a, b),
                st.sampled_from([prim.Add, prim.Sub, prim.Mul, prim.Max]),
                inner,
                inner,
            ),
            inner.map(shared),
            st.builds(prim.Select, conditions(), inner, inner),
            st.builds(tirx.if_then_else, conditions(), inner, inner),
        )

    return st.recursive(leaves, around, max_leaves=5)


def statements():
    store = st.builds(lambda v, i: tirx.BufferStore(RESULT, v, [i]), values(), indices())

    def around(inner):
        return st.one_of(
            st.builds(
                lambda var, extent, body: tirx.For(
                    var, _int(0), _int(extent), tirx.ForKind.SERIAL, body
                ),
                st.sampled_from(LOOPS),
                st.integers(1, 5),
                inner,
            ),
            st.builds(tirx.IfThenElse, conditions(), inner, st.one_of(st.none(), inner)),
            st.lists(inner, min_size=2, max_size=3).map(tirx.SeqStmt),
            inner.map(lambda one: tirx.SeqStmt([one, one])),
        )

    return st.recursive(store, around, max_leaves=4)


def functions():
    """Well-formed kernels: every loop variable is bound, by a loop around the statement."""

    def close(body):
        for var in LOOPS:
            body = tirx.For(var, _int(0), _int(4), tirx.ForKind.SERIAL, body)
        return tirx.PrimFunc([SOURCE, RESULT], body)

    return statements().map(close)


def convnet():
    """Convolution, batch norm, ReLU6, a shortcut, two poolings, a dense layer, softmax."""
    op = relax.op

    def build(emit, x, weight, depthwise, dense, *norm):
        value = emit(op.nn.conv2d(x, weight, padding=1), "conv2d_0")
        value = emit(op.nn.batch_norm(value, *norm, axis=1, training=False), "batch_norm_0")
        value = emit(relax.TupleGetItem(value, 0), "item_0")
        short = emit(op.clip(value, 0.0, 6.0), "clip_0")
        value = emit(op.nn.conv2d(short, depthwise, padding=1, groups=4), "conv2d_1")
        value = emit(op.nn.relu(emit(op.add(value, short), "add_0")), "relu_0")
        value = emit(op.nn.max_pool2d(value, (2, 2), strides=(2, 2)), "max_pool2d_0")
        value = emit(op.reshape(emit(op.mean(value, [2, 3]), "mean_0"), (1, 4)), "reshape_0")
        return op.nn.softmax(emit(op.matmul(value, dense), "matmul_0"))

    return network(build, [(1, 3, 6, 6)], [(4, 3, 3, 3), (4, 1, 3, 3), (4, 4), *[(4,)] * 4])


@cache
def legalised_kernels():
    """Name -> kernel before fusion, of :func:`convnet`."""
    opt = OptLevel(0)
    module = legalise(optimise(convnet(), opt), opt, Target("llvm"))
    return {
        gv.name_hint: func
        for gv, func in module.functions.items()
        if isinstance(func, tirx.PrimFunc)
    }
