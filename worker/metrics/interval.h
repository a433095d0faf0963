/* 95% intervals by the jackknife: how much a value would change with other generated images.
 *
 * Rows are dealt to INTERVAL_BLOCKS blocks, the metric is computed again without each block, and
 *     low, high = value -+ t sqrt((B-1)/B sum over blocks of (without[b] - mean)^2),     t = 2.093 for B = 20.
 * The reference is taken as exact. Blocks are dealt at random (the same way everywhere), one row of every
 * INTERVAL_BLOCKS to each block, so neither images sorted by class nor labels that repeat leave out a class. */
#ifndef WORKER_METRICS_INTERVAL_H
#define WORKER_METRICS_INTERVAL_H

#include <stdint.h>

#define INTERVAL_BLOCKS   20
#define INTERVAL_MIN_ROWS 400 /* fewer give no interval */

typedef struct Interval {
    double value, low, high; /* low and high are NaN where there is no interval */
} Interval;

/* INTERVAL_BLOCKS, or 0 when `rows` are too few for an interval. */
int interval_blocks(int64_t rows);
/* The block of a row, 0..INTERVAL_BLOCKS-1, by its index alone. */
int interval_block(int64_t row);
/* How many of the rows 0..rows-1 are in the block. */
int64_t interval_block_rows(int64_t rows, int block);

/* Of `value`, from the value without each block; blocks 0: no interval. Limits are moved into [least, most] (what the
 * metric can be; -INFINITY and INFINITY for no bound). */
Interval interval_of(double value, const double *without, int blocks, double least, double most);

#endif
