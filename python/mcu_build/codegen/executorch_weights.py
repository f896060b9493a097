"""Weights that lie apart from a program (.ptd), for ExecuTorch's runtime. Pure text.

The image holds the files, and a table of what is in them, which spares it a parser:
mcu/executorch/weights.h makes of it what ExecuTorch asks for.
"""

from collections.abc import Sequence

from mcu_build.codegen.blob import constants_section, content_name, definition
from mcu_build.codegen.header import BANNER
from mcu_build.ir.plan import ALIGNMENT
from mcu_build.ir.weights import Weight, WeightFile

# ScalarType of bytes.
_BYTE = 0

# Of mcu::et::Parts.
PART = (
    "    .weights = []() -> const ::executorch::runtime::NamedDataMap* "
    "{ return &weight_map.make(weights); },\n"
)


def sources(name: str, files: Sequence[WeightFile]) -> dict[str, str]:
    """A source for each file of weights: whole and alone, so that models with the same one share it."""
    said = "// Weights as ExecuTorch's exporter wrote them.\n"
    return {
        f"{name}_weights_{index}.cpp": BANNER
        + said
        + definition(_symbol(file), file.data, ALIGNMENT, constants_section(_symbol(file)))
        for index, file in enumerate(files)
    }


def declarations(files: Sequence[WeightFile]) -> str:
    """The arrays of `sources`."""
    return "".join(f"extern const unsigned char {_symbol(file)}[{len(file.data)}];\n" for file in files)


def table(files: Sequence[WeightFile]) -> str:
    """Every tensor of the files: its name, where it is, its layout. Data of delegates have none."""
    if not files:
        return ""
    weights = [(file, weight) for file in files for weight in (*file.weights, *_blobs(file))]
    lines = []
    for index, (_, weight) in enumerate(weights):
        if weight.shape:
            sizes, order = ", ".join(map(str, weight.shape)), ", ".join(map(str, weight.dim_order))
            lines.append(f"constexpr std::int32_t weight_sizes_{index}[] = {{{sizes}}};\n")
            lines.append(f"constexpr std::uint8_t weight_order_{index}[] = {{{order}}};\n")
    lines.append("// What programs find by name.\nconstexpr mcu::et::Weight weights[] = {\n")
    for index, (file, weight) in enumerate(weights):
        layout = f"weight_sizes_{index}, weight_order_{index}" if weight.shape else "{}, {}"
        lines.append(
            f'    {{"{weight.key}", {{{_symbol(file)} + {weight.start}, {weight.nbytes}}}, '
            f"static_cast<::executorch::aten::ScalarType>({weight.scalar_type}), "
            f"{layout}}},\n"
        )
    lines.append("};\nconstinit mcu::et::Later<mcu::et::WeightMap> weight_map;\n\n")
    return "".join(lines)


def _blobs(file: WeightFile) -> list[Weight]:
    return [Weight(key, _BYTE, (), (), start, size) for key, (start, size) in file.blobs.items()]


def _symbol(file: WeightFile) -> str:
    return content_name("mcu_weights", file.data)
