/* Checkpoints from memory: whatever the bytes are, they are refused or every tensor listed can be read. */
#include <stdint.h>
#include <stdlib.h>

#include "worker/checkpoints/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ELEMENTS_MAX = 1 << 16 }; /* views may repeat elements; reading more of them finds nothing new */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Err err = {0};
    Ckpt *ckpt = ckpt_open_memory(data, size, "fuzz.pt", &err);
    if (!ckpt) {
        if (!err.text[0])
            abort();
        return 0;
    }
    for (int i = 0; i < ckpt_count(ckpt) && i < 100; i++) {
        const CkptTensor *t = ckpt_at(ckpt, i);
        int64_t shape[8], count = 1;
        if (t->why) { /* listed, and refused when it is read */
            if (ckpt_shape(ckpt, t->name, 0, NULL, &err))
                abort();
            continue;
        }
        for (int k = 0; k < t->ndim; k++) {
            shape[k] = -1;
            count = t->shape[k] > ELEMENTS_MAX ? ELEMENTS_MAX + 1 : count * t->shape[k];
            count = count > ELEMENTS_MAX ? ELEMENTS_MAX + 1 : count;
        }
        if (!ckpt_find(ckpt, t->name) || !ckpt_shape(ckpt, t->name, t->ndim, shape, &err))
            abort();
        if (count > ELEMENTS_MAX)
            continue;
        float *f32 = malloc((size_t)count * sizeof *f32);
        double *f64 = malloc((size_t)count * sizeof *f64);
        ckpt_read(ckpt, t->name, t->ndim, shape, f32, &err);
        ckpt_read_f64(ckpt, t->name, t->ndim, shape, f64, &err);
        free(f32);
        free(f64);
    }
    ckpt_shape(ckpt, "no.such.weight", 0, NULL, &err);
    int counts[1] = {0};
    ckpt_all_read(ckpt, &(CkptUnneeded){"*.bias", "some of them"}, 1, counts, &err);
    ckpt_close(ckpt);
    return 0;
}
