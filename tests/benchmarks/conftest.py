import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])

# the benchmarks are no part of what is installed
if ROOT not in sys.path:
    sys.path.append(ROOT)
