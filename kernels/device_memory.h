/* What this process holds of its devices' memory: be_alloc enters it here, be_free takes it out. The worker tells the
 * daemon, so that the queue knows what jobs of a kind take. All functions may be called by any thread. */
#ifndef KERNELS_DEVICE_MEMORY_H
#define KERNELS_DEVICE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

void device_memory_add(const void *memory, size_t bytes);
void device_memory_remove(const void *memory);

int64_t device_memory_held(void); /* bytes now */
int64_t device_memory_peak(void); /* the most bytes at once since the start, or since device_memory_restart */
void device_memory_restart(void);

#endif
