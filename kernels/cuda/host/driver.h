/* The CUDA backend on the host, for tests: backend_register(&cuda_host_driver), then backend_open("cuda-host", ...). */
#ifndef KERNELS_CUDA_HOST_DRIVER_H
#define KERNELS_CUDA_HOST_DRIVER_H

#include "kernels/backend_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

extern const BackendDriver cuda_host_driver;

/* How tests make this device fail. Errors are named as cudaGetErrorName does. */
void cuda_host_break(const char *error, int64_t works); /* after this many more kernels and copies; NULL: no failure */
void cuda_host_refuse(const char *error);               /* opening it fails; NULL: it opens */
void cuda_host_memory(size_t bytes);                    /* its total memory; 0: 2 GiB */

#ifdef __cplusplus
}
#endif

#endif
