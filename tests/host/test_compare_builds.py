"""`mcu-build compare`: partial failures are rows, what differs names the rows."""

from dataclasses import replace

from mcu_build.errors import McuError
from mcu_build.report.compare import Variant, document, names, of_error, page, table
from mcu_build.stages import manifest
from tests.support.cli import mcu_build
from tests.support.pages import Tags

DONE = Variant(
    "net", "corstone-300", "none", "speed", "arm-clang", 9104, 8448, 256, 1234567, None, 9, 0.5, 43.4, 0.97, 0
)


def manifest_in(folder):
    """A build folder with nothing but its manifest."""
    folder.mkdir()
    given = {"name": "net", "board": {"id": "old"}, "toolchain": "arm-gcc", "io": "float", "key": "k"}
    more = {"program_key": "", "artefacts": {}, "hashes": {}, "flash": {"total": 5}, "ram": {"total": 6}}
    rows = {"inputs": (), "outputs": (), "operators": (), "warnings": ()}
    manifest.write(manifest.Manifest(**given, **more, memory={"arena": 1}, **rows), folder)
    return folder


def test_a_failure_is_a_row_with_its_reason(tmp_path):
    error = McuError("net: flash: 300,000 bytes,\nthere are 262,144", "--optimize size takes less.")
    failed = of_error(tmp_path / "net.py", "microbit", None, "speed", None, error)
    made = table([DONE, failed])
    assert "corstone-300" in made and "1,234,567" in made and "97.00%" in made and "proven" in made
    assert "microbit: net: flash: 300,000 bytes, there are 262,144" in made
    assert [row["state"] for row in document([DONE, failed])["variants"]] == ["proven", "failed"]
    html = page([DONE, failed])
    assert Tags(html).open == [] and Tags(html).loads == []
    assert "there are 262,144<div>--optimize size takes less.</div>" in html
    # What nobody knows has no column.
    assert "NPU cycles" not in made and "NPU cycles" not in html.replace("those of an NPU", "")


def test_rows_are_named_by_what_differs():
    assert names([DONE]) == ["corstone-300"]
    assert names([DONE, replace(DONE, npu="ethos-u55-128")]) == ["no NPU", "ethos-u55-128"]
    assert names([DONE, replace(DONE, toolchain="arm-gcc")]) == [
        "corstone-300 arm-clang",
        "corstone-300 arm-gcc",
    ]
    assert names([DONE, replace(DONE, model="b", optimize="size")]) == ["net speed", "b size"]


def test_wrong_outputs_are_loud():
    assert replace(DONE, wrong=3).state == "WRONG: 3 outputs"
    assert 'class="word low">WRONG' in page([replace(DONE, wrong=3)])


def test_the_command_goes_on_behind_failures(tmp_path):
    model = tmp_path / "net.py"
    model.write_text("")
    result = mcu_build("compare", model, "-b", "nowhere", "-b", "neither", "--json", "--build-dir", tmp_path)
    rows = result.json["variants"]
    assert [row["board"] for row in rows] == ["nowhere", "neither"]
    assert result.status == 1 and all("nowhere" in row["error"] or "neither" in row["error"] for row in rows)
    folder = manifest_in(tmp_path / "done")
    result = mcu_build("compare", folder, model, "-b", "nowhere", "--html", tmp_path / "page.html", "--json")
    assert [row["state"] for row in result.json["variants"]] == ["not run", "failed"]
    assert result.status == 0
    assert "nowhere" in (tmp_path / "page.html").read_text()


def test_a_comparison_needs_a_board(tmp_path):
    model = tmp_path / "net.py"
    assert f"{model}: no such model or build folder" in mcu_build("compare", model).err
    model.touch()
    result = mcu_build("compare", model)
    assert result.status == 2 and "-b corstone-300" in result.err


def test_a_build_that_is_not_whole_is_no_model(tmp_path):
    begun, damaged, other = tmp_path / "begun", tmp_path / "damaged", tmp_path / "other"
    for folder in (begun, other):
        folder.mkdir()
    (begun / "plan.json").write_text("{}")
    (manifest_in(damaged) / "manifest.json").write_text("{")
    for folder in (begun, damaged):
        result = mcu_build("compare", folder, "-b", "host")
        assert result.status == 1
        assert f"{folder}: this build is not whole" in result.err and "Build the model first" in result.err
    # A folder that is none of builds is one of a model.
    assert "no model in this folder" in mcu_build("compare", other, "-b", "host").err


def test_the_project_file_has_a_say(tmp_path, monkeypatch):
    monkeypatch.delenv("MCU_BOARD", raising=False)
    (tmp_path / "net.py").write_text("")
    (tmp_path / "mcu-build.toml").write_text('board = "nowhere"\noptimize = "ram"\n')
    (row,) = mcu_build("compare", tmp_path / "net.py", "--json").json["variants"]
    assert (row["board"], row["optimize"]) == ("nowhere", "ram")
    (row,) = mcu_build("compare", tmp_path / "net.py", "--json", "--optimize", "size").json["variants"]
    assert (row["board"], row["optimize"]) == ("nowhere", "size")
