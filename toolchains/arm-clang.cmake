# clang for Arm's Cortex-M. The C library and libgcc are those of arm-none-eabi-gcc.
#
#   cmake -B build -DCMAKE_TOOLCHAIN_FILE=$(mcu-build cmake-dir)/../toolchains/arm-clang.cmake
#
# Which options a board needs is not said here: mcu_add_model() brings them.

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)

# The same order as in mcu_build/codegen/target.py.
set(_mcu_clang_names clang-19 clang-20 clang-21 clang-18 clang)
set(_mcu_clangxx_names clang++-19 clang++-20 clang++-21 clang++-18 clang++)
find_program(MCU_CLANG NAMES ${_mcu_clang_names})
find_program(MCU_CLANGXX NAMES ${_mcu_clangxx_names})
if(NOT MCU_CLANGXX)
    message(FATAL_ERROR "clang++: not found on PATH.\nInstall it: apt-get install clang-19 lld-19 llvm-19")
endif()
set(CMAKE_C_COMPILER ${MCU_CLANG})
set(CMAKE_CXX_COMPILER ${MCU_CLANGXX})
set(CMAKE_ASM_COMPILER ${MCU_CLANG})
foreach(_mcu_language C CXX ASM)
    set(CMAKE_${_mcu_language}_COMPILER_TARGET arm-none-eabi)
endforeach()

# A program cannot be linked before there is a board.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
