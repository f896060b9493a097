"""Every operator that the exporter can write into a program has a kernel."""

import re
from importlib.metadata import files

from mcu_build.plan.select import operators


def listed() -> list[str]:
    """The operators of the exporter's operators.yaml, found without importing it."""
    (path,) = (f for f in files("executorch") or () if str(f).endswith("cortex_m/ops/operators.yaml"))
    return re.findall(r"^- func: (cortex_m::[\w.]+)\(", path.read_text(), re.MULTILINE)


def test_each_has_a_selector():
    assert len(listed()) > 20
    assert set(listed()) - operators().keys() == set()
