"""Operators on the Relax function as imported, before any optimisation."""
