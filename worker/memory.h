/* How much memory of its device this process could use: what is free, and what it holds itself. */
#ifndef WORKER_MEMORY_H
#define WORKER_MEMORY_H

#include <stdint.h>

/* device: "cpu" or a GPU's UUID. MiB; -1 if unknown: a GPU without NVML (libnvidia-ml.so.1, part of the driver).
 * Any thread; asks no CUDA, so it neither needs a context nor makes one. */
int64_t memory_usable_mib(const char *device);

#endif
