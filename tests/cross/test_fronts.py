"""One application in every build system: the same image, the same outputs, only the steps that are needed."""

import os
import re
import struct

import numpy as np
import pytest

import mcu_build
from mcu_build import process
from mcu_build.cache import Cache
from mcu_build.fronts.options import respelt
from mcu_build.fronts.presets import presets
from mcu_build.resources import data_dir
from mcu_build.stages.reference import expected_outputs
from mcu_build.vectors import npz
from tests.support.cli import mcu_build as command
from tests.support.firmware import CMAKE, NINJA
from tests.support.fronts import BAD, Front, console, copied_examples, installed_wheel, loaded

FRONTS = ("cmake_consumer", "scons")
MACHINE = "mps3-an547"
KERNELS = ["mve_linear.cpp", "mve_quantize.cpp"]
GENERATED = ["knock.cpp", "knock_arena.cpp", "knock_constants.cpp"]


@pytest.fixture(scope="module")
def fronts(tmp_path_factory):
    """Every example, built from nothing. They share the files of examples/consumer, and the cache."""
    folder = tmp_path_factory.mktemp("fronts")
    site, examples = installed_wheel(folder), copied_examples(folder)
    made = {name: Front(name, examples, site, folder / "cache") for name in FRONTS}
    return {name: (front, front.build()) for name, front in made.items()}


def test_a_first_build_compiles_every_file_once(fronts):
    for front, steps in fronts.values():
        assert len(steps.compiled) == len(set(steps.compiled)), front.name
        assert {"main.cpp", "startup.cpp", "harness.cpp", *KERNELS, *GENERATED} <= set(steps.compiled)
        assert steps.linked == ["demo", "knock_test"]
    everywhere = {tuple(steps.compiled) for _, steps in fronts.values()}
    assert len(everywhere) == 1
    # What one has captured, quantized and lowered, the next finds.
    assert [steps.stages for _, steps in fronts.values()] == [2, *[0] * (len(FRONTS) - 1)]


def test_images_are_the_same_in_code_and_constants(fronts):
    for front, _ in fronts.values():
        front.build()
    first, *others = (loaded(front) for front, _ in fronts.values())
    assert first.keys() == {"demo.bin", "demo-ddr.bin", "demo-qspi.bin"}
    assert all(other == first for other in others)


def quantized_scores(folder, monkeypatch):
    """What the quantized program's Python definitions give for the windows of main.cpp, as it prints it."""
    monkeypatch.setenv("MCU_BUILD_CACHE", str(folder / "cache"))
    model = folder / "examples" / "consumer" / "knock.py"
    source = model.with_name("main.cpp").read_text()
    windows = re.findall(r'\{"([^"]+)", \d, \{([^}]+)\}\}', source)
    samples = np.array([[int(word) for word in window.split(",")] for _, window in windows])
    npz.save(folder / "windows.npz", {"input_0": (samples[:, None] / 100.0).astype(np.float32)})
    firmware = mcu_build.build(model, board="host", build_dir=folder / "build")
    file = expected_outputs(firmware.built.lowered, folder / "windows.npz", Cache(), firmware.progress)
    return [
        f"{name}: "
        + " ".join(f"0x{struct.unpack('<I', struct.pack('<f', score))[0]:08x}" for score in scores)
        for (name, _), scores in zip(windows, npz.load(file)["output_0"][:, 0], strict=True)
    ]


def test_outputs_are_exact(fronts, tmp_path, monkeypatch):
    examples = next(iter(fronts.values()))[0].examples
    expected = quantized_scores(examples.parent, monkeypatch)
    assert len(set(expected)) == 3
    for front, _ in fronts.values():
        front.build()
        assert console(front.images / "demo.elf", MACHINE, tmp_path) == [*expected, "done"], front.name


def test_the_models_vectors_are_a_test_of_the_build(fronts):
    for front, _ in fronts.values():
        steps = front.build("knock_test")
        assert "all 288 equal the quantized program's exactly" in steps.printed
        assert "96 vectors on corstone-300 (QEMU mps3-an547)" in steps.printed


def test_that_test_fails_where_the_image_is_another_models(fronts):
    for front, _ in fronts.values():
        image = front.images / "knock_test.elf"
        whole = image.read_bytes()
        weights = max((data for name, data in loaded(front).items() if "ddr" in name), key=len)[:64]
        assert whole.count(weights) == 1
        # A build system would put it right; the image alone is damaged.
        image.write_bytes(whole.replace(weights, bytes(byte ^ 0x10 for byte in weights)))
        model = front.examples / "consumer" / "knock.py"
        words = ("--board", "corstone-300", "--npu", "none", "--image", image, model)
        finished = front.call("mcu-build", "test", *words)
        image.write_bytes(whole)
        assert finished.status == 4
        assert re.search(r"knock: \d+ of 288 outputs are wrong", finished.stderr)


@pytest.mark.parametrize("name", FRONTS)
def test_only_the_steps_that_are_needed(fronts, changed, name):
    front, _ = fronts[name]
    front.build()
    nothing = front.build()
    assert (nothing.compiled, nothing.linked, nothing.stages) == ([], [], 0)

    changed(front, "main.cpp", '"failed\\n"', f'"failed in {name}\\n"')
    steps = front.build()
    assert (steps.compiled, steps.linked, steps.stages) == (["main.cpp"], ["demo"], 0)

    # A data file that a module of the model reads.
    changed(front, "knocks.csv", "tap,100,", f"tap,{90 + FRONTS.index(name)},")
    steps = front.build()
    assert steps.stages == 2
    assert "knock_constants.cpp" in steps.compiled
    assert set(steps.compiled) <= {*GENERATED, "main.cpp", "harness.cpp"}
    assert steps.linked == ["demo", "knock_test"]

    (front.examples / "consumer" / "knock.py").touch()
    nothing = front.build()
    assert (nothing.compiled, nothing.linked, nothing.stages) == ([], [], 0)


def edit_the_table(consumer, name):
    """Another table for each name: all share the cache."""
    table = consumer / "knocks.csv"
    table.write_text(table.read_text().replace("tap,100,", f"tap,{len(name)},"))


def edit_the_link(consumer, name):
    """A link to an older file: no time of a file that was read has changed."""
    other = consumer / "other_signals.py"
    other.write_text((consumer / "real_signals.py").read_text() + f"\n# another, {name}\n")
    os.utime(other, (1, 1))
    (consumer / "signals.py").unlink()
    (consumer / "signals.py").symlink_to("other_signals.py")


def edit_the_package(consumer, name):
    """A package of a module's name comes before the module."""
    (consumer / "signals").mkdir()
    text = (consumer / "real_signals.py").read_text()
    found = text.replace('Path(__file__).with_name("knocks.csv")', 'Path(__file__).parents[1] / "knocks.csv"')
    assert found != text
    (consumer / "signals" / "__init__.py").write_text(f"{found}\n# {name}\n")


EDITS = (edit_the_table, edit_the_link, edit_the_package)


@pytest.mark.parametrize(
    ("name", "edits"),
    [
        pytest.param("cmake_consumer", (edit_the_link,), id="cmake_consumer-link"),
        *(pytest.param(name, EDITS, id=f"{name}-all", marks=pytest.mark.slow) for name in FRONTS),
    ],
)
def test_a_copy_that_shares_the_cache_watches_its_own_files(fronts, tmp_path, name, edits):
    front, _ = fronts[name]
    front.build()
    copy = Front(name, copied_examples(tmp_path), front.site, front.cache)
    consumer = copy.examples / "consumer"
    (consumer / "signals.py").rename(consumer / "real_signals.py")
    (consumer / "signals.py").symlink_to("real_signals.py")
    copy.build()
    assert copy.build().compiled == []
    for edit in edits:
        edit(consumer, f"{name}, {len(edits)}")
        steps = copy.build()
        assert steps.stages > 0
        assert "knock_constants.cpp" in steps.compiled or edit is not edit_the_table
    unchanged = front.build()
    assert (unchanged.compiled, unchanged.linked, unchanged.stages) == ([], [], 0)


@pytest.fixture
def changed():
    """Replace words in a file of examples/consumer until the end of the test."""
    before = {}

    def change(front, name, old, new):
        file = front.examples / "consumer" / name
        before.setdefault(file, file.read_text())
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    yield change
    for file, text in before.items():
        file.write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", FRONTS)
def test_a_model_on_the_npu(fronts, tmp_path, name):
    front, _ = fronts[name]
    other = Front(name, copied_examples(tmp_path), front.site, front.cache)
    file = other.folder / ("SConstruct" if name == "scons" else "CMakeLists.txt")
    file.write_text(re.sub(r"\bnone\b", "ethos-u55-128", file.read_text()))
    other.build()
    text = other.build("knock_test").printed
    assert "npu        ethos-u55-128, modelled" in text
    assert "all 288 equal the quantized program's exactly" in text


@pytest.mark.parametrize("name", FRONTS)
@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told_as_by_the_command(fronts, tmp_path, name, case):
    given = BAD[case]
    front, _ = fronts[name]
    examples = copied_examples(tmp_path)
    bad = Front(name, examples, front.site, front.cache)
    model = (examples / "consumer" / given.model).resolve()
    if given.content:
        model.write_bytes(given.content)
    file = bad.folder / ("SConstruct" if name == "scons" else "CMakeLists.txt")
    text = file.read_text().replace("knock.py", given.model).replace("corstone-300", given.board)
    file.write_text(re.sub(r"\bnone\b", given.npu, text))
    output = " ".join(bad.tried().stdout.split())
    for text in given.told_by_the_command(tmp_path, model):
        assert " ".join(respelt(text, "scons" if name == "scons" else "cmake").split()) in output


def test_presets_are_those_of_the_boards(tmp_path, monkeypatch):
    """CMake lists them, with a board of the project's own."""
    board = (data_dir() / "boards" / "mps2-an386.toml").read_text()
    (tmp_path / "boards").mkdir()
    (tmp_path / "boards" / "own.toml").write_text(board.replace('"mps2-an386"', '"own"'))
    (tmp_path / "mcu-build.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "CMakeUserPresets.json").write_text(command("cmake-dir", "--presets").out)
    (tmp_path / "CMakeLists.txt").write_text("")
    listed = process.run([CMAKE, "--list-presets"], cwd=tmp_path)
    assert listed.status == 0, listed.stderr
    assert all(f'"{name}"' in listed.stdout for name in ("own", "own-gcc", "corstone-300-gcc", "host"))


@pytest.mark.slow
def test_a_preset_configures_builds_and_tests(fronts, tmp_path):
    front, _ = fronts["cmake_consumer"]
    other = Front("cmake_consumer", copied_examples(tmp_path), front.site, front.cache)
    text = presets(front.site / "mcu_build" / "data" / "cmake")
    (other.folder / "CMakeUserPresets.json").write_text(text)
    listed = other.call(CMAKE, "--list-presets").stdout
    assert '"corstone-300-gcc"' in listed and '"host"' in listed
    configured = other.call(CMAKE, "--preset", "host", f"-DCMAKE_MAKE_PROGRAM={NINJA}")
    assert configured.status == 0, configured.stderr
    assert other.call(CMAKE, "--build", "--preset", "host").status == 0
    tested = other.call(CMAKE.with_name("ctest"), "--preset", "host")
    assert "100% tests passed" in tested.stdout, tested.stdout


def test_fetchcontent_takes_the_checkout(fronts, tmp_path):
    front, _ = fronts["cmake_consumer"]
    other = Front("cmake_consumer", copied_examples(tmp_path), front.site, front.cache)
    file = other.folder / "CMakeLists.txt"
    fetched = (
        "include(FetchContent)\n"
        "FetchContent_Declare(mcu_build URL https://nowhere.invalid/mcu-build.tar.gz)\n"
        "FetchContent_MakeAvailable(mcu_build)"
    )
    file.write_text(file.read_text().replace("find_package(McuBuild REQUIRED)", fetched))
    words = ("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={NINJA}", "-DMCU_BOARD=host")
    source = f"-DFETCHCONTENT_SOURCE_DIR_MCU_BUILD={data_dir()}"
    configured = other.call(CMAKE, "-S", ".", "-B", "build", *words, source)
    assert configured.status == 0, configured.stderr
    assert "mcu-build: generating knock" in configured.stdout


def test_pytest_finds_the_plugin_of_the_wheel(fronts):
    front, _ = fronts["scons"]
    finished = front.call("python", "-m", "pytest", "--help")
    assert "--mcu-board=B" in finished.stdout
