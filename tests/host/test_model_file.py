"""A model file is run, checked and watched: mistakes are named, and nothing that it reads is missed."""

import copy
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from mcu_build.errors import Exit, McuError
from mcu_build.frontend.model_file import load
from mcu_build.frontend.names import model_name

BAD = Path(__file__).parent / "bad_models"
LINEAR = "import torch\nmodel = torch.nn.Linear(4, 2)\nexample_inputs = (torch.zeros(1, 4),)\n"


def write(folder: Path, text: str, name: str = "net.py") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def consume(file: Path):
    model = load(file)
    for source in (model.calibration, model.evaluation):
        if source:
            list(source())
    return model


def error_of(file: Path) -> McuError:
    with pytest.raises(McuError) as caught:
        consume(file)
    assert caught.value.exit_code == Exit.INPUT
    assert caught.value.hint
    assert caught.value.message.startswith(str(file))
    assert "Traceback" not in caught.value.message
    return caught.value


# Mistakes


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", ["line 5", "FileNotFoundError", "/nowhere/weights.pt"]),
        ("no_model", ["model: not defined", "model and ModelUnderTest", "has example_inputs"]),
        ("model_not_module", ["model: a list of 3, not an nn.Module"]),
        ("no_inputs", ["example_inputs: not defined"]),
        ("inputs_bare_tensor", ["example_inputs: a tensor float32[1, 4], not a tuple"]),
        ("inputs_not_tensors", ["example_inputs[1][0]: of type float, not a tensor"]),
        ("inputs_float64", ["example_inputs[0]: element type float64"]),
        ("inputs_complex", ["example_inputs[0]: element type complex64"]),
        ("calibration_shape", ["calibration[1]: input 0 is float32[8, 4]", "has float32[1, 4]"]),
        ("calibration_count", ["calibration[0]: 2 inputs, example_inputs has 1"]),
        ("calibration_dtype", ["calibration[0]: input 0 is int64[1, 4]", "has float32[1, 4]"]),
        ("activation_bits", ["activation_bits: 12, not 8 or 16"]),
        ("calibration_empty", ["calibration: it holds no item"]),
        ("calibration_raises", ["calibration: line 9: RuntimeError: the camera is off"]),
        ("evaluation_label", ["evaluation[0]: the label is of type str"]),
        ("evaluation_pair", ["evaluation[0]: a tensor float32[1, 4], not (inputs, label)"]),
    ],
)
def test_a_mistake_is_named(name, words):
    error = error_of(BAD / f"{name}.py")
    for word in words:
        assert word in error.message


WEIGHTS = {
    "model.weight.data[1, 2] = float('nan')": (
        "model: weight: 1 of 8 numbers is NaN, the first at [1, 2]",
        "training",
    ),
    "model.bias.data.fill_(float('inf'))": (
        "model: bias: 2 of 2 numbers are infinite, the first at [0]",
        "training",
    ),
    "model = model.half()": ("model: weight: of type float16", "model.float()"),
    "model = model.to(torch.bfloat16)": ("model: weight: of type bfloat16", "model.float()"),
    "model = model.double()": ("model: weight: of type float64", "model.float()"),
    "model = model.to('meta')": ("model: weight: on the meta device", "CPU"),
    "model.weight = torch.nn.Parameter(model.weight.to_sparse())": (
        "model: weight: a torch.sparse_coo",
        "to_dense",
    ),
    "model.table = torch.eye(2).to_sparse_csr()": ("model: table: a torch.sparse_csr tensor", "to_dense"),
    "model.register_buffer('b', torch.nested.nested_tensor([torch.ones(2)]))": ("b: a nested", "padded"),
    "model.register_buffer('b', torch.ones(2).to(torch.float8_e5m2))": ("b: of type float8_e5m2", "float()"),
    "model = model.state_dict()": ("model: of type OrderedDict, not an nn.Module", "load them"),
    "model = torch.nn.Linear": (
        "model: the class Linear, which needs in_features, out_features",
        "Linear(...)",
    ),
    "model = lambda x: x": ("which needs x", "without arguments"),
    "net = model; model = None": ("model: not defined", "`model = net`"),
    "model = None; __name__ == '__main__'": ("model: not defined", "above `if"),
    "model = torch.export.export(model, example_inputs)": ("of type ExportedProgram", ".module()"),
    "model.load_state_dict(torch.nn.Linear(3, 2).state_dict())": (
        "loading state_dict for Linear: size mismatch for weight",
        "Python",
    ),
    "model.cuda()": ("not compiled with CUDA", ".cuda()"),
    "import sys; sys.exit(2)": ("SystemExit: 2", "default"),
    "example_inputs = (torch.zeros(1, 4), 3)": ("example_inputs[1]: of type int", "torch.tensor(0.5)"),
    "example_inputs = (torch.nested.nested_tensor([torch.zeros(4)]),)": ("a nested tensor", "dense"),
    "model = (model, model)": ("model: a tuple of 2, not an nn.Module", "function"),
    "model = torch.jit.trace(model, torch.zeros(1, 4))": ("model: a TorchScript module", "nn.Module"),
    "model = torch.nn.Sequential(torch.jit.trace(model, torch.zeros(1, 4)))": (
        "module '0' in it",
        "nn.Module",
    ),
    "example_inputs[0][0, 3] = float('nan')": (
        "example_inputs[0]: 1 of 4 numbers is NaN, the first at [0, 3]",
        "data",
    ),
    "example_inputs = ()": ("example_inputs: an empty tuple", "for example"),
    "calibration = [torch.ones(1, 4), torch.full((1, 4), float('nan'))]": (
        "calibration[1]: input 0: 4 of 4",
        "data",
    ),
}


@pytest.mark.parametrize("change", WEIGHTS)
@pytest.mark.filterwarnings("ignore")
def test_what_no_firmware_can_hold_is_named(tmp_path, change):
    words, hint = WEIGHTS[change]
    error = error_of(write(tmp_path, f"{LINEAR}{change}\n"))
    assert words in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    "change",
    [
        "model.register_buffer('mask', torch.full((2,), float('-inf')))",
        "model.register_buffer('table', torch.zeros(2, dtype=torch.float64))",
        "model = torch.compile(model)",
        "model = torch.nn.DataParallel(model)",
        "model = torch.nn.LazyLinear(3)",
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_is_unusual_but_right_is_taken(tmp_path, change):
    """The negative control."""
    model = load(write(tmp_path, f"{LINEAR}{change}\n")).model
    assert isinstance(model, torch.nn.Linear)


def test_inputs_without_memory_of_their_own_get_it(tmp_path):
    given = load(write(tmp_path, f"{LINEAR}example_inputs = (torch.ones(1, 1).expand(1, 4),)\n"))
    assert given.example_inputs[0].stride() == (4, 1)


def test_float64_says_what_to_use():
    assert "float32" in error_of(BAD / "inputs_float64.py").hint


def test_no_such_file(tmp_path):
    assert "no such file" in error_of(tmp_path / "model.py").message


def test_a_folder(tmp_path):
    error = error_of(tmp_path)
    assert "folder" in error.message
    assert "model.py" in error.hint


def test_not_python(tmp_path):
    assert "not a model file" in error_of(write(tmp_path, "x", "weights.bin")).message


@pytest.mark.parametrize("text", ["model = (\n", "a = 1\nmodel = = 2\n"])
def test_a_syntax_error_has_its_line(tmp_path, text):
    line = text.splitlines().index(next(row for row in text.splitlines() if "model" in row)) + 1
    assert f"line {line}: " in error_of(write(tmp_path, text)).message


@pytest.mark.parametrize("data", [b"a\0b", b"\xff\xfe\x00", b"# coding: nonsense\n"])
def test_bytes_that_are_no_source(tmp_path, data):
    (tmp_path / "net.py").write_bytes(data)
    error_of(tmp_path / "net.py")


def test_a_missing_package_is_named(tmp_path):
    error = error_of(write(tmp_path, "import torch\nimport no_such_package_here\n"))
    assert "line 2: ModuleNotFoundError" in error.message
    assert "no_such_package_here" in error.hint


def test_an_error_in_a_helper_names_the_line_that_led_there(tmp_path):
    write(tmp_path, "def broken():\n    raise ValueError('bad')\n", "helper.py")
    error = error_of(write(tmp_path, "import helper\n\nmodel = helper.broken()\n"))
    assert "line 3: ValueError: bad" in error.message


def test_a_file_that_exits(tmp_path):
    assert "line 2: SystemExit" in error_of(write(tmp_path, "import sys\nsys.exit(0)\n")).message


def test_ctrl_c_is_no_mistake_of_the_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        load(write(tmp_path, "raise KeyboardInterrupt\n"))


# What a file may say


def test_functions_and_values_give_the_same(tmp_path):
    functions = """
import torch
def model(): return torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.5))
def example_inputs(): return (torch.zeros(1, 4),)
def calibration(): yield torch.ones(1, 4)
def evaluation(): yield (torch.ones(1, 4),), torch.tensor(1)
"""
    values = """
import torch
ModelUnderTest = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.5))
ModelInputs = (torch.zeros(1, 4),)
calibration = [(torch.ones(1, 4),)]
evaluation = [(torch.ones(1, 4), 1)]
"""
    for name, text in (("functions.py", functions), ("values.py", values)):
        model = load(write(tmp_path, text, name))
        assert model.name == name.removesuffix(".py")
        assert not any(part.training for part in model.model.modules())
        assert [tensor.shape for tensor in model.example_inputs] == [(1, 4)]
        for _ in range(2):
            ((calibrating,),) = model.calibration()
            (((evaluating,), label),) = model.evaluation()
            assert torch.equal(calibrating, torch.ones(1, 4))
            assert torch.equal(evaluating, torch.ones(1, 4))
            assert label == 1


def test_without_data(tmp_path):
    model = load(write(tmp_path, LINEAR))
    assert model.calibration is None
    assert model.evaluation is None


def test_an_iterator_can_be_read_twice(tmp_path):
    model = load(write(tmp_path, LINEAR + "calibration = (torch.full((1, 4), float(i)) for i in range(3))\n"))
    first, second = ([item[0][0, 0].item() for item in model.calibration()] for _ in range(2))
    assert first == second == [0.0, 1.0, 2.0]


def test_a_label_may_be_absent(tmp_path):
    model = load(write(tmp_path, LINEAR + "evaluation = [(torch.zeros(1, 4), None)]\n"))
    assert [label for _, label in model.evaluation()] == [None]


def test_weights_without_a_seed_are_the_same_each_time(tmp_path):
    file = write(tmp_path, LINEAR + "def calibration(): yield torch.rand(1, 4)\n")
    first, second = load(file), load(file)
    assert torch.equal(first.model.weight, second.model.weight)
    torch.rand(3)
    assert torch.equal(next(first.calibration())[0], next(second.calibration())[0])


def test_prints_stay_off_stdout(tmp_path, capsys):
    load(write(tmp_path, "print('training')\n" + LINEAR))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "training" in captured.err


def test_a_class_can_be_pickled_and_dataclasses_resolve(tmp_path):
    text = """
from __future__ import annotations
from dataclasses import dataclass
import io, torch
@dataclass
class Config: width: int = 4
class Net(torch.nn.Linear): pass
buffer = io.BytesIO()
torch.save(Net(Config().width, 2), buffer)
buffer.seek(0)
model = torch.load(buffer, weights_only=False)
example_inputs = (torch.zeros(1, 4),)
"""
    assert type(load(write(tmp_path, text)).model).__name__ == "Net"


# Isolation


def test_two_files_called_model_with_helpers_of_one_name(tmp_path):
    for width, folder in ((2, "a"), (3, "b")):
        write(tmp_path / folder, f"WIDTH = {width}\n", "helper.py")
        write(
            tmp_path / folder,
            "import torch, helper\nmodel = torch.nn.Linear(4, helper.WIDTH)\n"
            "example_inputs = (torch.zeros(1, 4),)\n"
            "def calibration():\n    import helper\n    yield torch.full((1, 4), float(helper.WIDTH))\n",
            "model.py",
        )
    first, second = load(tmp_path / "a" / "model.py"), load(tmp_path / "b" / "model.py")
    assert (first.name, second.name) == ("a", "b")
    assert (first.model.out_features, second.model.out_features) == (2, 3)
    assert next(first.calibration())[0][0, 0] == 2
    assert next(second.calibration())[0][0, 0] == 3


def test_an_edited_helper_is_imported_afresh(tmp_path):
    file = write(
        tmp_path,
        "import torch, helper\nmodel = torch.nn.Linear(4, helper.WIDTH)\n"
        "example_inputs = (torch.zeros(1, 4),)\n",
    )
    for width in (2, 3, 4):
        write(tmp_path, f"WIDTH = {width}\n", "helper.py")
        assert load(file).model.out_features == width
    assert not (tmp_path / "__pycache__").exists()


def test_the_interpreter_is_left_as_it_was(tmp_path):
    write(tmp_path, "", "helper.py")
    modules, path, writes = set(sys.modules), list(sys.path), sys.dont_write_bytecode
    consume(write(tmp_path, "import helper\n" + LINEAR + "calibration = [torch.zeros(1, 4)]\n"))
    assert sys.path == path
    assert "helper" not in sys.modules
    assert not [name for name in set(sys.modules) - modules if name.startswith("_mcu_build_model")]
    assert sys.dont_write_bytecode == writes


# Names


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("kws.py", "kws"),
        ("some/where/model.py", "where"),
        ("my-model v2.py", "my_model_v2"),
        ("3d.pt2", "model_3d"),
        ("class.py", "model_class"),
        ("__a__b.pte", "a_b"),
        ("é.py", "model"),
    ],
)
def test_a_name_is_an_identifier(path, name):
    assert model_name(Path(path)) == name


def test_a_name_needs_no_torch():
    code = "import sys, mcu_build.frontend.model_file; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_memories_are_named_for_layers(tmp_path):
    made = load(write(tmp_path, LINEAR + 'place = {"head": "dtcm", "input": "sram"}\n'))
    assert made.place == ("head=dtcm", "input=sram")
    for wrong in ('"head=dtcm"', '{"head": 3}', '{"": "dtcm"}', '["head"]'):
        assert "place: " in error_of(write(tmp_path, f"{LINEAR}place = {wrong}\n")).message


NESTED = """import torch
from dataclasses import dataclass
@dataclass
class Meta:
    y: object
    scale: object = None
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 2), torch.nn.Linear(3, 2)
    def forward(self, batch, *, extra=None, double=False):
        y = self.first(batch["x"]) - self.second(batch["meta"].y)
        return y * (2 if double else 1) + (0 if extra is None else extra[0] - 3 * extra[1])
model = Net()
x, y, extra = torch.randn(1, 4), torch.randn(1, 3), [torch.randn(1, 2), torch.randn(1, 2)]
"""
ALONE = f"""{NESTED}
example_inputs = ({{"x": x, "meta": Meta(y)}},)
calibration = [{{"meta": Meta(y + 1), "x": x}}, example_inputs, [example_inputs, example_inputs[0]]]
"""
KEYWORDS = f"""{NESTED}
example_inputs = {{"double": True, "extra": extra, "batch": {{"x": x, "meta": Meta(y)}}}}
calibration = [dict(reversed(example_inputs.items()))]
evaluation = [(example_inputs, 1)]
"""


@pytest.mark.parametrize(
    ("text", "names", "shapes"),
    [
        (ALONE, ("batch_x", "batch_meta_y"), [4, 3]),
        (KEYWORDS, ("extra_0", "extra_1", "batch_x", "batch_meta_y"), [2, 2, 4, 3]),
    ],
)
def test_inputs_in_dictionaries_lists_and_keywords_become_a_row(tmp_path, text, names, shapes):
    found = load(write(tmp_path, text))
    module, example = found.model, found.example_inputs
    assert tuple(inspect.signature(module.forward).parameters) == names
    assert [one.shape[1] for one in example] == shapes
    own = {"x": example[-2], "meta": types.SimpleNamespace(y=example[-1])}
    rest = {"extra": example[:2], "double": True} if len(example) == 4 else {}
    wanted = type(module).forward(module, own, **rest)
    assert torch.equal(module(*example), wanted)
    assert torch.equal(copy.deepcopy(module)(*example), wanted)
    calls = list(found.calibration())
    last = calls[-1] if isinstance(calls[-1], tuple) else calls[-1][1]
    assert all(torch.equal(one, like) for one, like in zip(last, example, strict=True))
    if found.evaluation:
        assert [label for _, label in found.evaluation()] == [1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("calibration = [{'x': x}]", "calibration[0]: no '[0].meta.y'"),
        ("calibration = [{'x': x, 'z': x, 'meta': Meta(y)}]", "calibration[0]: '[0].z', which"),
        ("calibration = [{'x': x, 'meta': Meta(y, 'm')}]", "'[0].meta.scale' is 'm', in example_inputs None"),
        ("calibration = [{'x': y, 'meta': Meta(y)}]", "calibration[0]: input 0 is float32[1, 3]"),
        ("example_inputs = ({'x': x, 'meta': 3.0},)", "example_inputs[0].meta: of type float, not a tensor"),
        ("example_inputs = {'batch': None}", "example_inputs: it holds no tensor"),
    ],
)
def test_nested_inputs_of_another_form_are_named(tmp_path, change, words):
    path = write(tmp_path, f"{ALONE}{change}\n")
    message = error_of(path).message if change.startswith("example") else _calibration_error(path)
    assert words in message


def _calibration_error(path: Path) -> str:
    with pytest.raises(McuError) as raised:
        list(load(path).calibration())
    return raised.value.message
