/* How much memory of its device this process could use: free memory and what it holds itself. */
#ifndef WORKER_MEMORY_H
#define WORKER_MEMORY_H

#include <stdint.h>

/* device: "cpu" or a GPU's UUID. MiB; -1 if unknown: a GPU without NVML (libnvidia-ml.so.1, part of the driver). Any
 * thread. Does not call CUDA, so it neither needs nor creates a context. */
int64_t memory_usable_mib(const char *device);

#endif
