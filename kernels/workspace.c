#include "kernels/workspace.h"

#include <assert.h>

/* Every tensor starts on its own cache line, so that vector loads are aligned and neighbours never share one. */
enum { SLAB_ALIGN = 64 };

static void *take_bytes(Workspace *workspace, size_t bytes)
{
    size_t at = workspace->used;
    workspace->used = (at + bytes + SLAB_ALIGN - 1) / SLAB_ALIGN * SLAB_ALIGN;
    if (!workspace->base) { /* measuring: size is the high-water mark, so that rewinds share memory */
        if (workspace->used > workspace->size)
            workspace->size = workspace->used;
        return NULL;
    }
    assert(workspace->used <= workspace->size && "the placing list takes more than the measuring list did");
    return workspace->base + at;
}

Tensor workspace_take(Workspace *workspace, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d)
{
    Tensor t = {.dtype = dtype, .ndim = ndim, .shape = {a, b, c, d}};
    t.data = take_bytes(workspace, tensor_bytes(&t));
    return t;
}

FeatureMap workspace_take_map(Workspace *workspace, Backend *be, int b, int h, int w, int c)
{
    return (FeatureMap){.data = take_bytes(workspace, be_map_bytes(be, b, h, w, c)), .b = b, .h = h, .w = w, .c = c};
}

bool workspace_open(Workspace *workspace, Backend *be, Err *err)
{
    assert(!workspace->base);
    size_t size = workspace->size;
    void *base = be_alloc(be, size ? size : SLAB_ALIGN, err);
    *workspace = (Workspace){.be = base ? be : NULL, .base = base, .size = base ? size : 0};
    return base != NULL;
}

void workspace_rewind(Workspace *workspace, size_t mark)
{
    assert(mark <= workspace->used && mark % SLAB_ALIGN == 0);
    workspace->used = mark;
}

void workspace_close(Workspace *workspace)
{
    if (workspace->base)
        be_free(workspace->be, workspace->base);
    *workspace = (Workspace){0};
}
