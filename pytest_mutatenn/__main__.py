"""``python -m pytest_mutatenn``: the command ``pytest-mutatenn``."""

from pytest_mutatenn.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
