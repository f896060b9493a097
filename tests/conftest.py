"""A cache of the checkout's own: no test leans on what another checkout has built."""

import os
from pathlib import Path

os.environ.setdefault("MCU_BUILD_CACHE", str(Path(__file__).parents[1] / "build" / "test-cache"))
