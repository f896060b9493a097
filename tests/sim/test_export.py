"""Every exported format, compiled as its ecosystem does, runs its self-test in QEMU."""

import configparser
import inspect
import json
import os
import re
import shutil
import tarfile
import venv
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest
import yaml

from mcu_build import api, process
from mcu_build.errors import McuError
from mcu_build.export.contents import PROLOGUE
from mcu_build.export.make import FORMATS, write
from mcu_build.image.elf import read_elf
from mcu_build.resources import data_dir
from tests.support.export import compiled, exported, linked, run

MACHINE = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
WARNINGS = ["-Wall", "-Wextra", "-Werror"]
# What careful projects add, for all of their objects.
STRICT = ["-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Wundef", "-Wcast-align=strict"]
STRICT += ["-Wcast-qual", "-Wdouble-promotion", "-Wfloat-equal", "-Wmissing-declarations", "-Wformat=2"]
STRICT += ["-Wredundant-decls", "-Wnull-dereference", "-Wswitch-enum", "-Wduplicated-branches"]
STRICT_CXX = ["-Wold-style-cast", "-Wuseless-cast", "-Wzero-as-null-pointer-constant", "-Weffc++"]
# What the cores' platform.txt give to C++ (stm32duino 2.x, Arduino's Renesas core 1.x).
STM32DUINO = [*MACHINE, "-Os", "-std=gnu++17", "-ffunction-sections", "-fdata-sections", "-fno-rtti"]
STM32DUINO += ["--param", "max-inline-insns-single=500", "-fno-exceptions", "-fno-threadsafe-statics"]
STM32DUINO += ["-fno-use-cxa-atexit", "-DNDEBUG"]
RENESAS = [*MACHINE, "-Os", "-g3", "-std=gnu++17", "-fno-use-cxa-atexit", "-fno-rtti", "-fno-exceptions"]
RENESAS += ["-fsigned-char", "-ffunction-sections", "-fdata-sections", "-fmessage-length=0", "-fno-builtin"]
SERIAL = """
#include <stdio.h>
struct Port {
    void begin(int) {}
    operator bool() const { return true; }
    void println(const char* text) { printf("%s\\n", text); }
};
inline Port Serial;
"""
PASS = "first: PASS: 256 output elements are exact\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The contents, and a folder for each format."""
    folder = tmp_path_factory.mktemp("export")
    contents, request = exported(folder / "scratch")
    for format in FORMATS:
        write(contents, request, format, folder / format)
    return folder


def sources_below(folder):
    return sorted(folder.rglob("*.cpp"))


def selftest(folder):
    return sorted(folder.glob("first_selftest*.c"))


def passes(folder, objects, machine=MACHINE):
    image = linked(folder, objects, machine)
    assert run(image) == (0, PASS)
    return image


@pytest.mark.parametrize("format", ["folder", "lib"])
def test_with_make(made, tmp_path, format):
    """The fragment builds; what it links constructs nothing and calls three functions of the C library."""
    (tmp_path / "Makefile").write_text(
        f"include {made / format}/first.mk\n"
        "all: $(FIRST_OBJECTS)\n\t@echo $(FIRST_INCLUDES) $(FIRST_LIBRARY)\n"
    )
    finished = process.run(["make", "-s", "-C", tmp_path, "FIRST_OPTIMIZE=-Os -Wall -Wextra -Werror"])
    assert finished.status == 0, finished.stdout + finished.stderr
    words = [word for word in finished.stdout.split() if word.startswith(("-I", "/"))]
    include = next(word for word in words if word.startswith("-I"))
    objects = sorted(tmp_path.rglob("*.o")) + [Path(word) for word in words if word.endswith(".a")]
    tests = compiled(
        tmp_path, selftest(made / format / "test"), [*MACHINE, *WARNINGS, "-std=c99", "-pedantic", include]
    )
    image = passes(tmp_path, [*tests, *objects])
    needed = process.run(["arm-none-eabi-nm", "--undefined-only", *objects]).stdout.split()
    names = {name for name in needed if name.isidentifier() and name != "U"}
    assert {name for name in names if not name.startswith(("first", "_ZN"))} <= {
        "memcpy",
        "memmove",
        "memset",
    }
    listed = process.run(["arm-none-eabi-readelf", "-SW", *objects]).stdout
    assert "init_array" not in listed and ".ctors" not in listed
    sections = {section.name for section in read_elf(image).sections}
    assert not [name for name in sections if "mcu" in name]


def test_a_damaged_vector_fails(made, tmp_path):
    text = (made / "lib/test/first_selftest.c").read_text()
    damaged = text.replace(
        "static const unsigned char output[VECTORS][64] = {\n    {0,5",
        "static const unsigned char output[VECTORS][64] = {\n    {1,5",
    )
    assert damaged != text
    (tmp_path / "first_selftest.c").write_text(damaged)
    sources = [tmp_path / "first_selftest.c", made / "lib/test/first_selftest_main.c"]
    flags = [*MACHINE, f"-I{made / 'lib/include'}", f"-I{made / 'lib/test'}"]
    image = linked(tmp_path, [*compiled(tmp_path, sources, flags), made / "lib/lib/libfirst.a"], MACHINE)
    assert run(image) == (1, "first: FAIL: 1 of 256 output elements are wrong\n")


@pytest.mark.parametrize("flags", [STM32DUINO, RENESAS], ids=["stm32duino", "renesas"])
def test_arduino(made, tmp_path, flags):
    library, example = made / "arduino", made / "arduino/examples/SelfTest"
    properties = configparser.ConfigParser()
    properties.read_string("[library]\n" + (library / "library.properties").read_text())
    needed = {
        "name",
        "version",
        "author",
        "maintainer",
        "sentence",
        "paragraph",
        "category",
        "url",
        "architectures",
    }
    assert needed <= set(properties["library"])
    (tmp_path / "Arduino.h").write_text(SERIAL)
    sketch = '#include "Arduino.h"\n' + (example / "SelfTest.ino").read_text()
    (tmp_path / "sketch.cpp").write_text(sketch + "int main() {\n    setup();\n    return 0;\n}\n")
    include = [f"-I{library / 'src'}", f"-I{example}", f"-I{tmp_path}"]
    sources = [*sources_below(library / "src"), *example.glob("*.c"), tmp_path / "sketch.cpp"]
    objects = compiled(tmp_path, sources, [*flags, *WARNINGS, *include])
    assert run(linked(tmp_path, objects, MACHINE)) == (0, "first: PASS\n")


def test_platformio(made, tmp_path):
    library = made / "platformio"
    manifest = json.loads((library / "library.json").read_text())
    assert (manifest["name"], manifest["version"]) == ("first", "1.2.3")
    include = [f"-I{library / manifest['build']['includeDir']}"]
    flags = [*MACHINE, "-Os", *WARNINGS, *manifest["build"]["flags"], *include]
    tests = library / "examples/selftest"
    sources = [*sources_below(library / manifest["build"]["srcDir"]), *tests.glob("*.c")]
    passes(tmp_path, compiled(tmp_path, sources, flags))


@pytest.mark.slow
def test_platformio_packs_it(made, tmp_path):
    """PlatformIO's own command, in an environment of its own: it wants other versions of what we use."""
    library, tools = tmp_path / "library", tmp_path / "venv"
    shutil.copytree(made / "platformio", library)
    # It looks the licence's name up on the internet.
    manifest = json.loads((library / "library.json").read_text())
    del manifest["license"]
    (library / "library.json").write_text(json.dumps(manifest))
    venv.create(tools, with_pip=True)
    installed = process.run([tools / "bin/pip", "install", "-q", "platformio"], timeout=300)
    assert installed.status == 0, installed.stderr
    environment = {**os.environ, "PLATFORMIO_CORE_DIR": str(tmp_path / "core")}
    command = [tools / "bin/pio", "pkg", "pack", "-o", tmp_path, library]
    packed = process.run(command, env=environment, timeout=120)
    assert packed.status == 0, packed.stdout + packed.stderr
    with tarfile.open(tmp_path / "first-1.2.3.tar.gz") as archive:
        names = set(archive.getnames())
    assert {"library.json", "src/first.h", "examples/selftest/first_selftest.c"} <= names
    assert {f"src/{file.name}" for file in (library / "src").glob("*.cpp")} <= names


def test_cmsis_pack(made, tmp_path):
    """The pack holds what its description names, and that compiles."""
    with zipfile.ZipFile(made / "cmsis-pack/mcu-build.first.1.2.3.pack") as pack:
        pack.extractall(tmp_path)
    package = ET.parse(tmp_path / "mcu-build.first.pdsc").getroot()
    # The schema's elements that have to be there, in any order.
    assert {"name", "vendor", "description", "url", "releases"} <= {child.tag for child in package}
    assert package.find("conditions/condition/require").attrib == {"Dcore": "Cortex-M4", "Dfpu": "SP_FPU"}
    files = [one.attrib for one in package.iterfind("components/component/files/file")]
    assert all((tmp_path / one["name"]).exists() for one in files)
    named = {
        kind: [tmp_path / one["name"] for one in files if one["category"] == kind]
        for kind in ("sourceCpp", "sourceC", "include")
    }
    assert len(named["sourceCpp"]) == len(sources_below(tmp_path / "src"))
    include = [f"-I{folder}" for folder in named["include"]]
    sources = [*named["sourceCpp"], *named["sourceC"], tmp_path / "test/first_selftest_main.c"]
    flags = [*MACHINE, "-O1", "-std=gnu++17", "-fno-rtti", "-fno-exceptions", *WARNINGS, *include]
    passes(tmp_path, compiled(tmp_path, sources, flags))


def test_stm32cube(made, tmp_path):
    """A project in C: its compiler links it, and make finds it."""
    folder = made / "stm32cube/Middlewares/Third_Party/first"
    flags = [*MACHINE, "-Og", "-g", *WARNINGS, f"-I{folder / 'Inc'}"]
    objects = compiled(tmp_path, selftest(folder / "Test"), flags)
    passes(tmp_path, [*objects, folder / "Lib/libfirst.a"])
    assert "FIRST_LIBRARY := $(FIRST_DIR)/Lib/libfirst.a" in (folder / "first.mk").read_text()


def test_zephyr(made):
    module = made / "zephyr"
    described = yaml.safe_load((module / "zephyr/module.yml").read_text())
    assert described["build"] == {"cmake": "zephyr", "kconfig": "zephyr/Kconfig"}
    assert "config FIRST_MODEL\n\tbool" in (module / "zephyr/Kconfig").read_text()
    lists = (module / "zephyr/CMakeLists.txt").read_text()
    listed = [line.strip() for line in lists.splitlines() if line.strip().endswith(".cpp")]
    assert sorted((module / "zephyr" / one).resolve() for one in listed) == sources_below(module / "src")
    assert yaml.safe_load((module / "samples/selftest/sample.yaml").read_text())["tests"]


@pytest.mark.parametrize(
    ("folder", "machine"),
    [("dsp", MACHINE), ("mve", ["-mcpu=cortex-m55+nomve.fp", "-mthumb", "-mfloat-abi=hard"])],
)
def test_kernels_in_assembly_compile_without_optimization(tmp_path, folder, machine):
    """An IDE's debug build: without what an export writes before each source, registers run out."""
    kernels = data_dir() / "firmware/kernels"
    (tmp_path / "prologue.h").write_text(PROLOGUE)
    needs_all = {"dsp": ["dsp_linear", "dsp_recurrent"], "mve": ["mve_conv_tiles"]}[folder]
    flags = [*machine, "-O0", "-std=gnu++17", *WARNINGS, "-fno-exceptions", "-fno-rtti"]
    include = [f"-I{kernels}", f"-I{data_dir() / 'firmware/include'}"]
    sources = [kernels / folder / f"{name}.cpp" for name in needs_all]
    compiled(tmp_path, sources, [*flags, *include, f"-include{tmp_path / 'prologue.h'}"])
    with pytest.raises(AssertionError, match="impossible constraints"):
        compiled(tmp_path, sources, [*flags, *include])


def test_in_a_project_of_strict_warnings(made, tmp_path):
    """The header in C and in three standards of C++, the sources, and kernels that cast."""
    folder = made / "folder/src"
    (tmp_path / "prologue.h").write_text(PROLOGUE)
    flags = [*MACHINE, *WARNINGS, *STRICT, "-O2", "-fno-exceptions", "-fno-rtti"]
    include = [f"-I{folder}", f"-I{data_dir() / 'firmware/include'}", f"-include{tmp_path / 'prologue.h'}"]
    cxx = [*flags, *STRICT_CXX, "-std=gnu++17"]
    kernels = data_dir() / "firmware/kernels"
    casting = [kernels / f"dsp/{name}.cpp" for name in ("dsp_depthwise", "dsp_conv2d", "dsp_im2col_s16")]
    compiled(tmp_path, sources_below(folder), [*cxx, include[0]])
    compiled(tmp_path, [*casting, kernels / "npu/ethos_u.cpp"], [*cxx, *include[1:]])
    use = "int use(void);\nint use(void) {\n    first_run();\n    return first_output()[0];\n}\n"
    for file, standard in (("c.c", "c99"), ("old.cpp", "c++11"), ("new.cpp", "c++20")):
        (tmp_path / file).write_text('#include "first.h"\n' + use)
        more = [] if file == "c.c" else STRICT_CXX
        compiled(tmp_path, [tmp_path / file], [*flags, *more, f"-std={standard}", include[0]])


def test_options_for_another_core_are_an_error_in_words(made, tmp_path):
    with pytest.raises(AssertionError, match="first is for another core: compile it with -mcpu=cortex-m4"):
        compiled(tmp_path, [made / "folder/src/first.cpp"], ["-mcpu=cortex-m3", "-mthumb"])


def test_two_exports_in_one_image(made, tmp_path):
    """Kernels are each model's own."""
    contents, request = exported(tmp_path / "scratch", "second")
    write(contents, request, "folder", tmp_path / "second")
    folders = [made / "folder", tmp_path / "second"]
    flags = [
        *MACHINE,
        "-Os",
        "-std=gnu++17",
        "-fno-exceptions",
        *(f"-I{folder}/{name}" for folder in folders for name in ("src", "test")),
    ]
    sources = [file for folder in folders for file in sources_below(folder)]
    tests = [made / "folder/test/first_selftest.c", tmp_path / "second/test/second_selftest.c"]
    (tmp_path / "main.c").write_text(
        '#include "first_selftest.h"\n#include "second_selftest.h"\n'
        "int main(void) { return (int)(first_selftest() + second_selftest()); }\n"
    )
    image = linked(tmp_path, compiled(tmp_path, [*sources, *tests, tmp_path / "main.c"], flags), MACHINE)
    assert run(image) == (0, "")


def test_the_options_are_those_of_generate():
    given = set(inspect.signature(api.export).parameters)
    assert given == set(inspect.signature(api.generate).parameters) | {"format", "version"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "class"}, "--name class: no free name.*model_class"),
        ({"name": "2-way"}, "--name 2-way: no free name.*model_2_way"),
        ({"version": "one"}, "--version one: not a version"),
        ({"format": "keil"}, "'keil' is none of folder, lib"),
        ({"output": "theirs"}, "theirs: holds something else than an export"),
        ({"output": "net.py"}, "net.py: not a folder"),
        ({"output": "net.py/new/folder"}, "net.py: not a folder"),
    ],
)
def test_what_is_refused_before_anything_is_made(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("model = None\n")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/manifest.json").write_text('{"files": {"notes.txt": ""}}')
    (tmp_path / "theirs/notes.txt").write_text("mine")
    with pytest.raises(McuError) as caught:
        api.export("net.py", **{"output": "new", "board": "netduinoplus2", **options})
    assert re.search(words, f"{caught.value.message} {caught.value.hint}")
    files = sorted(file.name for file in tmp_path.rglob("*.*"))
    assert files == ["manifest.json", "net.py", "notes.txt"]


def test_the_same_bytes_again(made, tmp_path):
    contents, request = exported(tmp_path / "scratch")
    # Another format, and a file of the user's: the first goes, the second stays.
    for format in ("folder", "lib"):
        write(contents, request, format, tmp_path / "again")
        (tmp_path / "again/src").mkdir(exist_ok=True)
        (tmp_path / "again/src/own.h").write_text("// mine\n")
    assert [file.name for file in (tmp_path / "again/src").rglob("*.*")] == ["own.h"]
    for format in FORMATS:
        manifest = write(contents, request, format, tmp_path / format)
        assert manifest == json.loads((made / format / "manifest.json").read_text())
        assert set(manifest["files"]) == {
            str(file.relative_to(tmp_path / format))
            for file in (tmp_path / format).rglob("*")
            if file.is_file() and file.name != "manifest.json"
        }
        assert 0 < manifest["stack"] < 200
        readme = (tmp_path / format / "README.md").read_text()
        assert f"| Stack | {manifest['stack']} |" in readme
