"""Caches of the checkout's own: no test leans on what another checkout has built."""

import os
import shutil
import tempfile
from pathlib import Path

from mcu_build.garbage import search_seldom

_CACHE = Path(__file__).parents[1] / "build" / "test-cache"

search_seldom()
# Tests run at the same time on every core, so that torch's threads would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MCU_BUILD_CACHE", str(_CACHE))
# Tests compile the same kernels in many folders.
if shutil.which("ccache"):
    os.environ.setdefault("CMAKE_CXX_COMPILER_LAUNCHER", "ccache")
    os.environ.setdefault("CCACHE_DIR", str(_CACHE / "ccache"))
    os.environ.setdefault("CCACHE_NOHASHDIR", "1")
    # Paths in tests' folders count relative to the build: a source in two folders is compiled once.
    os.environ.setdefault("CCACHE_BASEDIR", tempfile.gettempdir())
