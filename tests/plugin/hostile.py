"""Operators that make a kernel do its worst: the `conftest.py` of the hostile project.

Each applies to one store of the tiny network, so that it gives one mutant.
"""

from tvm import tirx
from tvm.ir.prim import Add
from tvm.tirx import BufferStore, Evaluate, For, ForKind, IfThenElse, SeqStmt, While

from pytest_mutatenn import operator


def const(value, dtype="int32"):
    return tirx.const(value, dtype)


def call(name, *args, result="int32"):
    return tirx.call_extern(result, name, *args)


def times(count, body):
    return For(tirx.Var("times", "int32"), const(0), const(count), ForKind.SERIAL, body)


def descriptors(body):
    fd = tirx.Var("fd", "int32")
    return For(fd, const(3), const(62), ForKind.SERIAL, Evaluate(body(fd)))


def hostile(name):
    """Register `function(store)`, which gives the statement that takes the store's place."""

    def register(function):
        def replacements(node):
            if node.buffer.name == "T_softmax_norm":
                yield function(node)

        replacements.__doc__ = f"Do harm: {name}."
        operator(name, category="stores", on=BufferStore, stages=["device"])(replacements)
        return function

    return register


def besides(name, statement):
    """Register an operator that stores what it should, and does something else first."""
    hostile(name)(lambda node: SeqStmt([statement(), node]))


@hostile("far_write")
def far_write(node):
    return BufferStore(node.buffer, node.value, [node.indices[0] + (1 << 30)])


@hostile("endless_loop")
def endless_loop(node):
    return While(tirx.const(True), SeqStmt([node, node]))


@hostile("not_a_number")
def not_a_number(node):
    return BufferStore(node.buffer, tirx.const(float("nan"), "float32"), node.indices)


@operator("ruins_weights", category="stores", on=BufferStore, stages=["device"])
def ruins_weights(node):
    """Do harm: write NaN into the weights, which every mutant's process comes with."""
    if node.buffer.name == "matmul_intermediate_local" and isinstance(node.value, Add):
        weight = node.value.b.b
        nan = tirx.const(float("nan"), "float32")
        yield SeqStmt([node, BufferStore(weight.source, nan, weight.indices)])


def filled_memory():
    size = tirx.const(16 << 20, "int64")
    zero = tirx.const(0, "int64")
    # not malloc: LLVM knows that nobody reads what is written there
    fresh = call("mmap", zero, size, 3, 0x22, -1, zero, result="handle")
    return call("memset", fresh, 1, size, result="handle")


def orphan():
    sleep = SeqStmt([Evaluate(call("setsid")), Evaluate(call("sleep", 1000))])
    return IfThenElse(call("fork").equal(0), sleep, None)


GARBAGE = "no message, but sixty-four characters of it, as long as a header"

besides("aborts", lambda: Evaluate(call("abort")))
besides("exits", lambda: Evaluate(call("exit", 0)))
besides("stops", lambda: Evaluate(call("raise", 19)))
besides("fills_memory", lambda: times(1 << 20, Evaluate(filled_memory())))
besides("calls_nothing", lambda: Evaluate(tirx.call_packed("mutatenn.tests.no_such_function")))
besides("scribbles", lambda: descriptors(lambda fd: call("write", fd, GARBAGE, 64)))
besides("truncates", lambda: descriptors(lambda fd: call("ftruncate", fd, tirx.const(0, "int64"))))
besides("closes", lambda: descriptors(lambda fd: call("close", fd)))
besides(
    "babbles",
    lambda: SeqStmt(
        [times(1 << 15, Evaluate(call("write", 2, GARBAGE, 64))), Evaluate(call("abort"))]
    ),
)
besides(
    "forks",
    lambda: IfThenElse(call("fork").equal(0), Evaluate(call("sleep", 1000)), None),
)
besides("forks_away", orphan)
# what is forked does not fork again, but comes back and would answer too
besides(
    "forks_back",
    lambda: IfThenElse(call("getpid").equal(call("getpgrp")), Evaluate(call("fork")), None),
)
