# Two functions build everything: one for the folders of harness/, one for their tests.

# Flags of our own code. -ffp-contract=off: an FMA happens only where the source says fmaf.
add_library(samebits_flags INTERFACE)
target_compile_features(samebits_flags INTERFACE cxx_std_20)
# What is meant for the host's compiler; nvcc gets its own, for the same reasons.
function(samebits_cxx_options target)
  target_compile_options(${target} INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:${ARGN}>")
endfunction()
samebits_cxx_options(samebits_flags -Wall -Wextra -ffp-contract=off -fno-math-errno
                     -fno-trapping-math)
# Paths in messages are those of the repository, so that two checkouts give the same program, and a
# compiler cache serves both.
samebits_cxx_options(samebits_flags -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
if(SAMEBITS_CUDA)
  # CMake 3.25 does not know that nvcc has C++20, so the flag is ours.
  set(cuda_options -std=c++20 -fmad=false --expt-relaxed-constexpr -Xcompiler=-ffp-contract=off)
  target_compile_options(samebits_flags INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:${cuda_options}>")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlapping copies in std::string's operator+ (GCC bug 105651).
  samebits_cxx_options(samebits_flags -Wno-restrict)
endif()
if(SAMEBITS_WERROR)
  samebits_cxx_options(samebits_flags -Werror)
endif()
target_include_directories(samebits_flags INTERFACE ${PROJECT_SOURCE_DIR})
if(SAMEBITS_SANITIZE)
  # vptr needs libtorch itself to be built with UBSan.
  samebits_cxx_options(samebits_flags -fsanitize=${SAMEBITS_SANITIZE} -fno-sanitize=vptr
                       -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(samebits_flags INTERFACE -fsanitize=${SAMEBITS_SANITIZE})
endif()

# Headers made at build time: harness/base/build_info.h.
set(SAMEBITS_GENERATED ${PROJECT_BINARY_DIR}/generated)
add_custom_target(
  samebits_generated
  COMMAND
    ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR}
    -DOUTPUT=${SAMEBITS_GENERATED}/harness/base/build_info.h -DVERSION=${PROJECT_VERSION}
    "-DCOMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
    "-DBUILD=${CMAKE_BUILD_TYPE}, sanitizers ${SAMEBITS_SANITIZE}, CUDA ${SAMEBITS_CUDA}"
    -DLIBTORCH=${LibTorch_VERSION} -P ${PROJECT_SOURCE_DIR}/cmake/BuildInfo.cmake
  BYPRODUCTS ${SAMEBITS_GENERATED}/harness/base/build_info.h
  VERBATIM)

# LibTorch for our code: its headers as system headers, precompiled once.
add_library(samebits_torch INTERFACE)
target_link_libraries(samebits_torch INTERFACE samebits_flags LibTorch::cpu)
# at::parallel_for is a header that runs one thread without OpenMP; torch ships the same libgomp.
samebits_cxx_options(samebits_torch -fopenmp)
target_link_options(samebits_torch INTERFACE -fopenmp)
add_library(samebits_torch_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp)
target_link_libraries(samebits_torch_pch PUBLIC samebits_torch)
set(samebits_torch_headers <ATen/ATen.h> <torch/csrc/autograd/custom_function.h>
    <torch/custom_class.h> <torch/library.h> <functional> <map> <string> <vector>)
target_precompile_headers(samebits_torch_pch PRIVATE ${samebits_torch_headers})

# Tests are compiled with -O1, in three quarters of the time, and have a precompiled header of their
# own, since one of another optimisation is of no use.
add_library(samebits_test_flags INTERFACE)
target_link_libraries(samebits_test_flags INTERFACE GTest::gmock)
samebits_cxx_options(samebits_test_flags $<$<CONFIG:Release>:-O1>)
add_library(samebits_test_pch OBJECT ${PROJECT_SOURCE_DIR}/cmake/torch_pch.cpp)
target_link_libraries(samebits_test_pch PUBLIC samebits_torch samebits_test_flags)
target_precompile_headers(samebits_test_pch PRIVATE ${samebits_torch_headers} <gmock/gmock.h>
                          <nlohmann/json.hpp>)

# Alone knows where the checkout is, so that other objects are the same in each.
add_library(samebits_source_path OBJECT ${PROJECT_SOURCE_DIR}/tests/support/source_path.cpp)
target_compile_definitions(samebits_source_path
                           PRIVATE SAMEBITS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_link_libraries(samebits_source_path PRIVATE samebits_flags)

# Files of a folder are compiled in batches, in a third of the time: most of it goes into headers.
# What changes often is compiled sooner with -DSAMEBITS_UNITY=OFF; so is CUDA by its preset, as
# tools/cuda-compile asks for files by name.
option(SAMEBITS_UNITY "Compile files in batches" ON)
set(CMAKE_UNITY_BUILD ${SAMEBITS_UNITY})
set(CMAKE_UNITY_BUILD_BATCH_SIZE 5)
if(SAMEBITS_UNITY AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # A file in a batch is included, so GCC takes it for a header whose local types others see.
  samebits_cxx_options(samebits_flags -Wno-subobject-linkage)
endif()
# For files that use a name of their own for what a neighbour calls the same.
function(samebits_compile_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# samebits_library(NAME [TORCH] SOURCES ... [DEPENDS ...])
# An object library, so that the static registrations of operators are never dropped by the linker.
function(samebits_library name)
  cmake_parse_arguments(arg "TORCH" "" "SOURCES;DEPENDS" ${ARGN})
  if(NOT arg_SOURCES)  # headers only
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE samebits_flags ${arg_DEPENDS})
    return()
  endif()
  add_library(${name} OBJECT ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC samebits_flags ${arg_DEPENDS})
  if(arg_TORCH)
    target_link_libraries(${name} PUBLIC samebits_torch)
    target_precompile_headers(${name} REUSE_FROM samebits_torch_pch)
  endif()
endfunction()

# Object files do not travel through PUBLIC links, so executables take them from this closure.
function(samebits_link_objects target)
  set(queue ${ARGN})
  set(seen)
  while(queue)
    list(POP_FRONT queue library)
    if(library IN_LIST seen OR NOT TARGET ${library})
      continue()
    endif()
    list(APPEND seen ${library})
    get_target_property(type ${library} TYPE)
    get_target_property(imported ${library} IMPORTED)
    if(type STREQUAL OBJECT_LIBRARY AND NOT imported)
      target_sources(${target} PRIVATE $<TARGET_OBJECTS:${library}>)
    endif()
    get_target_property(next ${library} INTERFACE_LINK_LIBRARIES)
    if(next)
      list(APPEND queue ${next})
    endif()
  endwhile()
  target_link_libraries(${target} PRIVATE ${ARGN})
endfunction()

# samebits_executable(NAME [TORCH] SOURCES ... DEPENDS ...)
function(samebits_executable name)
  cmake_parse_arguments(arg "TORCH" "PCH" "SOURCES;DEPENDS" ${ARGN})
  if(NOT arg_PCH)
    set(arg_PCH samebits_torch_pch)
  endif()
  add_executable(${name} ${arg_SOURCES})
  samebits_link_objects(${name} ${arg_DEPENDS})
  target_link_libraries(${name} PRIVATE samebits_flags)
  if(arg_TORCH)
    target_link_libraries(${name} PRIVATE samebits_torch)
    target_precompile_headers(${name} REUSE_FROM ${arg_PCH})
  endif()
endfunction()

# samebits_test(NAME [TORCH] SOURCES ... DEPENDS ... [LABEL name] [FIXTURE name])
function(samebits_test name)
  cmake_parse_arguments(arg "TORCH" "LABEL;FIXTURE" "SOURCES;DEPENDS" ${ARGN})
  if(NOT arg_LABEL)
    set(arg_LABEL cpu)
  endif()
  if(arg_FIXTURE)
    set(arg_FIXTURE FIXTURES_REQUIRED ${arg_FIXTURE})
  endif()
  if(arg_TORCH)
    samebits_executable(${name} TORCH PCH samebits_test_pch SOURCES ${arg_SOURCES}
                        DEPENDS ${arg_DEPENDS})
  else()
    samebits_executable(${name} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS})
  endif()
  target_link_libraries(${name} PRIVATE samebits_test_flags GTest::gtest_main)
  target_sources(${name} PRIVATE $<TARGET_OBJECTS:samebits_source_path>)
  # Two threads each: enough to run in parallel, and ctest -j does not drown a machine of many cores.
  # One value a property: a list would be taken for more properties. Parameters are not printed into
  # names: what has no printer would be there with its bytes and addresses.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 NO_PRETTY_VALUES
                       PROPERTIES LABELS ${arg_LABEL} ENVIRONMENT OMP_NUM_THREADS=2
                                  ${arg_FIXTURE})
endfunction()
