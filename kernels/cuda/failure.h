/* What a failing device says, and what that means: one table from the CUDA runtime's errors, by name, to a kind that
 * policy reads and to what a person should do. Both builds use it; on the host, tests make such errors happen
 * (host/driver.h).
 *
 *   ERR_DEVICE        a kernel faulted, or the driver and the build do not fit: the process is of no use any more
 *   ERR_DEVICE_ECC    the hardware failed: memory, a link
 *   ERR_DEVICE_LOST   the device is gone: off the bus, taken away
 *   ERR_REFUSED       somebody else has it for himself
 *   ERR_MEMORY        it is full */
#ifndef KERNELS_CUDA_FAILURE_H
#define KERNELS_CUDA_FAILURE_H

#include "core/err.h"
#include "kernels/cuda/gpu.h"

namespace GPU_SPACE
{

/* The same error means another thing while a device is opened: it is busy then, and gone later. */
enum GpuMoment { GPU_OPENING, GPU_RUNNING };

/* "device DEVICE: CALL: WORDS (NAME); what to do". words may be NULL. Returns false. */
bool gpu_failure(Err *err, GpuMoment moment, const char *device, const char *call, const char *name, const char *words);

} // namespace GPU_SPACE

#endif
