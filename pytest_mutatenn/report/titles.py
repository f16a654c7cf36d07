"""Titles of the operators' categories; the registry's, without importing TVM."""

from __future__ import annotations

from pytest_mutatenn.operators.registry import CATEGORIES

CATEGORY_TITLES = CATEGORIES
