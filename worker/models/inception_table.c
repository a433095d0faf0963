/* The layer table (docs/fid.md). Quirks of the 2015 graph that are kept:
 * - branch7x7 goes 1x7 then 7x1, branch7x7dbl starts with 7x1;
 * - Mixed_7b averages in its pool branch, Mixed_7c takes the maximum. */
#include "worker/models/inception_table.h"

const Geometry inception_geometry[KERNELS] = {
    [K1X1] = {1, 1, 1, 0, 0},       [K3X3] = {3, 3, 1, 1, 1}, [K3X3_VALID] = {3, 3, 1, 0, 0},
    [K3X3_HALVE] = {3, 3, 2, 0, 0}, [K5X5] = {5, 5, 1, 2, 2}, [K1X7] = {1, 7, 1, 0, 3},
    [K7X1] = {7, 1, 1, 3, 0},       [K1X3] = {1, 3, 1, 0, 1}, [K3X1] = {3, 1, 1, 1, 0},
};

static const Branch stem_3x3_halve[] = {{ENTRY_PLAIN, {{"", K3X3_HALVE}}, {{0}}}};
static const Branch stem_3x3_valid[] = {{ENTRY_PLAIN, {{"", K3X3_VALID}}, {{0}}}};
static const Branch stem_3x3[] = {{ENTRY_PLAIN, {{"", K3X3}}, {{0}}}};
static const Branch stem_1x1[] = {{ENTRY_PLAIN, {{"", K1X1}}, {{0}}}};
static const Branch stem_pool[] = {{ENTRY_MAX_HALVE, {{0}}, {{0}}}};

static const Branch mixed_5[] = {
    {ENTRY_PLAIN, {{"branch1x1", K1X1}}, {{0}}},
    {ENTRY_PLAIN, {{"branch5x5_1", K1X1}, {"branch5x5_2", K5X5}}, {{0}}},
    {ENTRY_PLAIN, {{"branch3x3dbl_1", K1X1}, {"branch3x3dbl_2", K3X3}, {"branch3x3dbl_3", K3X3}}, {{0}}},
    {ENTRY_AVERAGE, {{"branch_pool", K1X1}}, {{0}}},
};
static const Branch mixed_6a[] = {
    {ENTRY_PLAIN, {{"branch3x3", K3X3_HALVE}}, {{0}}},
    {ENTRY_PLAIN, {{"branch3x3dbl_1", K1X1}, {"branch3x3dbl_2", K3X3}, {"branch3x3dbl_3", K3X3_HALVE}}, {{0}}},
    {ENTRY_MAX_HALVE, {{0}}, {{0}}},
};
static const Branch mixed_6[] = {
    {ENTRY_PLAIN, {{"branch1x1", K1X1}}, {{0}}},
    {ENTRY_PLAIN, {{"branch7x7_1", K1X1}, {"branch7x7_2", K1X7}, {"branch7x7_3", K7X1}}, {{0}}},
    {ENTRY_PLAIN,
     {{"branch7x7dbl_1", K1X1},
      {"branch7x7dbl_2", K7X1},
      {"branch7x7dbl_3", K1X7},
      {"branch7x7dbl_4", K7X1},
      {"branch7x7dbl_5", K1X7}},
     {{0}}},
    {ENTRY_AVERAGE, {{"branch_pool", K1X1}}, {{0}}},
};
static const Branch mixed_7a[] = {
    {ENTRY_PLAIN, {{"branch3x3_1", K1X1}, {"branch3x3_2", K3X3_HALVE}}, {{0}}},
    {ENTRY_PLAIN,
     {{"branch7x7x3_1", K1X1}, {"branch7x7x3_2", K1X7}, {"branch7x7x3_3", K7X1}, {"branch7x7x3_4", K3X3_HALVE}},
     {{0}}},
    {ENTRY_MAX_HALVE, {{0}}, {{0}}},
};

/* Mixed_7b and Mixed_7c differ in the pool alone. */
/* clang-format off: keeps the columns */
#define MIXED_7(pool)                                                                                                  \
    {                                                                                                                  \
        {ENTRY_PLAIN, {{"branch1x1", K1X1}}, {{0}}},                                                                   \
            {ENTRY_PLAIN, {{"branch3x3_1", K1X1}}, {{"branch3x3_2a", K1X3}, {"branch3x3_2b", K3X1}}},                  \
            {ENTRY_PLAIN,                                                                                              \
             {{"branch3x3dbl_1", K1X1}, {"branch3x3dbl_2", K3X3}},                                                     \
             {{"branch3x3dbl_3a", K1X3}, {"branch3x3dbl_3b", K3X1}}},                                                  \
            {pool, {{"branch_pool", K1X1}}, {{0}}},                                                                    \
    }
static const Branch mixed_7b[] = MIXED_7(ENTRY_AVERAGE);
static const Branch mixed_7c[] = MIXED_7(ENTRY_MAX);

#define BLOCK(name, branches)                                                                                          \
    {                                                                                                                  \
        name, branches, (int)(sizeof branches / sizeof branches[0])                                                    \
    }
/* clang-format on */
const Block inception_blocks[INCEPTION_BLOCKS] = {
    BLOCK("Conv2d_1a_3x3", stem_3x3_halve), /* 299 -> 149 */
    BLOCK("Conv2d_2a_3x3", stem_3x3_valid), /* 147 */
    BLOCK("Conv2d_2b_3x3", stem_3x3),
    BLOCK("maxpool1", stem_pool), /* 73 */
    BLOCK("Conv2d_3b_1x1", stem_1x1),
    BLOCK("Conv2d_4a_3x3", stem_3x3_valid), /* 71 */
    BLOCK("maxpool2", stem_pool),           /* 35 */
    BLOCK("Mixed_5b", mixed_5),
    BLOCK("Mixed_5c", mixed_5),
    BLOCK("Mixed_5d", mixed_5),
    BLOCK("Mixed_6a", mixed_6a), /* 17 */
    BLOCK("Mixed_6b", mixed_6),
    BLOCK("Mixed_6c", mixed_6),
    BLOCK("Mixed_6d", mixed_6),
    BLOCK("Mixed_6e", mixed_6),
    BLOCK("Mixed_7a", mixed_7a), /* 8 */
    BLOCK("Mixed_7b", mixed_7b),
    BLOCK("Mixed_7c", mixed_7c),
};
