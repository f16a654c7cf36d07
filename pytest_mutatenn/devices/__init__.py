"""Kinds of device: one file a kind behind the interface of :mod:`.base`."""
