/* A block's threads as fibers: what the other host files need of the running thread. */
#ifndef KERNELS_CUDA_HOST_FIBER_H
#define KERNELS_CUDA_HOST_FIBER_H

#include <vector>

#include "kernels/cuda/host/gpu_host.h"

namespace gpu_host
{

int warp_lanes(); /* of the running thread's warp: 32, fewer in a ragged last one */

struct AsyncCopy {
    void *shared;
    const void *global; /* NULL: zeros */
    int group;          /* -1: not committed */
};
std::vector<AsyncCopy> &lane_copies(); /* of the running thread, oldest first */
int &lane_copy_group();                /* groups committed so far */

/* Shared memory (shared.cpp): a launch's dynamic bytes and the static arrays of its blocks. Each block starts from
 * poison; guard bytes follow every array. */
void shared_begin(size_t dynamic_bytes);
void shared_poison();       /* a block begins */
const char *shared_check(); /* a block has ended: NULL, or its error */
void shared_end();
bool in_shared(const void *at, size_t aligned_bytes); /* of this block, and aligned to its size */

/* The first failure of a launch or call since gpu_sync reported one. */
void device_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool device_failed();

} // namespace gpu_host

#endif
