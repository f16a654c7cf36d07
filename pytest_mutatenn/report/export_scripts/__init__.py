"""The scripts that ``pytest-mutatenn export`` puts beside a mutant.

They are copied as they stand, and import nothing of this package: ``run.py`` always, and of
``llvm.py``, ``c.py`` and ``opencl.py`` the one for the cell, as ``device.py``; for the first two
also ``memory.py``.
"""
