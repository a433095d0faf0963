/* Slab: one block of backend memory handed out in order. Measure, then place: the same list of slab_take calls runs
 * once on a Slab without memory, to add up sizes, and once on a real one, so size and layout cannot disagree.
 *
 *     Slab slab = {0};            layout(&slab, &work);        // measures; every pointer is NULL
 *     slab_open(&slab, be, err);  layout(&slab, &work);        // places
 */
#ifndef KERNELS_SLAB_H
#define KERNELS_SLAB_H

#include "kernels/backend.h"

typedef struct Slab {
    Backend *be;
    char *base;
    size_t used, size;
} Slab;

Tensor slab_take(Slab *slab, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d); /* unused axes: 0 */
Map slab_take_map(Slab *slab, Backend *be, int b, int h, int w, int c);

/* Allocates what was measured and rewinds. On failure the slab stays empty. */
bool slab_open(Slab *slab, Backend *be, Err *err);
void slab_rewind(Slab *slab, size_t mark); /* hands out again from a mark (slab->used taken earlier) */
void slab_close(Slab *slab);               /* an empty slab is fine */

#endif
