"""The report as data, and one writer a file."""
