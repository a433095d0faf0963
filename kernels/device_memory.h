/* How much device memory this process holds: be_alloc adds to it, be_free subtracts. The worker reports it to the
 * daemon, so that the queue can estimate the memory of similar jobs. All functions may be called by any thread. */
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
