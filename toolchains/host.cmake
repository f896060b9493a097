# This computer's own compiler: firmware for the board `host` is a native program.

find_program(MCU_HOST_CC NAMES gcc clang cc)
find_program(MCU_HOST_CXX NAMES g++ clang++ c++)
if(NOT MCU_HOST_CXX)
    message(FATAL_ERROR "g++ or clang++: not found on PATH.\nInstall it: apt-get install g++")
endif()
set(CMAKE_C_COMPILER ${MCU_HOST_CC})
set(CMAKE_CXX_COMPILER ${MCU_HOST_CXX})
