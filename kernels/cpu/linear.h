/* Packed weights of a matrix product from the inside: for ops that use a product's panels one by one. */
#ifndef KERNELS_CPU_LINEAR_H
#define KERNELS_CPU_LINEAR_H

#include "kernels/cpu/cpu.h"

enum { LINEAR_ROWS = 64 /* rows that one task takes at most */ };

/* x as the product wants it. */
typedef struct LinearInput {
    const float *x;
    const uint32_t *pairs; /* rounded to bf16, in SCRATCH_INPUT; NULL in f32 */
} LinearInput;

/* False after backend_fail. */
bool linear_input(Cpu *cpu, const Linear *linear, const float *x, int64_t rows, LinearInput *ret_input);

int64_t linear_panels(const Linear *linear);                 /* panel p holds columns p * PANEL .. */
int linear_panel_width(const Linear *linear, int64_t panel); /* PANEL, or BLOCK for an odd last block */

/* y[i] = row first + i times one panel, plus bias (plus y itself with accumulate). Writes whole blocks: columns beyond
 * N are zeros. */
void linear_panel(const Cpu *cpu, const Linear *linear, const LinearInput *in, int64_t first, int rows, int64_t panel,
                  float *y, size_t y_row, bool accumulate);

#endif
