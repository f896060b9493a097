"""`--format lib`: a library, made by the board's compiler, and its header."""

from mcu_build.export.contents import Contents
from mcu_build.export.makefile import cmake_library, make_library
from mcu_build.export.readme import readme

_USAGE = """\
Link `lib/lib{name}.a`, which {compiler} made with `{machine} -O2`, and include `include/{name}.h`. Objects
for another calling convention do not link with it: export sources instead (`--format folder`). For make:

    include {name}/{name}.mk
    CFLAGS += $({prefix}_INCLUDES)
    LDLIBS += $({prefix}_LIBRARY)

For CMake: `add_subdirectory({name})`, `target_link_libraries(app PRIVATE {name})`.

"""


def files(contents: Contents) -> dict[str, bytes]:
    """The folder's files by path."""
    name, library = contents.name, f"lib/lib{contents.name}.a"
    usage = _USAGE.format(
        name=name, prefix=name.upper(), compiler=contents.compiler, machine=" ".join(contents.machine)
    )
    texts = {
        **{f"include/{path}": text for path, text in contents.headers.items()},
        **{f"test/{path}": text for path, text in contents.test.items()},
        f"{name}.mk": make_library(contents, "include", library),
        "CMakeLists.txt": cmake_library(contents, "include", library),
        "README.md": readme(contents, usage, "test/"),
    }
    return {library: contents.archive, **{path: text.encode() for path, text in texts.items()}}
