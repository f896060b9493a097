"""`--format stm32cube`: a library in the layout of STM32Cube projects, which are C and know no C++
sources."""

from mcu_build.export.contents import Contents
from mcu_build.export.makefile import cmake_library, make_library
from mcu_build.export.readme import readme

FOLDER = "Middlewares/Third_Party"
_USAGE = """\
Copy `Middlewares/` into the project: it holds the header and `lib{name}.a`, made by {compiler} with
`{machine} -O2`.

- **STM32CubeIDE**: *Properties > C/C++ Build > Settings*: add `{folder}/{name}/Inc` to *MCU GCC Compiler >
  Include paths*, `{name}` to
  *MCU GCC Linker > Libraries > Libraries (-l)* and `{folder}/{name}/Lib` to *Library search path (-L)*.
- **Makefile**: `include {folder}/{name}/{name}.mk`, then `C_INCLUDES += $({prefix}_INCLUDES)` and `LIBS +=
  $({prefix}_LIBRARY)`.
- **CMake**: `add_subdirectory({folder}/{name})`, `target_link_libraries(${{CMAKE_PROJECT_NAME}} {name})`.

The linker script stays as it is, and so does the C compiler's language. The FPU's calling convention has to
be the library's:
*MCU Settings > Floating-point ABI*, `-mfloat-abi=...` above.

"""


def files(contents: Contents) -> dict[str, bytes]:
    """The folder's files by path."""
    name, folder = contents.name, f"{FOLDER}/{contents.name}"
    usage = _USAGE.format(
        name=name,
        prefix=name.upper(),
        compiler=contents.compiler,
        machine=" ".join(contents.machine),
        folder=FOLDER,
    )
    texts = {
        **{f"{folder}/Inc/{path}": text for path, text in contents.headers.items()},
        **{f"{folder}/Test/{path}": text for path, text in contents.test.items()},
        f"{folder}/{name}.mk": make_library(contents, "Inc", f"Lib/lib{name}.a"),
        f"{folder}/CMakeLists.txt": cmake_library(contents, "Inc", f"Lib/lib{name}.a"),
        "README.md": readme(contents, usage, f"{folder}/Test/"),
    }
    return {
        f"{folder}/Lib/lib{name}.a": contents.archive,
        **{path: text.encode() for path, text in texts.items()},
    }
