# arm-none-eabi-gcc for Arm's Cortex-M.
#
#   cmake -B build -DCMAKE_TOOLCHAIN_FILE=$(mcu-build cmake-dir)/../toolchains/arm-gcc.cmake
#
# Which options a board needs is not said here: mcu_add_model() brings them.

set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)

find_program(MCU_GCC NAMES arm-none-eabi-gcc)
find_program(MCU_GXX NAMES arm-none-eabi-g++)
if(NOT MCU_GXX)
    message(FATAL_ERROR "arm-none-eabi-g++: not found on PATH.\nInstall it: "
                        "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib")
endif()
set(CMAKE_C_COMPILER ${MCU_GCC})
set(CMAKE_CXX_COMPILER ${MCU_GXX})
set(CMAKE_ASM_COMPILER ${MCU_GCC})

# A program cannot be linked before there is a board.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
