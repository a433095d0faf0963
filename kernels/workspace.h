/* Workspace: one block of backend memory, allocated from in order. Measure, then place: the same list of workspace_take
 * calls runs once on a Workspace without memory, to add up sizes, and once on a real one, so size and layout cannot
 * disagree.
 *
 *     Workspace workspace = {0};            layout(&workspace, &work);        // measures; every pointer is NULL
 *     workspace_open(&workspace, be, err);  layout(&workspace, &work);        // places
 */
#ifndef KERNELS_WORKSPACE_H
#define KERNELS_WORKSPACE_H

#include "kernels/backend.h"

typedef struct Workspace {
    Backend *be;
    char *base;
    size_t used, size;
} Workspace;

Tensor workspace_take(Workspace *workspace, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c,
                      int64_t d); /* unused axes: 0 */
FeatureMap workspace_take_map(Workspace *workspace, Backend *be, int b, int h, int w, int c);

/* Allocates what was measured and rewinds. On failure the workspace stays empty. */
bool workspace_open(Workspace *workspace, Backend *be, Err *err);
void workspace_rewind(Workspace *workspace, size_t mark); /* continues from a mark (workspace->used taken earlier) */
void workspace_close(Workspace *workspace);               /* an empty workspace is fine */

#endif
