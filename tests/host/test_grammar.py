"""The grammar of random models covers every operator of docs/operators.md."""

from mcu_build.plan.left_out import left_out
from mcu_build.plan.select import operators
from mcu_build.report.operators import core_opset
from tests.support.generator.grammar import called
from tests.support.generator.operators import TEMPLATES
from tests.support.generator.rare import RARE

# What export makes of a function that is called by another name.
_EXPORTED = {
    "_native_batch_norm_legit": "native_batch_norm",
    "_native_batch_norm_legit_no_training": "native_batch_norm",
}


def uncovered(templates):
    """Operators of PyTorch's on the page that no template calls."""
    names = called(templates)
    rows = {*operators(), *(name for name in core_opset() if not left_out(name.partition(".")[0]))}
    bases = {row: row.removeprefix("aten::").partition(".")[0] for row in rows if row.startswith("aten::")}
    forms = {
        row: {base, f"{base}_", base.removesuffix("_copy"), _EXPORTED.get(base)}
        for row, base in bases.items()
    }
    return sorted(row for row, known in forms.items() if not known & names)


def test_every_operator_of_pytorch_is_in_a_rule():
    assert uncovered((*TEMPLATES, *RARE)) == []


def test_an_operator_in_no_rule_is_found():
    erf = [template for template in TEMPLATES if template.name == "erf"]
    with_it, without = set(uncovered(erf)), set(uncovered([]))
    assert {"aten::erf", "aten::erf.out"} <= without - with_it
    assert "aten::exp.out" in with_it
