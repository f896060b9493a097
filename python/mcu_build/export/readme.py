"""The page that comes with an export. Pure text."""

from mcu_build import __version__
from mcu_build.export.contents import Contents
from mcu_build.ir.plan import ALIGNMENT

_TEXT = """\
# {name}

A model for {core}, compiled to C++ by mcu-build {version}. No heap, no operating system, no global
constructors; of the C library `memcpy`, `memmove` and `memset`.

    #include "{name}.h"             /* C99, C++17 */

    {type} *in = {name}_{input}();      /* {prefix}_{input_macro}_SIZE elements */
    {name}_run();
    const {output_type} *out = {name}_{output}();

The header has shapes, scales and sizes as macros.

## Build it

{usage}
## What it needs

| | Bytes | |
|---|---|---|
| RAM: arena | {arena:,} | `{prefix}_ARENA_SIZE`: inputs, outputs and all between |
{fast}| RAM: state | {state:,} | kept from call to call |
| Flash: constants | {constants:,} | weights, tables |
| Flash: code | {code:,} | with its parameters and tables, as {compiler} makes it |
| Stack | {stack} |

Beside the stack of a call there is that of interrupts. The arena is aligned to {alignment} bytes by its
definition.

## Compile options

`{flags}`, and for this core `{machine}`; `-O2` or `-Os`. Outputs are exact with these. Warnings: none with
`-Wall -Wextra`.

## Move the arena or the weights

The arena is in section `.bss.mcu_arena.{name}`, which every linker script clears and none loads; weights
are in `.rodata.mcu_constants.{name}`. Define `{prefix}_ARENA_SECTION` or `{prefix}_CONSTANTS_SECTION` to
name a section of yours:

    -D{prefix}_ARENA_SECTION='".ccmram"'

A section of the arena's that does not begin with `.bss` has to be `(NOLOAD)` in the linker script.

{npu}## Threads

One call of `{name}_run` at a time: it is not re-entrant. It may be interrupted at any point, and different
models may run in different threads or interrupts: they share nothing. An RTOS, or an interrupt that runs a
model, has to save the registers of the FPU and of Helium, as it does for any code that uses them.

## Prove it

`{test}` holds {vectors} vectors and a self-test in C. It prints `{name}: PASS` where every output is that
of the quantized program, and `{name}: FAIL` otherwise. `manifest.json` has the SHA-256 of each file.

## Licence

Kernels and generated code: Apache-2.0 (LICENSE). The model's weights are yours.
"""


_FAST = "| RAM: fast | {:,} | `{}_FAST_SIZE`: scratch memory of the NPU |\n"
_NPU = """\
## The NPU

The model is for an {npu} and brings its driver. `{name}_npu.h` has what the application gives it:

    #include "{name}_npu.h"

    void NPU_IRQHandler(void) {{
        {name}_npu_interrupt();
    }}

That is needed, unless `const int32_t {name}_npu_irq = -1;` lets the driver read the NPU's status until it is
done. All else has a default, which a definition of yours goes before: `{name}_npu_base` ({base:#010x}) and
`{name}_npu_irq` ({irq}) are those of the board; `{name}_npu_lend` and `{name}_npu_take_back` maintain the
core's data cache; `{name}_npu_address` is for chips whose NPU sees memory at other addresses;
`{name}_npu_failed` hears of an error.

The NPU has to reach the arena{fast} and the constants. Many chips' NPUs reach neither tightly coupled
memory nor the core's own flash: place the sections above in memory that it does reach. The clock and power
of the NPU, and who may access it (TrustZone, privilege), are set by the application before the first call.

`{name}_run` sleeps (`wfi`) while the NPU works. `{name}_start` returns instead; `{name}.h` says how. One
model at a time uses the NPU.

"""
_ZEPHYR_NPU = """\
## The NPU

The model is for an {npu} and brings its driver, which takes the NPU from the devicetree (`arm,ethos-u`), and
lets other threads run while it works. Zephyr's own driver
(`CONFIG_ETHOS_U`, in earlier versions `CONFIG_ARM_ETHOS_U`) has to be off.

The NPU has to reach the arena{fast} and the constants. On Corstone-300 that is not so by default; the
sample shows how: `zephyr,sram` in `app.overlay`, `CONFIG_CODE_DATA_RELOCATION`, `zephyr_code_relocate`.

"""


def readme(contents: Contents, usage: str, test: str, is_zephyr: bool = False) -> str:
    """README.md, with how to build it in this format and the folder of the self-test."""
    sizes, stack = contents.sizes, contents.sizes.stack
    needed = (
        f"{stack.size:,} | at most, with all that it calls, as {contents.compiler} makes it"
        if stack.size is not None
        else f"unknown | {stack.reason}: measure it"
    )
    first, result = contents.input, contents.output
    return _TEXT.format(
        name=contents.name,
        prefix=contents.name.upper(),
        core=contents.core,
        version=__version__,
        type=first.tensor.dtype.c_name,
        npu=_npu(contents, is_zephyr),
        input=first.name,
        input_macro=first.name.upper(),
        output=result.name,
        output_type=result.tensor.dtype.c_name,
        usage=usage,
        arena=sizes.arena,
        fast=_FAST.format(sizes.fast, contents.name.upper()) if sizes.fast else "",
        state=sizes.state,
        constants=sizes.constants,
        code=sizes.code,
        compiler=contents.compiler,
        stack=needed,
        alignment=ALIGNMENT,
        flags=" ".join(contents.flags),
        machine=" ".join(contents.machine) or "nothing",
        test=test,
        vectors=contents.vectors.count,
    )


def _npu(contents: Contents, is_zephyr: bool) -> str:
    npu = contents.npu
    if npu is None:
        return ""
    fast = f", the fast memory (`.bss.mcu_fast.{contents.name}`)" if contents.sizes.fast else ""
    text = _ZEPHYR_NPU if is_zephyr else _NPU
    return text.format(name=contents.name, npu=npu.name, base=npu.base, irq=npu.irq, fast=fast)
