"""Operators on TIR: written once, they serve the stages ``kernel`` and ``device``."""
