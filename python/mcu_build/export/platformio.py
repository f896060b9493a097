"""`--format platformio`: a library for `lib/` of a PlatformIO project, or for `pio pkg pack`."""

import json

from mcu_build.export.contents import Contents
from mcu_build.export.readme import readme

_USAGE = """\
Put this folder into `lib/{name}/` of the project, or `pio pkg pack` it. PlatformIO finds it by `#include
"{name}.h"` and takes the compile options from `library.json`; core and calling convention are those of the
project's board.

"""


def files(contents: Contents) -> dict[str, bytes]:
    """The library's files by path."""
    name = contents.name
    manifest = {
        "$schema": (
            "https://raw.githubusercontent.com/platformio/platformio-core/develop/platformio/assets/schema/"
            "library.json"
        ),
        "name": name,
        "version": contents.version,
        "description": f"The model {name}, compiled to C++ for {contents.core}",
        "keywords": ["machine learning", "neural network"],
        "authors": [{"name": "mcu-build"}],
        "license": "Apache-2.0",
        "frameworks": "*",
        "platforms": "*",
        "headers": f"{name}.h",
        "build": {"srcDir": "src", "includeDir": "src", "flags": [*contents.flags]},
    }
    texts = {
        "library.json": json.dumps(manifest, indent=2) + "\n",
        **{f"src/{path}": text for path, text in contents.tree.items()},
        **{f"examples/selftest/{path}": text for path, text in contents.test.items()},
        "README.md": readme(contents, _USAGE.format(name=name), "examples/selftest/"),
    }
    return {path: text.encode() for path, text in texts.items()}
