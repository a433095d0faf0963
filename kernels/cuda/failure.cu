/* The table. To add an error: a row; one without a row is ERR_DEVICE with the driver's message alone. */
#include "kernels/cuda/failure.h"

#include <string.h>

namespace GPU_SPACE
{

#define FAULTED                                                                                                        \
    "a kernel faulted and the worker ends; if a fresh one fails at the same images it is a fault of ddq, "             \
    "else of the device: dmesg | grep Xid says more"
#define BROKEN "reset it (nvidia-smi --gpu-reset) or restart the machine, and have it replaced if this comes again"
#define GONE   "it fell off the bus or was taken away: dmesg | grep Xid says why; restart the machine to get it back"
#define BUSY                                                                                                           \
    "another process uses it exclusively, or its compute mode forbids it: nvidia-smi shows both; end that process, "  \
    "or allow several with nvidia-smi -c 0"
#define FULL     "nvidia-smi lists who is on it; end others, or take a smaller batch"
#define NO_CODE  "this build has code for compute capability 8.0, 8.9 and 9.0, and newer ones need a newer driver"
#define MISMATCH "the driver's parts are of different versions: restart the machine after an update of the driver"
#define ASK      "nvidia-smi and dmesg | grep NVRM say more"

static const struct {
    const char *name; /* cudaGetErrorName */
    ErrKind opening, running;
    const char *advice;
} rows[] = {
    {"cudaErrorECCUncorrectable", ERR_DEVICE_ECC, ERR_DEVICE_ECC, "its memory failed: " BROKEN},
    {"cudaErrorNvlinkUncorrectable", ERR_DEVICE_ECC, ERR_DEVICE_ECC, "its NVLink failed: " BROKEN},
    {"cudaErrorNoDevice", ERR_NOT_FOUND, ERR_DEVICE_LOST, GONE},
    {"cudaErrorInvalidDevice", ERR_NOT_FOUND, ERR_DEVICE_LOST, GONE},
    {"cudaErrorDevicesUnavailable", ERR_REFUSED, ERR_DEVICE_LOST, NULL},
    {"cudaErrorMemoryAllocation", ERR_MEMORY, ERR_MEMORY, FULL},
    {"cudaErrorIllegalAddress", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorMisalignedAddress", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorInvalidAddressSpace", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorInvalidPc", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorIllegalInstruction", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorHardwareStackError", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorLaunchFailure", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorAssert", ERR_DEVICE, ERR_DEVICE, FAULTED},
    {"cudaErrorContained", ERR_DEVICE, ERR_DEVICE,
     "the device had an error and contained it, the process is lost: a fresh worker goes on"},
    {"cudaErrorLaunchTimeout", ERR_DEVICE, ERR_DEVICE,
     "the driver stops long kernels on a GPU with a display: take another one, or the display off it"},
    {"cudaErrorInsufficientDriver", ERR_DEVICE, ERR_DEVICE, "the driver is older than this build: install a newer one"},
    {"cudaErrorNoKernelImageForDevice", ERR_DEVICE, ERR_DEVICE, NO_CODE},
    {"cudaErrorUnsupportedPtxVersion", ERR_DEVICE, ERR_DEVICE, NO_CODE},
    {"cudaErrorInvalidPtx", ERR_DEVICE, ERR_DEVICE, NO_CODE},
    {"cudaErrorSystemDriverMismatch", ERR_DEVICE, ERR_DEVICE, MISMATCH},
    {"cudaErrorCompatNotSupportedOnDevice", ERR_DEVICE, ERR_DEVICE, MISMATCH},
    {"cudaErrorSystemNotReady", ERR_DEVICE, ERR_DEVICE,
     "on machines with NVSwitch the fabric manager must run: systemctl start nvidia-fabricmanager"},
    {"cudaErrorInitializationError", ERR_DEVICE, ERR_DEVICE, ASK},
    {"cudaErrorOperatingSystem", ERR_DEVICE, ERR_DEVICE, ASK},
    {"cudaErrorUnknown", ERR_DEVICE, ERR_DEVICE, ASK},
};

bool gpu_failure(Err *err, GpuMoment moment, const char *device, const char *call, const char *name, const char *words)
{
    ErrKind kind = ERR_DEVICE;
    const char *advice = NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (!strcmp(rows[i].name, name)) {
            kind = moment == GPU_OPENING ? rows[i].opening : rows[i].running;
            advice = rows[i].advice ? rows[i].advice : moment == GPU_OPENING ? BUSY : GONE;
        }
    return err_set(err, kind, "device %s: %s: %s%s%s%s%s%s", device, call, words ? words : name, words ? " (" : "",
                   words ? name : "", words ? ")" : "", advice ? "; " : "", advice ? advice : "");
}

} // namespace GPU_SPACE
