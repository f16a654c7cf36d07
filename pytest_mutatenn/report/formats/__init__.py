"""The kinds of report, one a module, with ``write(record, path)`` and ``DEFAULT``, a path.

A module here is a kind; ``--mutatenn-report`` calls it by its name, with dashes. One that is a
single text also has ``render(record)``, and can be printed. A writer reads the record alone, and
may give the path that it wrote.
"""
