/* What the files of nearest neighbours share: neighbours.c (entry, counts, intervals) and neighbours_search.c (the
 * passes over tiles). No other file includes it. */
#ifndef WORKER_METRICS_NEIGHBOURS_PARTS_H
#define WORKER_METRICS_NEIGHBOURS_PARTS_H

#include "worker/metrics/near.h"
#include "worker/metrics/neighbours.h"
#include "worker/metrics/pairs.h"

enum { BLOCKS = INTERVAL_BLOCKS, SPARE = 8 /* neighbours beyond the k-th, for radii without a block */ };

/* Bits of a reference row: one for each block left out, and two for all rows, by <= and by <. */
#define BIT_BLOCKS ((1u << BLOCKS) - 1)
#define BIT_WITHIN (1u << BLOCKS)
#define BIT_INSIDE (1u << (BLOCKS + 1))

typedef struct Fake {       /* what is counted of a generated row */
    int32_t within, inside; /* balls of reference rows around it, by <= and < */
    double nearest2;
} Fake;

typedef struct Search {
    Pairs *pairs;
    Points fake, real;
    int k, blocks;
    uint8_t *block;           /* [fakes] */
    double *fake_radius2;     /* [fakes] */
    double *without;          /* [fakes,BLOCKS] the same without a block */
    double *farthest;         /* [fakes] the largest of all those */
    double *real_radius2;     /* [reals] */
    float *offset, *ball;     /* [reals] of the columns: for a distance, and for being in the ball */
    uint32_t all;             /* the bits that count */
    uint32_t *recall, *cover; /* [reals] */
    Fake *fakes;
    Neighbours *ret;
} Search;

/* Fills the radii, fakes, recall, cover and nearest_real of the result. */
bool neighbours_search(Search *s, TileProgress *progress, Err *err);

#endif
