"""What a model file reads is recorded, so that a change of it is never missed."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from mcu_build.errors import McuError
from mcu_build.frontend.model_file import load
from mcu_build.recorder import recording
from tests.host.test_model_file import LINEAR, write


def names(files) -> set[str]:
    assert list(files) == sorted(files)
    assert all(path.is_absolute() for path in files)
    return {path.name for path in files}


READS = {
    "np.load": "array = np.load(HERE / 'data.npy')",
    "np.memmap": "array = np.memmap(str(HERE / 'data.npy'), mode='r')",
    "torch.load": "weights = torch.load(HERE / 'data.npy', weights_only=False)",
    "open": "text = open(HERE / 'data.npy', 'rb').read()",
    "read_bytes": "text = (HERE / 'data.npy').read_bytes()",
    "relative": "os.chdir(HERE); text = open('data.npy', 'rb').read()",
    "os.open": "os.read(os.open(HERE / 'data.npy', os.O_RDONLY), 4)",
    "update": "open(HERE / 'data.npy', 'r+b').close()",
    "importlib": "import importlib.resources, package\n"
    "    importlib.resources.files(package).joinpath('data.npy').read_bytes()",
    "in C": "ctypes.CDLL(None).open(b'net/data.npy', 0)  # 'data.npy' beside it\n    name = 'data.npy'",
    "child": "subprocess.run(['cat', 'data.npy'], cwd=HERE, stdout=subprocess.DEVNULL, check=True)",
}


@pytest.mark.parametrize("how", READS)
@pytest.mark.parametrize("when", ["module", "calibration"])
def test_a_read_is_recorded(tmp_path, monkeypatch, how, when):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "net"
    (folder / "package").mkdir(parents=True)
    (folder / "package" / "__init__.py").write_text("")
    where = folder / "package" if how == "importlib" else folder
    if how == "torch.load":
        torch.save({}, where / "data.npy")
    else:
        np.save(where / "data.npy", np.zeros(3))
    text = "import ctypes, os, subprocess\nfrom pathlib import Path\nimport numpy as np\n" + LINEAR
    text += "HERE = Path(__file__).parent\n"
    text += f"if {when == 'module'}:\n    {READS[how]}\n"
    body = READS[how] if when == "calibration" else "pass"
    text += f"def calibration():\n    {body}\n    yield torch.zeros(1, 4)\n"
    file = write(folder, text)
    with recording() as recorder:
        model = load(file)
        list(model.calibration())
    assert names(model.dependencies) - {"__init__.py"} == {"net.py", "data.npy"}
    assert model.dependencies == recorder.files


def test_helpers_and_their_helpers_and_settings(tmp_path):
    write(tmp_path, "import second\n", "first.py")
    write(
        tmp_path,
        "import json, pathlib\njson.loads((pathlib.Path(__file__).parent / 'settings.json').read_text())\n",
        "second.py",
    )
    write(tmp_path / "package", "from . import inner\n", "__init__.py")
    write(tmp_path / "package", "", "inner.py")
    (tmp_path / "settings.json").write_text("{}")
    (tmp_path / "unrelated.json").write_text("{}")
    model = load(write(tmp_path, "import first, package\n" + LINEAR))
    assert names(model.dependencies) == {
        "net.py", "first.py", "second.py", "__init__.py", "inner.py", "settings.json",
    }  # fmt: skip


def test_a_helper_that_is_compiled_already(tmp_path):
    write(tmp_path, "WIDTH = 2\n", "helper.py")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(tmp_path)], check=True)
    model = load(write(tmp_path, "import helper\n" + LINEAR))
    assert names(model.dependencies) == {"net.py", "helper.py"}


def test_a_helper_imported_while_calibrating(tmp_path):
    write(tmp_path, "", "late.py")
    model = load(
        write(tmp_path, LINEAR + "def calibration():\n    import late\n    yield torch.zeros(1, 4)\n")
    )
    assert names(model.dependencies) == {"net.py"}
    list(model.calibration())
    assert names(model.dependencies) == {"net.py", "late.py"}


def test_libraries_written_and_temporary_files_are_no_dependencies(tmp_path):
    text = """
import colorsys, tempfile, wave
from pathlib import Path
import sklearn.datasets
sklearn.datasets.load_digits()
Path(__file__).with_name('written.txt').write_text('x')
with tempfile.NamedTemporaryFile('w+') as temporary:
    Path(temporary.name).read_text()
Path('/proc/self/status').read_text()
"""
    model = load(write(tmp_path, text + LINEAR))
    assert names(model.dependencies) == {"net.py"}


def test_packages_in_a_folder_of_any_name_are_no_dependencies(tmp_path):
    """`pip install --target vendor`; what lies beside them stays the user's."""
    vendor = tmp_path / "vendor"
    record = vendor / "installed-1.0.dist-info" / "RECORD"
    record.parent.mkdir(parents=True)
    record.write_text("installed.py,,\ninstalled-1.0.dist-info/RECORD,,\n")
    (record.parent / "METADATA").write_text("Name: installed\nVersion: 1.0\n")
    (vendor / "installed.py").write_text("")
    (vendor / "own.py").write_text("")
    text = f"import sys\nsys.path.append({str(vendor)!r})\nimport installed, own\n"
    model = load(write(tmp_path, text + LINEAR))
    assert names(model.dependencies) == {"net.py", "own.py"}


def test_nothing_is_recorded_outside(tmp_path):
    (tmp_path / "before").write_text("")
    (tmp_path / "within").write_text("")
    (tmp_path / "before").read_text()
    with recording() as outer, recording() as inner:
        (tmp_path / "within").read_text()
    (tmp_path / "before").read_text()
    assert names(outer.files) == names(inner.files) == {"within"}


def test_a_link_is_watched_where_it_is(tmp_path):
    (tmp_path / "real").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with recording() as recorder:
        (tmp_path / "link").read_text()
    assert names(recorder.files) == {"link"}
    assert str(tmp_path) in recorder.dependencies.watched


def test_what_was_looked_for_and_what_was_listed_count(tmp_path):
    with recording() as recorder:
        list(tmp_path.iterdir())
        assert not (tmp_path / "optional.json").exists()
        with pytest.raises(FileNotFoundError):
            (tmp_path / "optional.json").read_text()
    found = recorder.dependencies
    before = found.key(tmp_path)
    assert found.are_there and found.absent == (tmp_path / "optional.json",)
    (tmp_path / "new.txt").write_text("")
    assert found.key(tmp_path) != before
    (tmp_path / "optional.json").write_text("")
    assert not found.are_there


def test_a_source_that_is_changed_meanwhile_is_an_error(tmp_path):
    file = write(tmp_path, "import helper\n" + LINEAR)
    write(tmp_path, "A = 1\n", "helper.py")
    model = load(file)
    assert model.observed().settled
    write(tmp_path, "A = 22\n", "helper.py")
    with pytest.raises(McuError, match=r"helper\.py: it was changed while the model was read"):
        model.observed()
