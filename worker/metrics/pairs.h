/* Distances between the rows of two sets, tile by tile: float32 products on a backend, their error bound, and the
 * distance in float64 for what they cannot decide.
 *
 *     Pairs *pairs = pairs_open(be, dim, err);
 *     pairs_centre(pairs, set);                             products are of rows less this mean
 *     points_init(&a, pairs, set_a, err), points_init(&b, pairs, set_b, err);
 *     pairs_pack(pairs, &b, first_b, columns, err);
 *     pairs_products(pairs, &a, first_a, rows, err);        [rows,columns]
 *
 * With p a product and |a|, |b| the norms,  |a|^2 + |b|^2 - 2p  is within pairs_margin of the true squared distance.
 * Centring makes norms, and with them margins, small where a set is far from 0. */
#ifndef WORKER_METRICS_PAIRS_H
#define WORKER_METRICS_PAIRS_H

#include "kernels/backend.h"
#include "worker/metrics/features.h"

#define PAIRS_TILE 2048 /* most rows, and most columns, of a tile */

typedef struct Pairs Pairs;
Pairs *pairs_open(Backend *be, int dim, Err *err); /* be NULL: a CPU backend of its own */
void pairs_close(Pairs *pairs);                    /* NULL is fine */
void pairs_centre(Pairs *pairs, const Features *set);

/* A set as products see it, for the centre of the moment. */
typedef struct Points {
    const Features *set;
    double *norm2; /* [count] of the centred rows */
    float *norm;   /* [count] */
} Points;
/* A row too long for float32 products is an error. */
bool points_init(Points *points, const Pairs *pairs, const Features *set, Err *err);
void points_done(Points *points); /* a zeroed one is fine */

/* At most PAIRS_TILE rows each. The products are valid until the next call. NULL on failure. */
bool pairs_pack(Pairs *pairs, const Points *columns, int64_t first, int64_t count, Err *err);
const float *pairs_products(Pairs *pairs, const Points *rows, int64_t first, int64_t count, Err *err);

/* How far norm2 + norm2 - 2 product can be from the squared distance. */
double pairs_margin(int dim, double norm_a, double norm_b);

/* sum of (a_i - b_i)^2 in float64, in an order of its own: the same bits everywhere. */
double distance2(const float *a, const float *b, int dim);

/* --- searching a row of products ----------------------------------------------------------------- */

#define SEARCH_STEP 64

/* What a column, or a row, adds to the test "is the squared distance at most reach_a + reach_b". One of the reaches is
 * usually 0. INFINITY finds all. */
typedef struct SearchColumns {
    const float *offset, *slope;
} SearchColumns;
float search_offset(double norm2, double reach); /* of a column */
float search_limit(double norm2, double reach);  /* of a row */
float search_scale(int dim, double norm);        /* of a row; a column's slope is its norm */

/* The first j in from, from + SEARCH_STEP, ... < count for which one of products[j .. j+SEARCH_STEP-1] passes the test,
 * or count. Never misses a pair that is within reach; finds some that are not. */
int64_t search_next(const float *products, SearchColumns columns, float limit, float scale, int64_t from,
                    int64_t count);

#endif
