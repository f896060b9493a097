# A stand-in for the little of Zephyr's CMake that the module uses: settings, the module's folder, the targets that
# carry compiler options and generated headers, and the application's library.
enable_language(CXX)
include(${APPLICATION_SETTINGS})
file(STRINGS ${ZEPHYR_EXTRA_MODULES}/zephyr/module.yml lines REGEX "^  cmake: ")
string(REPLACE "  cmake: " "" folder "${lines}")
file(WRITE ${CMAKE_BINARY_DIR}/zephyr/include/generated/autoconf.h "#define CONFIG_CPP 1\n")
add_library(zephyr_interface INTERFACE)
target_compile_options(zephyr_interface INTERFACE --target=arm-none-eabi -mcpu=cortex-m55 -mthumb -mfloat-abi=hard
                       -nostdlibinc -std=c++20 -Os -imacros ${CMAKE_BINARY_DIR}/zephyr/include/generated/autoconf.h)
foreach(include IN LISTS SYSTEM_INCLUDES)
    target_compile_options(zephyr_interface INTERFACE -isystem${include})
endforeach()
add_custom_target(zephyr_generated_headers)
add_library(app STATIC)
target_link_libraries(app PUBLIC zephyr_interface)
add_subdirectory(${ZEPHYR_EXTRA_MODULES}/${folder} ${CMAKE_BINARY_DIR}/modules/mcu-build)
