/* Device errors: one table from the CUDA runtime's errors, by name, to a kind for the policy and to advice for people.
 * Both builds use it; on the host, tests make such errors happen (host/driver.h).
 *
 *   ERR_DEVICE        a kernel faulted, or the driver and the build do not fit: the process cannot continue
 *   ERR_DEVICE_ECC    the hardware failed: memory, a link
 *   ERR_DEVICE_LOST   the device is gone: off the bus, taken away
 *   ERR_REFUSED       another process uses it exclusively
 *   ERR_MEMORY        it is full */
#ifndef KERNELS_CUDA_FAILURE_H
#define KERNELS_CUDA_FAILURE_H

#include "core/err.h"
#include "kernels/cuda/gpu.h"

namespace GPU_SPACE
{

/* Some errors mean that the device is busy while it is opened, and that it is lost later. */
enum GpuMoment { GPU_OPENING, GPU_RUNNING };

/* "device DEVICE: CALL: MESSAGE (NAME); what to do". words may be NULL. Returns false. */
bool gpu_failure(Err *err, GpuMoment moment, const char *device, const char *call, const char *name, const char *words);

} // namespace GPU_SPACE

#endif
