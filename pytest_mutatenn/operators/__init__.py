"""The catalogue of mutation operators: one family a file, found by :mod:`.catalogue`."""
