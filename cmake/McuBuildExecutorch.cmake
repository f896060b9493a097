# Models that run under ExecuTorch's own runtime: its package, our operators for it, and what joins the two. Names that
# begin with _mcu_ may change in any version.

# The runtime's target, whatever its package calls it: executorch::runtime in the wheel for this computer,
# executorch_core in what a build of ExecuTorch installs for a core. MCU_EXECUTORCH_PREFIX is looked in first, then what
# the model was generated with.
function(_mcu_find_executorch call out)
    if(NOT TARGET executorch::runtime AND NOT TARGET executorch_core)
        # Under a toolchain for a core, packages are looked for beside its own libraries only.
        set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)
        list(PREPEND CMAKE_PREFIX_PATH ${MCU_EXECUTORCH_PREFIX} ${MCU_MODEL_EXECUTORCH})
        set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
        find_package(executorch CONFIG QUIET GLOBAL)
    endif()
    if(TARGET executorch_core)
        # GNU ld looks libraries through in order: the core's own come after it.
        set_property(TARGET executorch_core APPEND PROPERTY INTERFACE_LINK_LIBRARIES ${MCU_LIBRARIES})
        set(${out} executorch_core PARENT_SCOPE)
    elseif(NOT TARGET executorch::runtime)
        string(REPLACE ";" ", " looked "${MCU_EXECUTORCH_PREFIX};${CMAKE_PREFIX_PATH}")
        _mcu_fail("${call}" "RUNTIME: there is no ExecuTorch 1.5 with a C++ runtime; looked in: ${looked}"
                  "-DMCU_EXECUTORCH_PREFIX=<folder> names an install of it for this core.")
    elseif(CMAKE_CROSSCOMPILING)
        _mcu_fail("${call}" "RUNTIME: the ExecuTorch that was found (${executorch_DIR}) is for this computer"
                  "-DMCU_EXECUTORCH_PREFIX=<folder> names an install of ExecuTorch 1.5 for the core.")
    else()
        set(${out} executorch::runtime PARENT_SCOPE)
    endif()
endfunction()

# A library of firmware/executorch: made once for each board.
function(_mcu_executorch_library call stem sources out)
    set(library mcu_executorch_${MCU_BOARD}_${stem})
    set(${out} ${library} PARENT_SCOPE)
    if(TARGET ${library})
        return()
    endif()
    _mcu_find_executorch("${call}" runtime)
    get_property(root GLOBAL PROPERTY MCU_ROOT)
    list(TRANSFORM sources PREPEND ${root}/firmware/executorch/)
    add_library(${library} STATIC ${sources})
    _mcu_own_library(${library} executorch_${stem})
    target_link_libraries(${library} PUBLIC ${runtime})
    # Nobody defines it but a build of PyTorch: the headers then bring their own.
    target_compile_definitions(${library} PUBLIC C10_USING_CUSTOM_GENERATED_MACROS)
endfunction()

# ExecuTorch's own kernels for Cortex-M: the archives alone, without what their targets register at start-up.
function(_mcu_link_upstream call model)
    if(NOT TARGET cortex_m_kernels OR NOT TARGET cmsis-nn)
        _mcu_fail("${call}" "KERNELS: the ExecuTorch that was found (${executorch_DIR}) has no cortex_m_kernels and cmsis-nn"
                  "Build it with its kernels for Cortex-M, or leave out --kernels upstream.")
    endif()
    foreach(archive cortex_m_kernels kernels_util_all_deps cmsis-nn)
        if(TARGET ${archive})
            target_link_libraries(${model} PRIVATE $<TARGET_FILE:${archive}>)
        endif()
    endforeach()
endfunction()

# Link a model with ExecuTorch's runtime and with the operators MCU_MODEL_ADAPTERS.
function(_mcu_link_executorch call model)
    _mcu_executorch_library("${call}" model "model.cpp;pal.cpp;slot_loader.cpp;weights.cpp" base)
    if(CMAKE_CROSSCOMPILING)
        target_compile_definitions(${base} PRIVATE MCU_NO_HEAP)
    else()
        # What an application without our platform has not; images of ours have the same as an object.
        _mcu_executorch_library("${call}" platform ../platform/host/host.cpp platform)
        target_link_libraries(${base} PUBLIC ${platform})
    endif()
    _mcu_executorch_library("${call}" arguments arguments.cpp arguments)
    foreach(stem copy permute)
        _mcu_add_kernel("${call}" ${stem} kernel)
        target_link_libraries(${arguments} PRIVATE ${kernel})
    endforeach()
    foreach(stem IN LISTS MCU_MODEL_ADAPTERS)
        _mcu_executorch_library("${call}" ${stem} operators/${stem}.cpp adapters)
        target_link_libraries(${adapters} PRIVATE ${arguments})
        foreach(used IN LISTS MCU_MODEL_${stem}_KERNELS)
            _mcu_add_kernel("${call}" ${used} kernel)
            target_link_libraries(${adapters} PRIVATE ${kernel})
        endforeach()
        target_link_libraries(${model} PRIVATE ${adapters})
    endforeach()
    foreach(stem IN LISTS MCU_MODEL_BACKENDS)
        set(backend_ethos_u backends/ethos_u.cpp backends/vela.cpp)
        set(backend_mcu backends/mcu.cpp)
        _mcu_executorch_library("${call}" backend_${stem} "${backend_${stem}}" backend)
        target_link_libraries(${backend} PRIVATE ${base})
        if(stem STREQUAL "ethos_u")
            # Our driver of the device is in the archive of its kernel.
            _mcu_add_kernel("${call}" ethos_u kernel)
            target_link_libraries(${backend} PRIVATE ${kernel})
        endif()
        target_link_libraries(${model} PRIVATE ${backend})
    endforeach()
    if(MCU_MODEL_UPSTREAM)
        _mcu_link_upstream("${call}" ${model})
    endif()
    # Adapters of custom operators are in the model itself.
    target_link_libraries(${model} PRIVATE ${base} ${arguments})
    # Adapters share sources: what no table names is left out.
    target_link_options(${model} INTERFACE -Wl,--gc-sections)
endfunction()
