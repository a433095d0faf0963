#include "kernels/slab.h"

#include <assert.h>

/* Every tensor starts on its own cache line, so that vector loads are aligned and neighbours never share one. */
enum { SLAB_ALIGN = 64 };

static void *take_bytes(Slab *slab, size_t bytes)
{
    size_t at = slab->used;
    slab->used = (at + bytes + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
    if (!slab->base) { /* measuring: size is the high-water mark, so that rewinds share memory */
        if (slab->used > slab->size)
            slab->size = slab->used;
        return NULL;
    }
    assert(slab->used <= slab->size && "the placing list takes more than the measuring list did");
    return slab->base + at;
}

Tensor slab_take(Slab *slab, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Tensor t = {.dtype = dtype, .ndim = ndim, .shape = {a, b, c, d}};
    t.data = take_bytes(slab, tensor_bytes(&t));
    return t;
}

Map slab_take_map(Slab *slab, Backend *be, int b, int h, int w, int c)
{
    return (Map){.data = take_bytes(slab, be_map_bytes(be, b, h, w, c)), .b = b, .h = h, .w = w, .c = c};
}

bool slab_open(Slab *slab, Backend *be, Err *err)
{
    assert(!slab->base);
    size_t size = slab->size;
    void *base = be_alloc(be, size ? size : SLAB_ALIGN, err);
    *slab = (Slab){.be = base ? be : NULL, .base = base, .size = base ? size : 0};
    return base != NULL;
}

void slab_rewind(Slab *slab, size_t mark)
{
    assert(mark <= slab->used && mark % SLAB_ALIGN == 0);
    slab->used = mark;
}

void slab_close(Slab *slab)
{
    if (slab->base)
        be_free(slab->be, slab->base);
    *slab = (Slab){0};
}
