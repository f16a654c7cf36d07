"""The scripts that ``pytest-mutatenn export`` puts beside a mutant.

They are copied as they stand, and import nothing of this package: ``run.py`` and ``memory.py``
always, and of ``llvm.py``, ``c.py`` and ``opencl.py`` the one for the cell, as ``device.py``.
"""
