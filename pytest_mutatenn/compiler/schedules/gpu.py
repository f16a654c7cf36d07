"""Schedules for GPUs, and for CPUs under OpenCL: the rules and the order they are asked in."""

from __future__ import annotations

from pytest_mutatenn.compiler.schedules.base import Rule
from pytest_mutatenn.compiler.schedules.gpu_direct import one_thread_an_element
from pytest_mutatenn.compiler.schedules.gpu_tiled import tiled

__all__ = ["GPU_RULES"]

GPU_RULES: tuple[Rule, ...] = (tiled, one_thread_an_element)
"""The rules for OpenCL and CUDA, the particular before the general. The first answer wins."""
