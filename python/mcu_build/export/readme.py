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
| RAM: state | {state:,} | kept from call to call |
| Flash: constants | {constants:,} | weights, tables |
| Flash: code | {code:,} | as {compiler} makes it |
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

## Threads

One call of `{name}_run` at a time: it is not re-entrant. It may be interrupted at any point, and different
models may run in different threads or interrupts: they share nothing. An RTOS, or an interrupt that runs a
model, has to save the registers of the FPU and of Helium, as it does for any code that uses them.

## Prove it

`{test}` holds {vectors} vectors and a self-test in C. It prints `{name}: PASS` where every output is that
of the quantized program, and `{name}: FAIL` otherwise. `manifest.json` has the SHA-256 of each file.

## Licence

Kernels and generated code: Apache-2.0 (LICENSE). The model's weights are yours.
"""


def readme(contents: Contents, usage: str, test: str) -> str:
    """README.md, with how to build it in this format and the folder of the self-test."""
    sizes, stack = contents.sizes, contents.sizes.stack
    needed = (
        f"{stack.size:,} | at most, with all that it calls, as {contents.compiler} makes it"
        if stack.size is not None
        else f"unknown | {stack.reason}: measure it"
    )
    given, result = contents.input, contents.output
    return _TEXT.format(
        name=contents.name,
        prefix=contents.name.upper(),
        core=contents.core,
        version=__version__,
        type=given.tensor.dtype.c_name,
        input=given.name,
        input_macro=given.name.upper(),
        output=result.name,
        output_type=result.tensor.dtype.c_name,
        usage=usage,
        arena=sizes.arena,
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
