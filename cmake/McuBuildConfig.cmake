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

# mcu_add_model(<name> MODEL <file> [BOARD <board>] [<OPTION> <value>...]...)
# mcu_add_model(<name> GENERATED <folder>)
#
# A static library `mcu::model::<name>` with the header <name>.h. MODEL is a model.py, .pt2 or .pte; its sources are
# generated while CMake configures, and again when the model or a file that it reads has changed. The options are those of
# `mcu-build generate`, --kernel-sources as KERNEL_SOURCES and so on: McuBuildOptions.cmake lists them, docs/command.md
# describes them. What is left out is that of the variable MCU_<OPTION>, else that of the project file mcu-build.toml.
# OPTIMIZE size, which changes the compiler's options, is for all of a project's models of a board, or for none; and so are
# KERNELS. GENERATED takes a folder that `mcu-build generate` has written, and KERNEL_SOURCES.
function(mcu_add_model name)
    get_property(single GLOBAL PROPERTY MCU_OPTIONS_SINGLE)
    get_property(several GLOBAL PROPERTY MCU_OPTIONS_SEVERAL)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "MODEL;GENERATED;${single}" "${several}")
    set(call "mcu_add_model(${name})")
    string(REPLACE ";" " " known "MODEL;GENERATED;${single};${several}")
    _mcu_check_arguments("${call}" "${known}" "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")
    if(NOT name MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
        _mcu_fail("${call}" "the name becomes a C++ namespace: use letters, digits and underscores")
    endif()
    if(TARGET mcu_model_${name})
        _mcu_fail("${call}" "a model of this name exists already")
    endif()
    if(DEFINED arg_GENERATED AND DEFINED arg_MODEL)
        _mcu_fail("${call}" "MODEL and GENERATED: give one of them")
    endif()

    if(DEFINED arg_GENERATED)
        _mcu_check_generated("${call}" "${arg_GENERATED}" folder)
    else()
        _mcu_find_model("${call}" "${arg_MODEL}" model)
        _mcu_choose_board("${call}" "${arg_BOARD}" ${model} board)
        unset(arg_BOARD)
        _mcu_option_words("${call}" words)
        set(folder ${CMAKE_BINARY_DIR}/mcu/models/${name})
        _mcu_generate("${call}" ${name} ${model} "${board}" ${folder} document ${words})
        string(JSON board GET "${document}" board)
        _mcu_json_list("${document}" arguments options)
        foreach(verb size test profile)
            _mcu_json_list("${document}" "budgets;${verb}" budgets_${verb})
        endforeach()
    endif()
    _mcu_add_model_library("${call}" ${name} ${folder})
    if(arg_KERNEL_SOURCES)
        _mcu_add_user_kernels(${name} "${arg_KERNEL_SOURCES}")
    endif()
    get_target_property(made_for mcu_model_${name} MCU_BOARD)
    if(DEFINED arg_MODEL)
        set_target_properties(mcu_model_${name} PROPERTIES MCU_MODEL_FILE ${model} MCU_OPTIONS "${options}"
                              MCU_BUDGETS_SIZE "${budgets_size}" MCU_BUDGETS_TEST "${budgets_test}"
                              MCU_BUDGETS_PROFILE "${budgets_profile}")
        set_property(TARGET mcu_board_${made_for} PROPERTY MCU_BOARD_ARGUMENT ${board})
    elseif(DEFINED arg_BOARD AND NOT arg_BOARD STREQUAL made_for)
        _mcu_fail("${call}" "BOARD: ${arg_BOARD}, but ${folder} was generated for ${made_for}")
    endif()
endfunction()

# mcu_add_firmware(<target> [SOURCES <file>...] MODELS <name>... [BOARD <board>] [SHARE_ARENA] [TEST | DEVICE_TEST]
#                  [MAX_FLASH <size>] [MAX_RAM <size>]
#                  [SIGN <key> [VERSION <version>] [SECURITY_COUNTER <n>] [ENCRYPT <public key>] [PAD] [CONFIRM]])
#
# An image <target>.elf with .map and, except for the host and tests, .hex and .bin, and targets <target>.run, <target>.size and
# <target>.flash.
# A .bin file holds what is loaded into the memory of the vectors; for each other memory there is a
# <target>-<memory>.bin. Without SOURCES, the default application
# runs the one model. With SHARE_ARENA the models use one arena: results of one are lost when the next is given its
# inputs. TEST makes the image that `mcu-build test` runs: harness and semihosting instead of SOURCES and console.
# DEVICE_TEST makes that of `mcu-build test --on-device`: the harness, and files through the debug probe.
# The build fails where the image takes more than MAX_FLASH or MAX_RAM, such as 64K; else than the variables MCU_MAX_FLASH and
# MCU_MAX_RAM, else, with one model, than the project file says. With SIGN it is linked for MCUboot's slot, and there is
# <target>.signed.bin; with PAD, CONFIRM or ENCRYPT <target>.update.bin, too: as `mcu-build build --sign`.
function(mcu_add_firmware name)
    get_property(budgets GLOBAL PROPERTY MCU_BUDGETS_SIZE)
    get_property(signing GLOBAL PROPERTY MCU_SIGNING_VALUES)
    get_property(marks GLOBAL PROPERTY MCU_SIGNING_FLAGS)
    cmake_parse_arguments(PARSE_ARGV 1 arg "SHARE_ARENA;TEST;DEVICE_TEST;${marks}" "BOARD;${budgets};${signing}" "SOURCES;MODELS")
    set(call "mcu_add_firmware(${name})")
    if(TARGET zephyr_interface)
        _mcu_fail("${call}" "Zephyr links the image" "Write target_link_libraries(app PRIVATE mcu::model::<name>).")
    endif()
    list(JOIN budgets " " budgets)
    list(JOIN signing " " signing)
    list(JOIN marks " " marks)
    _mcu_check_arguments("${call}" "SOURCES MODELS BOARD SHARE_ARENA TEST DEVICE_TEST ${budgets} ${signing} ${marks}"
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
    _mcu_signing_words("${call}" ${image} build signing)
    _mcu_link(${name} ${board} ${image} "${signing}")
    set(limits "")
    if(image STREQUAL "PRODUCTION")
        list(LENGTH arg_MODELS count)
        set(only "")
        if(count EQUAL 1)
            set(only ${arg_MODELS})
        endif()
        _mcu_budget_words(size "${only}" limits)
    endif()
    _mcu_signing_words("${call}" ${image} flash flashed)
    _mcu_add_verbs(${name} ${board} "${npu}" ${image} "${limits}" "${flashed}")
    if(signing)
        _mcu_sign(${name} ${board} "${arg_MODELS}" "${signing}")
    endif()
endfunction()

# mcu_add_test(<target> MODEL <name> [VECTORS <count>] [<BUDGET> <value>]...)
#
# A test image of a model of mcu_add_model, and a test of CTest that runs it in the simulator over the model's own
# vectors, or the first so many, and compares every output with the quantized program's. It holds to the budgets
# MIN_ACCURACY, MIN_SQNR and MAX_DROP. With MAX_INSTRUCTIONS or MAX_CYCLES there is a second test, <target>.profile. What is
# left out is that of the variable MCU_<BUDGET>, else that of the project file (docs/command.md lists them).
function(mcu_add_test name)
    get_property(budgets_test GLOBAL PROPERTY MCU_BUDGETS_TEST)
    get_property(budgets_profile GLOBAL PROPERTY MCU_BUDGETS_PROFILE)
    set(budgets ${budgets_test} ${budgets_profile})
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "MODEL;VECTORS;${budgets}" "")
    set(call "mcu_add_test(${name})")
    list(JOIN budgets " " budgets)
    _mcu_check_arguments("${call}" "MODEL VECTORS ${budgets}" "${arg_UNPARSED_ARGUMENTS}" "${arg_KEYWORDS_MISSING_VALUES}")
    _mcu_check_models("${call}" "${arg_MODEL}" "" board npu)
    get_target_property(file mcu_model_${arg_MODEL} MCU_MODEL_FILE)
    if(NOT file)
        _mcu_fail("${call}" "MODEL: ${arg_MODEL} is GENERATED, which leaves its vectors behind" "Give its file to mcu_add_model.")
    endif()
    mcu_add_firmware(${name} MODELS ${arg_MODEL} TEST)
    _mcu_add_test(${name} ${arg_MODEL} "${arg_VECTORS}")
endfunction()
