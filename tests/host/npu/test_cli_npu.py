"""`mcu-build npu dump`."""

import json

import pytest

from mcu_build.cli import main
from mcu_build.errors import Exit
from mcu_build.ir.program import Delegate, Program
from tests.support import npu_modules
from tests.support.npu_cases import make


@pytest.fixture
def program(monkeypatch, tmp_path):
    """A stand-in for a .pte whose only content is a delegate."""
    case = make(npu_modules.starter, "ethos-u55-128")
    delegates = [Delegate("EthosUBackend", case.delegate)]
    monkeypatch.setattr(
        "mcu_build.ir.program.load",
        lambda path, weights: Program("forward", (), (), (), (), tuple(delegates), 0),
    )
    return delegates


def _run(capsys, *words):
    with pytest.raises(SystemExit) as exit:
        main(["npu", "dump", "program.pte", *words])
    return exit.value.code, capsys.readouterr()


def test_dump_prints_words(program, capsys):
    status, output = _run(capsys)
    lines = output.out.splitlines()
    assert status == Exit.OK
    assert lines[0].startswith("delegate 0: ethos-u55-128, ")
    assert lines[1] == "0x000000: NPU_SET_IFM_REGION region=1"
    assert lines[-1].endswith("NPU_OP_STOP mask=65535")


def test_dump_as_json(program, capsys):
    status, output = _run(capsys, "--json")
    document = json.loads(output.out)
    assert status == Exit.OK and document["schema"] == 1
    assert document["delegates"][0]["npu"] == "ethos-u55-128"


def test_a_program_without_a_delegate_is_refused(program, capsys):
    program.clear()
    status, output = _run(capsys)
    assert status == Exit.INPUT
    assert "it has no Ethos-U delegate" in output.err
