/* What the driver's management library reports about a GPU without CUDA: free memory, the driver's version, whether it
 * is lost. libnvidia-ml.so.1 comes with the driver and is loaded at the first call; without it nothing is known. */
#ifndef KERNELS_CUDA_DEVICE_NVML_H
#define KERNELS_CUDA_DEVICE_NVML_H

#include <stddef.h>
#include <stdint.h>

namespace gpu_device
{

/* uuid: "GPU-..." or "MIG-...". False if unknown; then nothing is written. */
bool nvml_memory(const char *uuid, int64_t *ret_free_mib);
bool nvml_driver(char *ret_version, size_t size); /* "580.65.06" */
bool nvml_lost(const char *uuid);                 /* true only when the driver reports that this GPU is lost */

} // namespace gpu_device

#endif
