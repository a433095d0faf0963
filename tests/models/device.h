/* For tests that also run with the CUDA backend on the host: `--device cuda-host --precision fp16`. */
#ifndef TESTS_MODELS_DEVICE_H
#define TESTS_MODELS_DEVICE_H

#include "kernels/cuda/host/driver.h"
#include "tests/models/golden.h"

static inline void golden_options(int argc, char **argv)
{
    static const char *const names[] = {"fp32", "tf32", "fp16", "bf16"};
    backend_register(&cuda_host_driver);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--device"))
            golden_device = argv[i + 1];
        for (int p = 0; p < (int)countof(names) && !strcmp(argv[i], "--precision"); p++)
            if (!strcmp(argv[i + 1], names[p]))
                golden_precision = (Precision)p;
    }
}

#endif
