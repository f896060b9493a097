"""`--format arduino`: a library for the Arduino IDE and arduino-cli, with the self-test as its example."""

from mcu_build.export.contents import Contents
from mcu_build.export.readme import readme

_PROPERTIES = """\
name={name}
version={version}
author=mcu-build
maintainer=mcu-build
sentence=The model {name}, compiled to C++.
paragraph=An int8 neural network without interpreter, heap or dependencies, for {core}.
category=Data Processing
url=https://example.com/
architectures={architectures}
includes={name}.h
"""
_SKETCH = """\
// The self-test: prints {name}: PASS where every output is that of the quantized program.
#include "{name}_selftest.h"

#include <{name}.h>

void setup() {{
    Serial.begin(115200);
    while (!Serial) {{
    }}
    const size_t wrong = {name}_selftest();
    const size_t control = {name}_selftest_control();
    const bool passes = wrong == 0 && (control != 0 || !{prefix}_SELFTEST_VARIES);
    Serial.println(passes ? "{name}: PASS" : "{name}: FAIL");
}}

void loop() {{}}
"""
_USAGE = """\
Put this folder into `libraries/` of your sketchbook, or zip it for *Sketch > Include Library > Add .ZIP
Library*, and write `#include <{name}.h>`. *File > Examples > {name} > SelfTest* runs the test. A core
compiles it with its own options; the sources themselves ask for the one that decides results (no fused
multiplications and additions).

"""


def files(contents: Contents) -> dict[str, bytes]:
    """The library's files by path."""
    name, example = contents.name, "examples/SelfTest"
    words = {"name": name, "prefix": name.upper(), "version": contents.version, "core": contents.core}
    tests = {path: text for path, text in contents.test.items() if not path.endswith("_main.c")}
    texts = {
        "library.properties": _PROPERTIES.format(**words, architectures="*"),
        **{f"src/{path}": text for path, text in contents.tree.items()},
        **{f"{example}/{path}": text for path, text in tests.items()},
        f"{example}/SelfTest.ino": _SKETCH.format(**words),
        "README.md": readme(contents, _USAGE.format(**words), f"{example}/"),
    }
    return {path: text.encode() for path, text in texts.items()}
