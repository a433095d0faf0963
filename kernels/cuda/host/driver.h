/* The CUDA backend on the host, for tests: backend_register(&cuda_host_driver), then backend_open("cuda-host", ...). */
#ifndef KERNELS_CUDA_HOST_DRIVER_H
#define KERNELS_CUDA_HOST_DRIVER_H

#include "kernels/backend_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const BackendDriver cuda_host_driver;

#ifdef __cplusplus
}
#endif

#endif
