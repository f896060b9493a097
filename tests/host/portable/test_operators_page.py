"""docs/operators.md lists the operators that have kernels: all of them, and no other."""

import re
from pathlib import Path

from mcu_build.plan.select import operators
from mcu_build.report.operators import core_opset, markdown

PAGE = Path(__file__).parents[3] / "docs" / "operators.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == markdown(core_opset()), "run scripts/update-docs"


def test_every_operator_is_listed_with_its_arguments():
    rows = dict(re.findall(r"^\| `(\S+\.\S+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE))
    assert rows.keys() == operators().keys()
    undescribed = [operator for operator, arguments in rows.items() if not arguments.startswith("(")]
    assert undescribed == []
