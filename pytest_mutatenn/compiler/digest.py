"""Digests of several parts. Needs no TVM: pytest's own process makes keys of the store too."""

from __future__ import annotations

import hashlib


def combine(*parts: str) -> str:
    """256-bit digest of a sequence of strings."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()
