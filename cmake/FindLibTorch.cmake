# Finds LibTorch in an installed torch wheel.
#
# The wheel's own TorchConfig.cmake insists on a CUDA toolkit, adds -gencode flags for a dozen old
# architectures and links everything. This module needs none of that:
#
#   LibTorch::cpu    libtorch_cpu and libc10; enough for everything that runs without a card
#   LibTorch::cuda   adds libtorch_cuda and libc10_cuda; defined only when LibTorch_WITH_CUDA is set
#
# Input:   LibTorch_ROOT_DIR, the `torch` folder of a wheel (the one that holds include/ and lib/).
# Output:  LibTorch_FOUND, LibTorch_VERSION, the targets above.

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${LibTorch_ROOT_DIR}/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${LibTorch_ROOT_DIR}/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${LibTorch_ROOT_DIR}/lib NO_DEFAULT_PATH)

if(EXISTS ${LibTorch_ROOT_DIR}/version.py)
  file(STRINGS ${LibTorch_ROOT_DIR}/version.py LibTorch_VERSION REGEX "^__version__ = ")
  string(REGEX REPLACE ".*'([0-9.]+).*" "\\1" LibTorch_VERSION "${LibTorch_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LibTorch
  REQUIRED_VARS LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION)

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  # The light install puts CUDA's runtime and CUPTI beside torch, where libtorch_cpu's own RUNPATH
  # looks for them at run time; the linker needs to be told.
  file(GLOB LibTorch_NVIDIA_DIRS ${LibTorch_ROOT_DIR}/../nvidia/*/lib)
  add_library(LibTorch::c10 SHARED IMPORTED)
  set_target_properties(
    LibTorch::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY}
                             INTERFACE_INCLUDE_DIRECTORIES ${LibTorch_INCLUDE_DIR})
  add_library(LibTorch::cpu SHARED IMPORTED)
  set_target_properties(
    LibTorch::cpu
    PROPERTIES IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY}
               INTERFACE_INCLUDE_DIRECTORIES
               "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include"
               INTERFACE_LINK_LIBRARIES LibTorch::c10)
  foreach(dir ${LibTorch_NVIDIA_DIRS})
    target_link_options(LibTorch::cpu INTERFACE LINKER:-rpath-link,${dir})
  endforeach()

  if(LibTorch_WITH_CUDA)
    find_package(CUDAToolkit REQUIRED)
    foreach(name torch_cuda c10_cuda)
      find_library(LibTorch_${name}_LIBRARY ${name} PATHS ${LibTorch_ROOT_DIR}/lib NO_DEFAULT_PATH
                   REQUIRED)
    endforeach()
    add_library(LibTorch::cuda INTERFACE IMPORTED)
    # libtorch_cuda registers its kernels when it is loaded; nothing of ours may name a symbol of it.
    target_link_libraries(
      LibTorch::cuda
      INTERFACE LibTorch::cpu -Wl,--no-as-needed ${LibTorch_torch_cuda_LIBRARY} -Wl,--as-needed
                ${LibTorch_c10_cuda_LIBRARY} CUDA::cudart)
  endif()
endif()
