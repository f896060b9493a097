"""`--sim fvp` with a program in the FVP's place: what it is told, and how what it does is judged."""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mcu_build.board import Board, find_board
from mcu_build.errors import Exit, McuError
from mcu_build.simulate import fvp, run
from mcu_build.simulate.run import Sim, simulator
from tests.support.cli import mcu_build

# Takes -C, -a and --timelimit as an FVP does and nothing else, keeps what it was told, then speaks the
# harness's protocol in the folder of semihosting: outputs are the inputs plus one, in vectors of four bytes.
STAND_IN = """#!PYTHON
import json, os, sys, time
words, parameters, told = sys.argv[1:], {}, {}
while words:
    word = words.pop(0)
    if word == "-C":
        name, equals, value = words.pop(0).partition("=")
        if not equals or name in parameters:
            sys.exit("bad parameter: " + name)
        parameters[name] = value
    elif word in ("-a", "--timelimit") and word not in told:
        told[word] = words.pop(0)
    else:
        sys.exit("unknown option: " + word)
with open("TOLD", "w") as file:
    json.dump({"parameters": parameters, "name": os.path.basename(sys.argv[0]), **told}, file)
core = next(name for name in parameters if name.endswith("semihosting-cwd"))
if parameters[core.replace("-cwd", "-enable")] != "1" or not os.path.isfile(told["-a"]):
    sys.exit("nothing to run")
os.chdir(parameters[core])
with open("inputs.bin", "rb") as file:
    inputs = file.read()
outputs = bytes((byte + 1) % 256 for byte in inputs)
status = f"vectors {len(inputs) // 4}\\noutput_size 4\\nstack_used 100\\nstack_size 200\\n"
status += "cycles_min 0\\ncycles_max 0\\ndone\\n"
exit_status = 0
print("hello from the model", flush=True)
BEHAVIOUR
with open("outputs.bin", "wb") as file:
    file.write(outputs)
with open("status.txt", "w") as file:
    file.write(status)
sys.exit(exit_status)
"""

Maker = Callable[..., Path]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "test.elf"
    file.write_bytes(b"an image")
    return file


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Puts a stand-in of some name alone on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv(fvp.VARIABLE, raising=False)

    def make(name: str, behaviour: str = "", folder: Path = folder) -> Path:
        folder.mkdir(exist_ok=True)
        file = folder / name
        text = STAND_IN.replace("PYTHON", sys.executable).replace("TOLD", str(tmp_path / "told.json"))
        file.write_text(text.replace("BEHAVIOUR", behaviour))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return make


def told(tmp_path: Path) -> dict[str, object]:
    found = json.loads((tmp_path / "told.json").read_text())
    assert isinstance(found, dict)
    return found


def go(board: Board, image: Path, npu: str = "none", timeout: float = 20, sim: Sim = "fvp"):
    return run(board, image, bytes(range(8)), timeout, (), sim, board.choose_npu(npu))


def failure(board: Board, image: Path, **options: object) -> McuError:
    with pytest.raises(McuError) as caught:
        go(board, image, **options)
    return caught.value


MPS3 = {
    "mps3_board.visualisation.disable-visualisation": "1",
    "mps3_board.telnetterminal0.start_telnet": "0",
    "mps3_board.uart0.out_file": "-",
    "mps3_board.uart0.shutdown_on_eot": "1",
    "cpu0.semihosting-enable": "1",
    "cpu0.semihosting-stack_base": "0",
    "cpu0.semihosting-heap_limit": "0",
    "cpu0.semihosting-cmd_line": "test.elf",
}
MPS4 = {
    "mps4_board.visualisation.disable-visualisation": "1",
    "vis_hdlcd.disable_visualisation": "1",
    "mps4_board.telnetterminal0.start_telnet": "0",
    "mps4_board.uart0.out_file": "-",
    "mps4_board.uart0.unbuffered_output": "1",
    "mps4_board.uart0.shutdown_on_eot": "1",
    "mps4_board.subsystem.cpu0.semihosting-enable": "1",
    "mps4_board.subsystem.cpu0.semihosting-stack_base": "0",
    "mps4_board.subsystem.cpu0.semihosting-heap_limit": "0",
    "mps4_board.subsystem.cpu0.semihosting-cmd_line": "test.elf",
}
CONTROL = {
    "mps3": "mps3_board.sse300.iotss3_systemcontrol.INITSVTOR_RST",
    "mps4": "mps4_board.subsystem.iotss3_systemcontrol.INITSVTOR_RST",
}


@pytest.mark.parametrize(
    ("board", "npu", "binary", "macs", "vectors"),
    [
        ("corstone-300", "none", "FVP_Corstone_SSE-300_Ethos-U55", None, 0x10000000),
        ("corstone-300", "ethos-u55-64", "FVP_Corstone_SSE-300_Ethos-U55", "64", 0x10000000),
        ("corstone-300", "ethos-u65-512", "FVP_Corstone_SSE-300_Ethos-U65", "512", 0x10000000),
        ("corstone-310", "ethos-u55-128", "FVP_Corstone_SSE-310", "128", 0x11000000),
        ("corstone-315", "none", "FVP_Corstone_SSE-315", None, 0x12000000),
        ("corstone-315", "ethos-u65-256", "FVP_Corstone_SSE-315", "256", 0x12000000),
        ("corstone-320", "ethos-u85-2048", "FVP_Corstone_SSE-320", "2048", 0x12000000),
    ],
)
def test_each_board_has_its_model_and_parameters(
    make: Maker,
    image: Path,
    tmp_path: Path,
    board: str,
    npu: str,
    binary: str,
    macs: str | None,
    vectors: int,
) -> None:
    make(binary)
    outcome = go(find_board(board), image, npu, timeout=19.5)
    assert outcome.outputs == bytes(range(1, 9))
    assert (outcome.status, outcome.vectors, outcome.stack_used, outcome.stack_size) == (0, 2, 100, 200)
    assert outcome.console == "hello from the model\n"
    found = told(tmp_path)
    parameters = found["parameters"]
    assert isinstance(parameters, dict)
    platform, core = ("mps4", "mps4_board.subsystem.") if "mps4" in str(parameters) else ("mps3", "")
    assert platform == ("mps3" if board in ("corstone-300", "corstone-310") else "mps4")
    # A folder of the run's own, gone now.
    folder = Path(parameters.pop(f"{core}cpu0.semihosting-cwd"))
    assert folder.is_absolute() and not folder.exists()
    for name in (f"{core}cpu0.INITSVTOR", CONTROL[platform]):
        assert int(parameters.pop(name), 0) == vectors
    own = {f"{core}ethosu.num_macs": macs, f"{core}ethosu.extra_args": "--fast"} if macs else {}
    assert parameters == {**(MPS3 if platform == "mps3" else MPS4), **own}
    assert (found["name"], found["-a"], found["--timelimit"]) == (binary, str(image), "30")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("exit_status = 77", "it ended with status 77"),
        ("exit_status = 16", "its NPU reported an error"),
        ("sys.exit(0)", "exited with status 0 but wrote no status.txt"),
        ("print('done: all tests passed'); sys.exit(0)", "exited with status 0 but wrote no status.txt"),
        ("status = status.replace('done', 'gone')", "status.txt does not end with 'done'"),
        ("status = status.replace('vectors 2', 'vectors 3')", "8 bytes, 3 vectors of 4 bytes were promised"),
        ("outputs = outputs[:-1]", "outputs.bin has 7 bytes"),
        ("os.abort()", "it ended by SIGABRT"),
    ],
)
def test_a_failure_is_told_as_what_it_is(make: Maker, image: Path, behaviour: str, words: str) -> None:
    make("FVP_Corstone_SSE-320", behaviour)
    error = failure(find_board("corstone-320"), image)
    assert error.exit_code == Exit.FIRMWARE
    assert words in error.message and "hello from the model" in error.message


def test_text_alone_fails_nothing(make: Maker, image: Path) -> None:
    make("FVP_Corstone_SSE-320", "print('ERROR: FAIL')")
    assert go(find_board("corstone-320"), image).status == 0


def test_a_wrong_output_stays_wrong(make: Maker, image: Path) -> None:
    make("FVP_Corstone_SSE-320", "outputs = outputs[:-1] + b'x'")
    assert go(find_board("corstone-320"), image).outputs == bytes(range(1, 8)) + b"x"


def test_a_hang_is_a_time_out(make: Maker, image: Path) -> None:
    make("FVP_Corstone_SSE-320", "time.sleep(60)")
    error = failure(find_board("corstone-320"), image, timeout=1)
    assert error.exit_code == Exit.TIMEOUT
    assert "no end after 1 s" in error.message and "hello from the model" in error.message


def test_the_environment_names_a_model_that_is_not_on_path(
    make: Maker, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make("FVP_Corstone_SSE-320", folder=tmp_path / "elsewhere")
    assert failure(find_board("corstone-320"), image).exit_code == Exit.TOOL_MISSING
    monkeypatch.setenv(fvp.VARIABLE, str(file))
    assert go(find_board("corstone-320"), image).vectors == 2
    file.chmod(0o644)
    error = failure(find_board("corstone-320"), image)
    assert (error.exit_code, error.message) == (
        Exit.TOOL_MISSING,
        f"{fvp.VARIABLE}: {file}: there is no such program",
    )


def test_the_model_of_another_board_is_refused(
    make: Maker, image: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(fvp.VARIABLE, str(make("FVP_Corstone_SSE-300_Ethos-U55")))
    error = failure(find_board("corstone-310"), image)
    assert error.exit_code == Exit.TOOL_MISSING
    assert "FVP_Corstone_SSE-300_Ethos-U55 is not FVP_Corstone_SSE-310, which corstone-310" in error.message
    assert go(find_board("corstone-300"), image).vectors == 2


@pytest.mark.usefixtures("make")
def test_a_missing_model_says_how_to_get_it(image: Path) -> None:
    error = failure(find_board("corstone-310"), image)
    assert error.exit_code == Exit.TOOL_MISSING
    assert error.message == "FVP_Corstone_SSE-310: not found on PATH"
    assert "Install Arm's Ecosystem FVP" in error.hint
    assert f"export {fvp.VARIABLE}=<folder>/FVP_Corstone_SSE-310" in error.hint


def test_a_board_without_an_fvp(image: Path) -> None:
    error = failure(find_board("mps2-an386"), image)
    assert error.exit_code == Exit.INPUT
    assert "mps2-an386: run.fvp: there is no FVP for this board" in error.message


def test_qemu_where_it_knows_the_board(image: Path) -> None:
    both, only_fvp, neither = find_board("corstone-300"), find_board("corstone-320"), find_board("host")
    assert [simulator(board, None) for board in (both, only_fvp, neither)] == ["qemu", "fvp", "qemu"]
    assert simulator(both, "fvp") == "fvp"
    assert "QEMU has no machine for this board" in failure(only_fvp, image, sim="qemu").message


MODEL = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
example_inputs = (torch.zeros(1, 6),)
calibration = [torch.randn(1, 6) for _ in range(16)]
"""


@pytest.mark.parametrize("verb", ["run", "test"])
def test_the_option_chooses(tmp_path: Path, verb: str) -> None:
    (tmp_path / "net.py").write_text(MODEL)
    words = (verb, "--board", "host", tmp_path / "net.py", "--build-dir", tmp_path / "build", "--json")
    assert mcu_build(*words, "--sim", "qemu").status == Exit.OK
    result = mcu_build(*words, "--sim", "fvp")
    assert result.status == Exit.INPUT
    assert "there is no FVP" in result.json["error"]["message"]
    assert mcu_build(*words, "--sim", "other").status == Exit.USAGE
