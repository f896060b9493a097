"""ExecuTorch's own runtime: what is linked for a program, what is refused, and in which words."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcu_build.board import find_board
from mcu_build.codegen.executorch import Deployment, Pools, generate
from mcu_build.codegen.executorch_operators import ADAPTERS
from mcu_build.codegen.slot import Region
from mcu_build.errors import Exit, McuError
from mcu_build.executorch import package
from mcu_build.executorch.options import Options
from mcu_build.ir.calls.moves import Permute, PermuteParams
from mcu_build.ir.plan import Arena, DType, Plan, Step
from mcu_build.ir.program import Delegate, KernelCall, Program, TensorValue
from mcu_build.plan.select import operators as selectors
from mcu_build.progress import Silent
from mcu_build.stages import executorch_deploy as deploy
from mcu_build.stages import executorch_measure as measure
from mcu_build.stages import replace as slots
from mcu_build.stages.executorch_deploy import exact_pools, operators, wanted_pools
from mcu_build.stages.lowered import Lowered
from tests.host.test_vela_payload import payload as vela_payload
from tests.support.cli import mcu_build

ROOT = Path(__file__).resolve().parents[2]
HOST = find_board("host")
CORE = find_board("corstone-300")
UPSTREAM = Options(upstream=True)


def program(*names: str) -> Program:
    calls = tuple(KernelCall(name, (0, 1, 1)) for name in names)
    return Program("forward", (None, None), calls, (), (), (), ())


def test_an_adapter_serves_only_what_the_static_runtime_can_plan():
    assert set(ADAPTERS) <= set(selectors())
    header = (ROOT / "firmware/include/mcu/executorch/operators.h").read_text()
    for adapter in ADAPTERS.values():
        source = ROOT / "firmware/executorch/operators" / f"{adapter.source}.cpp"
        assert f"void {adapter.function}(KernelRuntimeContext& context, Values values)" in source.read_text()
        assert adapter.function in header


def test_the_program_says_what_is_linked():
    assert operators(program("aten::cat.out", "aten::cat.out"), Options(), "m") == ("aten::cat.out",)


def test_a_list_says_what_is_linked():
    options = Options(ops=("aten::cat.out", "cortex_m::softmax.out"))
    assert operators(program("aten::cat.out"), options, "m") == ("aten::cat.out", "cortex_m::softmax.out")


def test_an_operator_that_is_left_out_is_named_with_its_remedy():
    with pytest.raises(McuError, match=r"calls aten::cat\.out, which --ops and --ops-from leave out") as text:
        operators(program("aten::cat.out"), Options(ops=("cortex_m::softmax.out",)), "m")
    assert "--ops aten::cat.out" in text.value.hint


def test_an_operator_without_a_kernel_is_named():
    with pytest.raises(McuError, match=r"upstream: no kernel for aten::catt\.out") as text:
        operators(program(), Options(ops=("aten::catt.out",)), "m")
    assert "Did you mean aten::cat.out" in text.value.hint


def test_pools_that_are_too_small_are_told_by_how_much():
    measured = Pools(method=5001, temp=10)
    exact = exact_pools(measured, program("aten::cat.out"), Options(), False, "m")
    assert exact == Pools(5008, 96)
    with pytest.raises(McuError, match="--method-pool: 4,096 bytes, the program takes 5,008: 912 too few"):
        exact_pools(measured, program(), Options(method_pool=4096), False, "m")
    assert exact_pools(measured, program(), Options(method_pool=9000), False, "m").method == 9000


def test_what_a_firmware_wanted_is_read():
    text = "mcu: bytes wanted: method pool 400 of 4096, temporary 5000 of 1040\n"
    assert wanted_pools(Pools(4096, 1040), text) == Pools(4096, 5008)
    assert wanted_pools(Pools(4096, 5008), text) is None
    assert wanted_pools(Pools(4096, 1040), "it failed otherwise") is None


def lowered(file: Path) -> Lowered:
    """A program as it was given."""
    return Lowered("m", "key", file, None, None, None, (), (), ())


def test_delegates_without_a_back_end_are_refused(tmp_path, monkeypatch):
    delegated = replace(program(), delegates=(Delegate("VgfBackend", b""),))
    monkeypatch.setattr(deploy, "load", lambda file, method, data: delegated)
    plan = Plan("m", {}, (), (), ())
    with pytest.raises(McuError, match="m: delegates of VgfBackend have no back end here") as text:
        deploy.deployment(plan, (), lowered(tmp_path / "m.pte"), Options(upstream=True), True)
    assert "There is EthosUBackend" in text.value.hint


def test_slots_that_the_npu_does_not_reach_are_refused(monkeypatch):
    plan = Plan("m", {}, (), (), ())
    region = Region(0x10060000, 0x20000)
    given = Deployment(plan, program(), b"", (), Pools(0, 0), region, backends=("EthosUBackend",))
    monkeypatch.setattr(measure, "deployment", lambda *_: given)
    board = CORE.with_program_slots(region.address, region.size)
    with pytest.raises(McuError, match="the NPU of corstone-300 does not reach 0x10060000"):
        measure.estimated(plan, (), lowered(Path("m.pte")), Options(), board)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"backends": []}, "it has delegates of EthosUBackend, for which the firmware has no back end"),
        ({"temp_pool": 100}, "its delegates need 128 bytes of temporary memory, the firmware has 100"),
        ({"npu": "ethos-u55-64"}, "it is made for ethos-u55-128, the firmware for ethos-u55-64"),
        ({}, None),
    ],
)
def test_a_program_for_slots_is_held_against_the_firmware(tmp_path, monkeypatch, changed, words):
    delegated = replace(program(), delegates=(Delegate("EthosUBackend", vela_payload()),))
    file = tmp_path / "m.pte"
    file.write_bytes(b"....ET12")
    memory = {
        **{"operators": [], "backends": ["EthosUBackend"], "method": "forward", "arena": 0, "temp_pool": 128},
        **{"program_slot": {"address": 0, "size": 4096}, **changed},
    }
    built = SimpleNamespace(
        memory=memory, artefacts={}, inputs=(), outputs=(), npu={"name": memory.get("npu", "ethos-u55-128")}
    )
    monkeypatch.setattr(slots.manifest, "require", lambda folder: built)
    monkeypatch.setattr(slots, "load", lambda *_: delegated)
    if words is None:
        assert slots.program_file(file, tmp_path, 2, None, (), Silent())
        return
    with pytest.raises(McuError, match=words) as text:
        slots.program_file(file, tmp_path, 2, None, (), Silent())
    assert text.value.hint == ("Build the firmware with --temp-pool 144." if "temp_pool" in changed else "")


def with_a_view(order: tuple[int, ...]) -> Program:
    """A view that shares the bytes of an image, whose memory is in `order`."""
    image = TensorValue(DType.F32, (1, 4, 3, 3), order, None, (1, 0))
    view = TensorValue(DType.F32, (1, 2, 2, 9), (0, 1, 2, 3), None, (1, 144))
    values = (image, replace(image, location=(1, 144)), view, replace(view, location=(1, 0)))
    calls = (KernelCall("aten::neg.out", (0, 1, 1)), KernelCall("aten::neg.out", (2, 3, 3)))
    return Program("forward", values, calls, (0,), (3,), (), ())


def test_views_that_would_have_to_move_bytes_are_refused(tmp_path, monkeypatch):
    """By what the program says: a plan may have its images in another order, and move them for that."""
    step = Step.of("aten::view_copy.out", "m.py:7", Permute(PermuteParams(1, (1,) * 6, (0,) * 6), 0, 1))
    moves, plain = Plan("m", {}, (step,), (), ()), Plan("m", {}, (replace(step, operator="copy"),), (), ())
    given = lowered(tmp_path / "m.pte")
    for plan in (moves, plain):
        monkeypatch.setattr(deploy, "load", lambda file, method, data: with_a_view((0, 2, 3, 1)))
        with pytest.raises(McuError, match=r"a view of a channels-last tensor shares its bytes"):
            deploy.deployment(plan, (), given, UPSTREAM, True)
        monkeypatch.setattr(deploy, "load", lambda file, method, data: with_a_view((0, 1, 2, 3)))
        with pytest.raises(McuError, match=r"upstream: no kernel for aten::neg\.out"):
            deploy.deployment(plan, (), given, UPSTREAM, True)


def install(folder: Path, version: str | None = "1.5.1", library: str = "lib/libexecutorch_core.a") -> Path:
    """A folder that looks like an install of ExecuTorch."""
    config = folder / "lib/cmake/ExecuTorch/executorch-config.cmake"
    header = folder / "include/executorch/runtime/executor/program.h"
    headers = [folder / "include" / name for name in package._headers()]
    for file in (config, header, folder / library, *headers):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("kernel_registry")
    if version:
        (config.parent / "executorch-config-version.cmake").write_text(f'set(PACKAGE_VERSION "{version}")')
    return folder


def test_the_wheel_is_found_for_this_computer():
    assert package.find(None, HOST) == package.wheel()


def test_an_install_is_found_by_prefix_and_by_environment(tmp_path, monkeypatch):
    install(tmp_path)
    assert package.find(tmp_path, CORE) == tmp_path
    monkeypatch.setenv("CMAKE_PREFIX_PATH", f"/nowhere:{tmp_path}")
    assert package.find(None, CORE) == tmp_path


def test_an_install_without_version_is_known_by_its_headers(tmp_path):
    assert package.find(install(tmp_path, None), CORE) == tmp_path
    (tmp_path / "include/executorch/runtime/executor/program.h").write_text("of old")
    with pytest.raises(McuError, match=r"older than 1\.5; 1\.5 is expected"):
        package.find(tmp_path, CORE)


@pytest.mark.parametrize("version", ["1.4.1", "2.0.0"])
def test_another_version_is_refused(tmp_path, version):
    with pytest.raises(McuError, match=rf"ExecuTorch {version[:3]}; 1\.5 is expected") as text:
        package.find(install(tmp_path, version), CORE)
    assert "--executorch-prefix" in text.value.hint


def test_a_missing_install_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CMAKE_PREFIX_PATH", str(tmp_path))
    with pytest.raises(
        McuError, match=rf"ExecuTorch 1\.5 .*cortex-m55: not found; looked in {tmp_path}"
    ) as text:
        package.find(None, CORE)
    assert text.value.exit_code == Exit.TOOL_MISSING and "--executorch-prefix" in text.value.hint
    with pytest.raises(McuError, match=r"no executorch-config\.cmake; ExecuTorch 1\.5 is expected"):
        package.find(tmp_path, CORE)


def test_a_wheel_without_the_runtime_is_refused(tmp_path):
    with pytest.raises(
        McuError, match=r"without a C\+\+ runtime for host: there is no lib/libexecutorch\.\*"
    ):
        package.find(install(tmp_path, library="lib/other.so"), HOST)
    with pytest.raises(McuError, match=r"without a C\+\+ runtime for cortex-m55"):
        package.find(install(tmp_path, library="lib/libexecutorch.so"), CORE)


def test_a_header_that_an_install_lacks_is_named(tmp_path):
    install(tmp_path)
    (tmp_path / "include/executorch/extension/data_loader/buffer_data_loader.h").unlink()
    words = r"ExecuTorch without executorch/extension/data_loader/buffer_data_loader\.h below include/"
    with pytest.raises(McuError, match=words) as text:
        package.find(tmp_path, CORE)
    assert text.value.exit_code == Exit.TOOL_MISSING and "DATA_LOADER=ON" in text.value.hint


def test_an_operator_that_an_install_lacks_is_named(tmp_path):
    install(tmp_path, library="lib/libcmsis-nn.a")
    kernels = install(tmp_path, library="lib/libcortex_m_kernels.a") / "lib/libcortex_m_kernels.a"
    kernels.write_text("_ZN8cortex_m6native20quantized_conv2d_outERN10executorch")
    package.check_kernels(tmp_path, ["cortex_m::quantized_conv2d.out"])
    words = r"its kernels for Cortex-M have no cortex_m::quantized_conv2d_nhwc\.out\n"
    with pytest.raises(McuError, match=words):
        package.check_kernels(
            tmp_path, ["cortex_m::quantized_conv2d_nhwc.out", "cortex_m::quantized_conv2d.out"]
        )


def test_an_install_without_kernels_of_its_own_is_refused(tmp_path):
    install(tmp_path, library="lib/libcortex_m_kernels.a")
    with pytest.raises(
        McuError, match=r"without kernels for Cortex-M: there is no lib\*/libcmsis-nn\.a"
    ) as text:
        package.check_kernels(tmp_path)
    assert "--kernels upstream" in text.value.hint
    package.check_kernels(install(tmp_path, library="lib/libcmsis-nn.a"))


def test_options_of_the_other_runtime_are_refused():
    result = mcu_build("build", "--board", "host", "--ops", "aten::cat.out", "model.py", "--json")
    assert result.status == Exit.USAGE
    assert "--ops: it has no effect without --kernels upstream" in result.json["error"]["message"]


@pytest.mark.parametrize(
    ("board", "runtime", "words"),
    [("host", "executorch", "for Arm cores alone"), ("corstone-300", "static", "static runtime cannot call")],
)
def test_kernels_of_upstream_are_refused_where_there_are_none(board, runtime, words, tmp_path):
    (tmp_path / "model.py").touch()
    options = ("--board", board, "--runtime", runtime, "--kernels", "upstream")
    result = mcu_build("build", *options, tmp_path / "model.py", "--json")
    assert result.status == Exit.USAGE and words in result.json["error"]["message"]


def test_kernels_of_upstream_serve_what_cortex_m_is_called(tmp_path, monkeypatch):
    called = program("cortex_m::pad.out", "aten::cat.out")
    monkeypatch.setattr(deploy, "load", lambda file, method, data: called)
    (tmp_path / "m.pte").write_bytes(b"0000ET12")
    plan = Plan("m", {}, (), (), ()).with_arena(Arena(16, {}, 0, 16))
    made = generate(deploy.deployment(plan, (), lowered(tmp_path / "m.pte"), UPSTREAM, False))
    table = made["m.cpp"].partition("Kernel kernels[]")[2].partition("};")[0]
    assert '"cortex_m::pad.out", upstream_pad_out' in table and '"aten::cat.out", mcu::et::cat' in table
    facts = made["model.cmake"]
    assert "MCU_MODEL_ADAPTERS movement)" in facts and "MCU_MODEL_UPSTREAM ON)" in facts


def test_a_program_of_another_version_is_refused(tmp_path):
    old = tmp_path / "old.pte"
    old.write_bytes(b"\x00\x00\x00\x00ET11" + bytes(64))
    result = mcu_build("build", "--board", "host", "--runtime", "executorch", old, "--json")
    assert result.status == Exit.INPUT
    assert "schema ET11: this version reads ET12" in result.json["error"]["message"]


def test_options_take_several_values(tmp_path):
    old = tmp_path / "a.pte"
    old.write_bytes(b"\x00\x00\x00\x00ET11" + bytes(64))
    words = ("--ops-from", old, old, "--ops", "a::b", "c::d", ROOT / "examples/digits/model.py")
    result = mcu_build("build", "--board", "host", *words, "--json")
    # Told only once everything is parsed.
    assert "no effect without --" in result.json["error"]["message"]
