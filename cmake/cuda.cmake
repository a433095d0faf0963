# Finds nvcc, or leaves DDQ_NVCC unset: then the CUDA backend is not built; everything else is.
if(DDQ_CUDA STREQUAL "ON" OR (DDQ_CUDA STREQUAL "AUTO" AND NOT DDQ_SANITIZE))
  find_program(DDQ_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
endif()
if(DDQ_NVCC)
  set(CMAKE_CUDA_COMPILER ${DDQ_NVCC} CACHE FILEPATH "nvcc")
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
    set(CMAKE_CUDA_ARCHITECTURES 80-real 89-real 90) # and PTX of 90 for what comes after
  endif()
  enable_language(CUDA)
elseif(DDQ_CUDA STREQUAL "ON")
  message(FATAL_ERROR "DDQ_CUDA=ON: no nvcc in PATH, CUDA_PATH or /usr/local/cuda; set DDQ_NVCC, or DDQ_CUDA=OFF")
endif()
