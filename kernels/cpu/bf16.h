/* bf16: rounding inputs of products to bfloat16, nearest even. */
#ifndef KERNELS_CPU_BF16_H
#define KERNELS_CPU_BF16_H

#include "kernels/cpu/cpu.h"

/* count values in SCRATCH_INPUT, valid until the next op; NULL after backend_fail. */
void *bf16_from_f32(Cpu *cpu, const float *x, int64_t count);

#endif
