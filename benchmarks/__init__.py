"""How fast pytest-mutatenn is, and how much memory it takes: ``python -m benchmarks --help``."""
