"""`--format folder`: sources for any build system."""

from mcu_build.export.contents import Contents
from mcu_build.export.makefile import cmake_sources, make_sources
from mcu_build.export.readme import readme

_USAGE = """\
Compile every `.cpp` below `src/` with `src` as an include folder. For make, `{name}.mk` has the list and
the rules:

    include {name}/{name}.mk
    CFLAGS += $({prefix}_INCLUDES)
    app.elf: $(OBJECTS) $({prefix}_OBJECTS)

For CMake: `add_subdirectory({name})`, `target_link_libraries(app PRIVATE {name})`.

"""


def files(contents: Contents) -> dict[str, bytes]:
    """The folder's files by path."""
    name = contents.name
    sources = [f"src/{path}" for path in contents.sources]
    texts = {
        **{f"src/{path}": text for path, text in contents.tree.items()},
        **{f"test/{path}": text for path, text in contents.test.items()},
        f"{name}.mk": make_sources(contents, "src", sources),
        "CMakeLists.txt": cmake_sources(contents, "src", sources),
        "README.md": readme(contents, _USAGE.format(name=name, prefix=name.upper()), "test/"),
    }
    return {path: text.encode() for path, text in texts.items()}
