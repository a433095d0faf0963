/* What the driver's management library knows of a GPU without CUDA: how much memory is free, which driver it is,
 * whether it is still there. libnvidia-ml.so.1 comes with the driver and is loaded when first asked; without it nobody
 * says. */
#ifndef KERNELS_CUDA_DEVICE_NVML_H
#define KERNELS_CUDA_DEVICE_NVML_H

#include <stddef.h>
#include <stdint.h>

namespace gpu_device
{

/* uuid: "GPU-..." or "MIG-...". False when nobody says; then nothing is written. */
bool nvml_memory(const char *uuid, int64_t *ret_free_mib);
bool nvml_driver(char *ret_version, size_t size); /* "580.65.06" */
bool nvml_lost(const char *uuid);                 /* true only when the driver says that this GPU is lost */

} // namespace gpu_device

#endif
