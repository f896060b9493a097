"""One array for the arenas of several models, by a schedule. Pure text.

It goes into an image's own sources: the models' arenas are members of archives, which linkers leave out where
what they define is there.
"""

from collections.abc import Mapping

from mcu_build.codegen.header import BANNER
from mcu_build.ir.tensor import ALIGNMENT

_MODEL = """\
static_assert({name}::arena_size <= {size}, "{name} has another plan: run `mcu-build schedule` again");
__asm__(".globl {name}_arena\\n.set {name}_arena, mcu_arena + {offset}");
extern "C" unsigned char {name}_fast[fast_size] __attribute__((alias("mcu_fast")));
"""


def source(schedule: str, offsets: Mapping[str, int], sizes: Mapping[str, int], total: int) -> str:
    """The file of models whose arenas begin at `offsets` and have `sizes` bytes, `total` all together."""
    fast = ", ".join(f"{name}::fast_size" for name in offsets)
    parts = [
        f"{BANNER}// One arena of {total} bytes, by the schedule: {schedule}\n",
        "#include <algorithm>\n#include <cstddef>\n\n",
        *(f'#include "{name}.h"\n' for name in sorted(offsets)),
        "\nnamespace {\n\n",
        "// An array has at least one element; the linker drops it where no model needs it.\n",
        f"constexpr std::size_t fast_size = std::max({{{fast}, std::size_t{{1}}}});\n\n}}  // namespace\n\n",
        'extern "C" {\n',
        _array("mcu_arena", str(total)),
        _array("mcu_fast", "fast_size"),
        '}  // extern "C"\n\n',
        *(_MODEL.format(name=name, offset=offset, size=sizes[name]) for name, offset in offsets.items()),
    ]
    return "".join(parts)


def _array(name: str, size: str) -> str:
    array, placed = f"unsigned char {name}[{size}]", f'__attribute__((section(".bss.{name}.shared")))'
    return f"extern {array};\nalignas({ALIGNMENT}) {placed} {array};\n"
