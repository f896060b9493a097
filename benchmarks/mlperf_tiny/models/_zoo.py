"""The nets of tests/models with random weights: no channel is dead, so nothing can be left out."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests" / "models"))

from _weights import balanced, varied

__all__ = ["balanced", "varied"]
