# Zephyr's configuration as a board of mcu-build: the core that decides the kernels, memories that the plan has to fit,
# and the NPUs of the reference system around such a core.

# _mcu_zephyr_core(<out>): the name of the core, CONFIG_CPU_CORTEX_M0PLUS as cortex-m0plus.
function(_mcu_zephyr_core out)
    foreach(core m0 m0plus m1 m3 m4 m7 m23 m33 m55 m85)
        string(TOUPPER ${core} upper)
        if(CONFIG_CPU_CORTEX_${upper})
            # An M1 runs what an M0 runs.
            string(REGEX REPLACE "^m1$" "m0" core ${core})
            set(${out} cortex-${core} PARENT_SCOPE)
            return()
        endif()
    endforeach()
    message(FATAL_ERROR "mcu-build: no kernels for this core; there are some for Cortex-M.")
endfunction()

# _mcu_zephyr_board(<file>): write it.
function(_mcu_zephyr_board file)
    _mcu_zephyr_core(core)
    set(vector ${core} MATCHES "m(55|85)$")
    set(fpu none)
    if(CONFIG_FPU AND (CONFIG_CPU_HAS_FPU_DOUBLE_PRECISION OR ${vector}))
        set(fpu double)
    elseif(CONFIG_FPU)
        set(fpu single)
    elseif(${vector})
        message(FATAL_ERROR "mcu-build: ${core} without CONFIG_FPU=y is not supported.")
    endif()
    set(dsp false)
    if(core MATCHES "m(4|7|55|85)$" OR CONFIG_ARMV8_M_DSP)
        set(dsp true)
    endif()
    set(mve false)
    if(CONFIG_ARMV8_1_M_MVEI)
        set(mve true)
    endif()
    set(like "")
    if(core STREQUAL "cortex-m55")
        set(like "extends = \"corstone-300\"\n")
    elseif(core STREQUAL "cortex-m85")
        set(like "extends = \"corstone-310\"\n")
        if(CONFIG_MCU_BUILD_NPU MATCHES "u85")
            set(like "extends = \"corstone-320\"\n")
        endif()
    endif()
    set(code ram)
    set(memories "")
    if(CONFIG_XIP AND CONFIG_FLASH_SIZE GREATER 0)
        set(code flash)
        _mcu_zephyr_memory(flash rx "${CONFIG_FLASH_BASE_ADDRESS}" ${CONFIG_FLASH_SIZE} memories)
    endif()
    _mcu_zephyr_memory(ram rwx "${CONFIG_SRAM_BASE_ADDRESS}" ${CONFIG_SRAM_SIZE} memories)
    file(CONFIGURE OUTPUT ${file} @ONLY CONTENT [[
# Written by mcu-build from Zephyr's configuration.
@like@name = "Zephyr: @CONFIG_BOARD@"
core = "@core@"
fpu = "@fpu@"
dsp = @dsp@
mve = @mve@
stack_size = 1024
@memories@
[placement]
vectors = "@code@"
code = "@code@"
constants = "@code@"
data = "ram"
arena = "ram"
stack = "ram"
]])
endfunction()

function(_mcu_zephyr_memory name access origin kilobytes out)
    string(APPEND ${out} "\n[[memory]]\nname = \"${name}\"\norigin = ${origin}\nsize = \"${kilobytes}K\"\n"
                         "access = \"${access}\"\nnpu = true\n")
    set(${out} "${${out}}" PARENT_SCOPE)
endfunction()
