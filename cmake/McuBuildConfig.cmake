# McuBuild: models and firmware as CMake targets.
#
#   find_package(McuBuild REQUIRED)        # with -DMcuBuild_DIR=$(mcu-build cmake-dir)
#
#   mcu_add_model(kws MODEL kws.py BOARD corstone-300)
#   mcu_add_firmware(demo SOURCES main.cpp MODELS kws)
#
# docs/cmake.md describes both. The toolchain file is one of ../toolchains, or your own for arm-none-eabi.

include_guard(GLOBAL)
include(${CMAKE_CURRENT_LIST_DIR}/McuBuildInternal.cmake)

# mcu_add_model(<name> MODEL <file> BOARD <board> [NPU <npu>|none] [IO float|int8]
#               [OPTIMIZE speed|size|ram] [RUNTIME static|executorch]
#               [OP_LIBRARY <file>...] [KERNEL_SOURCES <file>...])
# mcu_add_model(<name> GENERATED <folder>)
#
# A static library `mcu::model::<name>` with the header <name>.h. MODEL is a model.py, .pt2 or .pte; its sources are
# generated while CMake configures, and again when the model or a file that it reads has changed. BOARD is a board's
# name or its .toml file; it may be left out where MCU_BOARD is set. NPU is one that the board can have, such as
# ethos-u55-128, or none; without it the board's default. IO int8 leaves out the conversion from and to float.
# OPTIMIZE says what to give priority to; `size`, which changes the compiler's options, is for all of a project's
# models of a board, or for none. RUNTIME executorch: ExecuTorch's own runtime loads and runs the program, see
# docs/executorch.md. GENERATED takes a folder that `mcu-build generate` has written. OP_LIBRARY and KERNEL_SOURCES hold
# custom operators in Python and in C++, see docs/custom-operators.md.
function(mcu_add_model name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "MODEL;BOARD;NPU;IO;OPTIMIZE;RUNTIME;GENERATED" "OP_LIBRARY;KERNEL_SOURCES")
    set(call "mcu_add_model(${name})")
    _mcu_check_arguments("${call}" "MODEL BOARD NPU IO OPTIMIZE RUNTIME GENERATED OP_LIBRARY KERNEL_SOURCES"
                         "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")
    if(NOT name MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
        _mcu_fail("${call}" "the name becomes a C++ namespace: use letters, digits and underscores")
    endif()
    if(TARGET mcu_model_${name})
        _mcu_fail("${call}" "a model of this name exists already")
    endif()
    if(DEFINED arg_GENERATED AND DEFINED arg_MODEL)
        _mcu_fail("${call}" "MODEL and GENERATED: give one of them")
    endif()
    if(DEFINED arg_GENERATED AND DEFINED arg_NPU)
        _mcu_fail("${call}" "NPU: GENERATED was made for one, or for none" "Give --npu to `mcu-build generate`.")
    endif()

    if(TARGET zephyr_interface)
        _mcu_check_zephyr("${call}" "${arg_NPU}")
        set(arg_NPU none)
    endif()

    if(DEFINED arg_GENERATED)
        cmake_path(ABSOLUTE_PATH arg_GENERATED NORMALIZE OUTPUT_VARIABLE folder)
        if(NOT EXISTS ${folder}/model.cmake OR NOT EXISTS ${folder}/board.cmake)
            _mcu_fail("${call}" "GENERATED: no model.cmake and board.cmake in ${folder}"
                      "`mcu-build generate --output ${folder} --board B model.py` writes them.")
        endif()
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/model.cmake ${folder}/board.cmake)
    else()
        _mcu_find_model("${call}" "${arg_MODEL}" model)
        _mcu_choose_board("${call}" "${arg_BOARD}" ${model} board)
        if(NOT DEFINED arg_IO)
            set(arg_IO float)
        elseif(NOT arg_IO MATCHES "^(float|int8)$")
            _mcu_fail("${call}" "IO: '${arg_IO}' is neither float nor int8")
        endif()
        if(NOT DEFINED arg_OPTIMIZE)
            set(arg_OPTIMIZE speed)
        elseif(NOT arg_OPTIMIZE MATCHES "^(speed|size|ram)$")
            _mcu_fail("${call}" "OPTIMIZE: '${arg_OPTIMIZE}' is neither speed nor size nor ram")
        endif()
        if(NOT DEFINED arg_RUNTIME)
            set(arg_RUNTIME static)
        elseif(NOT arg_RUNTIME MATCHES "^(static|executorch)$")
            _mcu_fail("${call}" "RUNTIME: '${arg_RUNTIME}' is neither static nor executorch")
        endif()
        set(libraries "")
        foreach(file IN LISTS arg_OP_LIBRARY)
            cmake_path(ABSOLUTE_PATH file NORMALIZE)
            list(APPEND libraries --op-library ${file})
        endforeach()
        set(custom ${libraries})
        foreach(file IN LISTS arg_KERNEL_SOURCES)
            cmake_path(ABSOLUTE_PATH file NORMALIZE)
            list(APPEND custom --kernel-sources ${file})
        endforeach()
        set(folder ${CMAKE_BINARY_DIR}/mcu/models/${name})
        _mcu_generate("${call}" ${name} ${model} ${board} "${arg_NPU}" ${folder}
                      --io ${arg_IO} --optimize ${arg_OPTIMIZE} --runtime ${arg_RUNTIME} ${custom})
    endif()
    _mcu_add_model_library("${call}" ${name} ${folder})
    if(arg_KERNEL_SOURCES)
        _mcu_add_user_kernels(${name} "${arg_KERNEL_SOURCES}")
    endif()
    get_target_property(made_for mcu_model_${name} MCU_BOARD)
    if(DEFINED arg_MODEL)
        set_target_properties(mcu_model_${name} PROPERTIES MCU_MODEL_FILE ${model} MCU_IO ${arg_IO}
                              MCU_OP_LIBRARY "${libraries}")
        set_property(TARGET mcu_board_${made_for} PROPERTY MCU_BOARD_ARGUMENT ${board})
    elseif(DEFINED arg_BOARD AND NOT arg_BOARD STREQUAL made_for)
        _mcu_fail("${call}" "BOARD: ${arg_BOARD}, but ${folder} was generated for ${made_for}")
    endif()
endfunction()

# mcu_add_firmware(<target> [SOURCES <file>...] MODELS <name>... [BOARD <board>] [SHARE_ARENA] [TEST | DEVICE_TEST])
#
# An image <target>.elf with .map and, except for the host and tests, .hex and .bin, and targets <target>.run, <target>.size and
# <target>.flash.
# A .bin file holds what is loaded into the memory of the vectors; for each other memory there is a
# <target>-<memory>.bin. Without SOURCES, the default application
# runs the one model. With SHARE_ARENA the models use one arena: results of one are lost when the next is given its
# inputs. TEST makes the image that `mcu-build test` runs: harness and semihosting instead of SOURCES and console.
# DEVICE_TEST makes that of `mcu-build test --on-device`: the harness, and files through the debug probe.
function(mcu_add_firmware name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SHARE_ARENA;TEST;DEVICE_TEST" "BOARD" "SOURCES;MODELS")
    set(call "mcu_add_firmware(${name})")
    if(TARGET zephyr_interface)
        _mcu_fail("${call}" "Zephyr links the image" "Write target_link_libraries(app PRIVATE mcu::model::<name>).")
    endif()
    _mcu_check_arguments("${call}" "SOURCES MODELS BOARD SHARE_ARENA TEST DEVICE_TEST"
                         "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")
    _mcu_check_models("${call}" "${arg_MODELS}" "${arg_BOARD}" board npu)
    foreach(source IN LISTS arg_SOURCES)
        if(NOT source MATCHES "[.$]")
            _mcu_fail("${call}" "SOURCES: '${source}' is not a source file"
                      "Arguments are: SOURCES, MODELS, BOARD, SHARE_ARENA, TEST, DEVICE_TEST.")
        endif()
    endforeach()
    set(image PRODUCTION)
    if(arg_TEST)
        set(image TEST)
    elseif(arg_DEVICE_TEST)
        set(image DEVICE)
    endif()
    _mcu_application("${call}" "${arg_SOURCES}" "${arg_MODELS}" ${image} ${board} sources)

    add_executable(${name} ${sources})
    list(TRANSFORM arg_MODELS PREPEND mcu::model:: OUTPUT_VARIABLE models)
    if(arg_SHARE_ARENA)
        _mcu_share_arena("${call}" ${name} "${arg_MODELS}")
    endif()
    if(image STREQUAL "PRODUCTION")
        _mcu_place_slots("${call}" ${name} "${arg_MODELS}")
    endif()
    _mcu_add_platform(${name} ${board} ${image})
    target_link_libraries(${name} PRIVATE ${models} ${board})
    _mcu_link(${name} ${board} ${image})
    _mcu_add_verbs(${name} ${board} "${npu}" ${image})
endfunction()

# mcu_add_test(<target> MODEL <name> [VECTORS <count>])
#
# A test image of a model of mcu_add_model, and a test of CTest that runs it in the simulator over the model's own
# vectors, or the first so many, and compares every output with the quantized program's.
function(mcu_add_test name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "MODEL;VECTORS" "")
    set(call "mcu_add_test(${name})")
    _mcu_check_arguments("${call}" "MODEL VECTORS" "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")
    _mcu_check_models("${call}" "${arg_MODEL}" "" board npu)
    get_target_property(file mcu_model_${arg_MODEL} MCU_MODEL_FILE)
    if(NOT file)
        _mcu_fail("${call}" "MODEL: ${arg_MODEL} is GENERATED, which leaves its vectors behind" "Give its file to mcu_add_model.")
    endif()
    mcu_add_firmware(${name} MODELS ${arg_MODEL} TEST)
    _mcu_add_test(${name} ${board} ${arg_MODEL} "${npu}" "${arg_VECTORS}")
endfunction()
