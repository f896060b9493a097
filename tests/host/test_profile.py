"""The profiler's arithmetic on spans made up here, its reports, and what it refuses."""

from collections import Counter
from dataclasses import replace

import pytest

from mcu_build.errors import Exit, McuError
from mcu_build.image.decode import Instruction, Kind
from mcu_build.profile.attribute import phases, steps
from mcu_build.profile.measure import Cost, Function, Kernel, Layer, Profile
from mcu_build.report import layers
from mcu_build.report.page import page
from mcu_build.report.report import of_profile
from mcu_build.simulate import plugin
from mcu_build.simulate.plugin import Boundaries, Span
from tests.support.cli import mcu_build

MAIN, RUN = 0x100, Boundaries(0x200, 0x210, (0x300,))
CONV, POOL, HELPER = 0x400, 0x500, 0x600

INFERENCE = (
    Span(0x200, {0x200: 1}),
    Span(0x202, {0x202: 1, CONV: 1, CONV + 2: 50, HELPER: 7}, {CONV + 2: 9}),
    Span(0x204, {0x204: 1, HELPER: 3}),
    Span(0x206, {0x206: 1, POOL: 1}),
    Span(0x208, {0x208: 1}),
)
CALLER = Span(0x300, {0x300: 1, 0x302: 20})


def test_every_instruction_is_in_one_phase():
    spans = (Span(0, {0x10: 5}), Span(MAIN, {MAIN: 2}), *INFERENCE, CALLER, *INFERENCE, CALLER)
    found = phases(spans, RUN, MAIN)
    assert found.startup == Counter({0x10: 5})
    assert found.harness == Counter({MAIN: 2, 0x300: 2, 0x302: 40})
    assert found.inferences == (INFERENCE, INFERENCE)


def test_steps_add_up_to_the_inference():
    conv, pool = steps(INFERENCE, [frozenset({CONV}), frozenset({POOL})])
    # What prepares a call is of that call; the helper before the second and the return are of the second.
    assert conv.counts == Counter({0x200: 1, 0x202: 1, CONV: 1, CONV + 2: 50, HELPER: 7})
    assert (conv.waits, pool.waits) == (Counter({CONV + 2: 9}), Counter())
    assert pool.counts == Counter({0x204: 1, HELPER: 3, 0x206: 1, POOL: 1, 0x208: 1})
    assert conv.counts.total() + pool.counts.total() == sum(span.total for span in INFERENCE)


@pytest.mark.parametrize("entries", [[{POOL}, {CONV}], [{CONV}, {CONV}], [{CONV}, {POOL}, {POOL}], []])
def test_calls_that_are_not_those_of_the_plan_are_refused(entries):
    with pytest.raises(McuError, match="kernels of the plan"):
        steps(INFERENCE, [frozenset(entry) for entry in entries])


def instructions(*lines: str) -> dict[int, Instruction]:
    """Four bytes each, from address 0."""
    words = [line.partition(" ") for line in lines]
    return {4 * i: Instruction(4 * i, 4, word, rest) for i, (word, _, rest) in enumerate(words)}


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("ldrsb r0, [r1, #1]", Kind.LOAD),
        ("ldmia.w sp!, {r4, pc}", Kind.LOAD),
        ("popne {r4, pc}", Kind.LOAD),
        ("vldr s0, [r1]", Kind.LOAD),
        ("strd r0, r1, [sp]", Kind.STORE),
        ("vpush {d8}", Kind.STORE),
        ("vldrb.u8 q0, [r0], #16", Kind.VECTOR_LOAD),
        ("vldrb.u16 q0, [r0, q1]", Kind.VECTOR_LOAD),
        ("vld20.8 {q0, q1}, [r0]", Kind.VECTOR_LOAD),
        ("vstrbt.8 q0, [r0]", Kind.VECTOR_STORE),
        ("vmladava.s8 r4, q0, q1", Kind.VECTOR),
        ("vmov.32 q0[1], r2", Kind.VECTOR),
        ("vpst ", Kind.VECTOR),
        ("vctp.8 r2", Kind.VECTOR),
        ("vmov.f32 s0, s1", Kind.FLOAT),
        ("vcvt.s32.f32 s0, s0", Kind.FLOAT),
        ("smlad r0, r1, r2, r3", Kind.MULTIPLY),
        ("muls r0, r1", Kind.MULTIPLY),
        ("smmulr r0, r1, r2", Kind.MULTIPLY),
        ("umull r0, r1, r2, r3", Kind.MULTIPLY),
        ("b 400 <conv>", Kind.BRANCH),
        ("bls 400 <conv>", Kind.BRANCH),
        ("blx r3", Kind.BRANCH),
        ("bxeq lr", Kind.BRANCH),
        ("letp lr, 400 <conv>", Kind.BRANCH),
        ("bic r0, r1", Kind.OTHER),
        ("bfi r0, r1, #0, #8", Kind.OTHER),
        ("sxtb16 r0, r1", Kind.OTHER),
        ("dlstp.8 lr, r2", Kind.OTHER),
        ("ssat r0, #8, r1", Kind.OTHER),
    ],
)
def test_kinds(line, kind):
    assert instructions(line)[0].kind is kind


def test_registers_of_a_transfer():
    assert instructions("pop {r0, r4-r7, pc}")[0].registers == 6
    assert instructions("ldrd r0, r1, [r2]")[0].registers == 2
    assert instructions("ldr r0, [r1]")[0].registers == 1


def test_where_a_call_goes():
    assert instructions("bl 100018d8 <_ZN6ds_cnn3runEv>")[0].target == 0x100018D8
    assert instructions("cbz r0, 1000 <here>")[0].target == 0x1000
    assert instructions("blx r3")[0].target is None


def made_up_profile() -> Profile:
    conv = Cost(700, {Kind.LOAD: 300, Kind.VECTOR: 400}, 900)
    pool = Cost(300, {Kind.OTHER: 300}, 350)
    total = Cost(1000, {Kind.LOAD: 300, Kind.VECTOR: 400, Kind.OTHER: 300}, 1250)
    none = Cost(5, {Kind.OTHER: 5}, 5)
    return Profile(
        name="net",
        board="board",
        core="cortex-m55",
        toolchain="arm-clang",
        macs=350,
        total=total,
        startup=none,
        harness=none,
        layers=(
            Layer(0, "net.<3>", "conv.out", "conv2d_s8", 350, conv, "net.py:3", (1, 4, 8, 8)),
            Layer(1, "", "pool", "pool_s8", 0, pool),
        ),
        kernels=(Kernel("conv2d_s8", 1, 350, conv), Kernel("pool_s8", 1, 0, pool)),
        functions=(Function("mcu::kernels::conv2d_s8(int)", conv), Function("mcu::kernels::pool_s8()", pool)),
        clock=1_000_000,
    )


def test_the_document_keeps_its_promises():
    document = layers.document(made_up_profile())
    assert (document["instructions"], document["vector_instructions"], document["macs"]) == (1000, 400, 350)
    first = document["layers"][0]
    assert {key: first[key] for key in ("name", "operator", "kernel", "instructions", "macs")} == {
        "name": "net.<3>",
        "operator": "conv.out",
        "kernel": "conv2d_s8",
        "instructions": 700,
        "macs": 350,
    }
    assert first["instructions_per_mac"] == 2.0
    assert (first["cycles"], first["cycles_per_mac"], first["milliseconds"]) == (
        900,
        round(900 / 350, 4),
        0.9,
    )
    assert (document["cycles"], document["milliseconds"], document["clock"]) == (1250, 1.25, 1_000_000)
    no_clock = layers.document(replace(made_up_profile(), clock=None))
    assert no_clock["milliseconds"] is None and no_clock["layers"][0]["milliseconds"] is None
    assert document["layers"][1]["instructions_per_mac"] is None


def test_the_table_says_what_is_counted_and_what_is_modelled():
    text = layers.table(made_up_profile())
    assert "1,000 instructions for one inference" in text
    assert "70.0 %" in text
    assert "1,250 cycles of a cortex-m55, modelled: 1.250 ms at 1 MHz" in text
    assert "ms at" not in layers.table(replace(made_up_profile(), clock=None))
    assert "net.<3> conv 4x8x8  net.py:3  conv2d_s8" in text


def test_names_of_functions_lose_their_parameters_alone():
    names = {
        "mcu::kernels::(anonymous namespace)::row<(int)3>(signed char const*, int)": "row<(int)3>",
        "void mcu::kernels::add<mcu::Tensor<float> (int)>(float*)": "add<mcu::Tensor<float> (int)>",
        "mcu::kernels::(anonymous namespace)::tile(int) (.part.0)": "tile",
        "memcpy": "memcpy",
        "operator delete(void*)": "operator delete",
    }
    assert {name: layers.function_name(name) for name in names} == names


def test_the_page_tells_what_was_left_out():
    gone = {"channels": 1704, "of": 2434, "nbytes": 178000, "macs": 3726968, "layers": [{}] * 18}
    text = "1,704 of 2,434 channels of 18 layers: they never change an output (178,000 bytes of weights"
    shown = replace(made_up_profile(), removed=gone)
    assert text in page(of_profile(shown)) and text in layers.table(shown)
    assert layers.document(shown)["removed"] == gone
    assert "Left out" not in page(of_profile(made_up_profile()))


def test_half_a_result_is_none(tmp_path):
    file = tmp_path / "counts.txt"
    file.write_text("span 0\n100 3 0\nspan 200\n100 1 5\n100 2 7\nend\n")
    assert plugin.read(file) == (Span(0, {0x100: 3}), Span(0x200, {0x100: 3}, {0x100: 12}))
    for text in ("", "span 0\n100 3\n"):
        file.write_text(text)
        with pytest.raises(McuError) as caught:
            plugin.read(file)
        assert caught.value.exit_code is Exit.FIRMWARE
    with pytest.raises(McuError):
        plugin.read(tmp_path / "absent.txt")


def test_a_comma_in_a_path_is_kept(tmp_path):
    words = plugin.options(tmp_path / "a,b.so", Boundaries(0x10, 0x20, (0x30,)), tmp_path / "c")
    assert words[0] == "-plugin"
    assert words[1].startswith(f"file={tmp_path}/a,,b.so,out=")
    assert words[1].endswith(",from=0x10,to=0x20,at=0x30")


def test_no_compiler_says_how_to_get_one(tmp_path, monkeypatch):
    from mcu_build.cache import Cache

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(McuError) as caught:
        plugin.library(Cache(tmp_path))
    assert caught.value.exit_code is Exit.TOOL_MISSING
    assert "apt-get install gcc" in caught.value.hint


def test_the_host_is_refused_before_anything_is_built(tmp_path):
    model = tmp_path / "net.py"
    model.write_text("raise RuntimeError('not to be run')\n")
    result = mcu_build("profile", "--board", "host", model, "--build-dir", tmp_path)
    assert result.status == Exit.INPUT
    assert "host: run.qemu" in result.err and "--board mps2-an386" in result.err


def test_what_is_not_there_is_named(tmp_path):
    absent = mcu_build("profile", "--board", "corstone-300", tmp_path / "absent.py", "--json")
    assert absent.status == Exit.INPUT and "absent.py" in absent.json["error"]["message"]
    unknown = mcu_build("profile", "--board", "corstone-30", tmp_path / "absent.py")
    assert unknown.status == Exit.INPUT and "corstone-300" in unknown.err
    usage = mcu_build("profile", "--board", "host", tmp_path / "absent.py", "--max-instructions", "-1")
    assert usage.status == Exit.USAGE
