/* Rig: one row of the test of ops being run. An op's description (op_rows.c, op_maps.c) says how to fill the rig's
 * slots, how to call the op on images (or rows) from..from+n-1 of them, and what the outputs should hold; the rig does
 * the rest:
 *
 * - every tensor and map lies between guard bytes, outputs start as NaN unless they are also inputs;
 * - the op runs once on everything and is compared with the reference, then again in uneven parts, which must give
 *   the same bytes (batch invariance);
 * - maps that an op wrote go through a 1x1 convolution, whose result is NaN if the backend's padding is not zero.
 *
 * All data goes through be_upload, be_download and the map ops, so a rig does not depend on the backend. */
#ifndef TESTS_OPS_RIG_H
#define TESTS_OPS_RIG_H

#include "kernels/backend.h"

enum { RIG_SLOTS = 8, LARGE = 9, CASE_PARAMS };

typedef struct Case {
    BackendOp op;
    const char *name;
    int p[CASE_PARAMS]; /* meaning: the op's setup function; p[LARGE]: op_cases.c */
} Case;

typedef struct Slot {
    bool is_map, output, shared; /* shared: a partial call gets the whole of it */
    Tensor t;
    FeatureMap m;
    char *block; /* with guards */
    size_t bytes;
    void *host; /* the values: f32 rows for maps */
    size_t host_bytes;
    double *want; /* outputs: the reference's values, or NULL when the op has a judge */
} Slot;

typedef struct Rig {
    Backend *be;
    const Case *row;
    const int *p; /* row->p */
    Slot slots[RIG_SLOTS];
    int nslots;
    int64_t count; /* images or rows along the first axis */
    Linear *linear;
    Conv *conv;
    float *w, *bias; /* host weights of those */
    uint64_t random;
    double nmse, max; /* found so far, as shares of the bounds */
    uint64_t digest;  /* of the outputs' bytes */
    char text[512];   /* why it failed; empty: it did not */
} Rig;

typedef struct OpTest {
    void (*setup)(Rig *rig);
    void (*call)(Rig *rig, int64_t from, int64_t n);
    void (*judge)(Rig *rig); /* NULL: outputs are compared with `want` within the bounds */
    double nmse, max; /* bounds in f32: mean squared error over mean square; largest error over the root of that */
    double nmse_bf16; /* in bf16, 0: precision does not touch this op */
} OpTest;

extern const OpTest *const op_tests[BACKEND_OP_COUNT];
extern const Case op_cases[];
extern const int op_case_count;

/* For setup functions. Slots are numbered in the order of these calls. Values are normal with deviation `scale`. */
float *rig_tensor(Rig *rig, float scale, int ndim, int64_t a, int64_t b, int64_t c, int64_t d);
int32_t *rig_ids(Rig *rig, int64_t n, int32_t below); /* uniform in 0..below-1 */
float *rig_map(Rig *rig, float scale, int b, int h, int w, int c);
/* Rounds a map's values to what the backend's maps hold, so that the reference starts from the same numbers. rig_map
 * has done so; call it after changing them. */
void rig_hold(Rig *rig, int slot);
uint8_t *rig_bytes(Rig *rig, int b, int h, int w, int c);
Slot *rig_output(Rig *rig, Dtype dtype, int ndim, int64_t a, int64_t b, int64_t c, int64_t d);
Slot *rig_output_map(Rig *rig, int b, int h, int w, int c);
/* Makes slot i an input as well: it starts from its host values. */
void rig_inout(Rig *rig, int slot);
void rig_shared(Rig *rig, int slot);
float *rig_values(Rig *rig, float scale, int64_t n); /* host memory that the rig frees as rig->w or rig->bias */
double rig_uniform(Rig *rig);                        /* [0,1) */

/* For call functions: the part from..from+n-1 of a slot's first axis. */
Tensor rig_part(const Rig *rig, int slot, int64_t from, int64_t n);
FeatureMap rig_map_part(const Rig *rig, int slot, int64_t from, int64_t n);

/* For judges. */
void rig_fail(Rig *rig, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Waits for what was queued; a failure becomes the row's. */
void rig_check(Rig *rig);
double rig_nmse(const Rig *rig, const OpTest *test); /* the bound in the backend's precision */
void rig_near(Rig *rig, int slot, const double *want, double nmse, double max);

/* Runs a row. False with rig->text. */
bool rig_run(Rig *rig, Backend *be, const Case *row);

#endif
