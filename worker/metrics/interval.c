/* Blocks are dealt in runs of INTERVAL_BLOCKS rows, each run a permutation of the blocks drawn from the run's number.
 */
#include "worker/metrics/interval.h"

#include <math.h>

#include "core/philox.h"

/* Student's t, 97.5%, INTERVAL_BLOCKS - 1 degrees of freedom. */
#define T_QUANTILE 2.0930240544083

_Static_assert(INTERVAL_BLOCKS == 20, "T_QUANTILE is for 20 blocks, and `deal` draws four words at a time");

int interval_blocks(int64_t rows)
{
    return rows >= INTERVAL_MIN_ROWS ? INTERVAL_BLOCKS : 0;
}

/* A permutation of the blocks for one run, by Fisher and Yates. */
static void deal(int64_t run, uint8_t ret_block[INTERVAL_BLOCKS])
{
    static const uint32_t key[2] = {0x4a41434b, 0x4b4e4946};
    for (int i = 0; i < INTERVAL_BLOCKS; i++)
        ret_block[i] = (uint8_t)i;
    uint32_t words[4] = {0};
    for (int i = INTERVAL_BLOCKS - 1; i > 0; i--) {
        const uint32_t counter[4] = {(uint32_t)run, (uint32_t)(run >> 32), (uint32_t)i / 4, 0};
        if (i % 4 == 3)
            philox4x32(counter, key, words);
        int other = (int)((uint64_t)words[i % 4] * (uint64_t)(i + 1) >> 32);
        uint8_t block = ret_block[i];
        ret_block[i] = ret_block[other];
        ret_block[other] = block;
    }
}

int interval_block(int64_t row)
{
    uint8_t block[INTERVAL_BLOCKS];
    deal(row / INTERVAL_BLOCKS, block);
    return block[row % INTERVAL_BLOCKS];
}

int64_t interval_block_rows(int64_t rows, int block)
{
    int64_t count = rows / INTERVAL_BLOCKS;
    for (int64_t row = count * INTERVAL_BLOCKS; row < rows; row++)
        count += interval_block(row) == block;
    return count;
}

Interval interval_of(double value, const double *without, int blocks, double least, double most)
{
    if (blocks == 0)
        return (Interval){value, NAN, NAN};
    double mean = 0, squares = 0;
    for (int b = 0; b < blocks; b++)
        mean += without[b] / blocks;
    for (int b = 0; b < blocks; b++)
        squares += (without[b] - mean) * (without[b] - mean);
    double half = T_QUANTILE * sqrt(squares * (blocks - 1) / blocks);
    if (isnan(half))
        return (Interval){value, NAN, NAN};
    return (Interval){value, fmax(value - half, least), fmin(value + half, most)};
}
