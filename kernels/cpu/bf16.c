#include "kernels/cpu/bf16.h"

#include <string.h>

enum { CHUNK = 1 << 14 };

CPU_CLONES static void convert(const float *restrict x, uint16_t *restrict y, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof(bits));
        uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
        uint32_t quiet = bits >> 16 | 0x40; /* rounding could carry a NaN into infinity */
        y[i] = (uint16_t)((bits & 0x7fffffff) > 0x7f800000 ? quiet : rounded);
    }
}

void *bf16_from_f32(Cpu *cpu, const float *x, int64_t count)
{
    uint16_t *y = cpu_scratch(cpu, SCRATCH_INPUT, (size_t)count * sizeof(*y));
    if (!y)
        return NULL;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int64_t i = 0; i < count; i += CHUNK)
        convert(x + i, y + i, count - i < CHUNK ? count - i : CHUNK);
    return y;
}
