/* KID from sums over tiles.
 *
 * A pair of lists of rows (a subset of each set, or all of both) is cut into tiles. A tile's products come from BLAS,
 * on one thread, and its kernel values are added up by the jackknife blocks of their rows: S[b][c] of generated rows
 * with each other, S[b] of generated with reference rows. From those follow the value and the value without each block.
 * Tiles are computed side by side and added in order, so threads change nothing.
 *
 * Why float64 products: a KID of 1e-3 is the difference of means near 3. */
#include "worker/metrics/kid.h"

#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/philox.h"

enum { TILE = 1024, BLOCKS = INTERVAL_BLOCKS, MAX_THREADS = 16 /* of 42 MiB each at 2048 features */ };

typedef enum Which { FAKE_FAKE, REAL_REAL, FAKE_REAL } Which;

/* A list of rows of one set, block by block, so that a block's columns of a tile lie side by side. */
typedef struct List {
    const Features *set;
    int64_t *rows;
    uint8_t *block;
    int64_t count;
} List;

typedef struct Tile {
    const List *left, *right;
    Which which;
    int64_t i, j; /* first entries of the lists */
    double sums[BLOCKS][BLOCKS];
} Tile;

/* Of one pair of lists. */
typedef struct Sums {
    double fake[BLOCKS][BLOCKS], real, cross[BLOCKS];
} Sums;

typedef struct Space {    /* of one thread */
    double *left, *right; /* [TILE,dim] */
    double *product;      /* [TILE,TILE] */
} Space;

/* --- lists --------------------------------------------------------------------------------------- */

/* `index` NULL: all rows of the set. `blocks` 0: all in block 0. */
static List list_new(const Features *set, const int64_t *index, int64_t count, int blocks)
{
    List list = {set, xmalloc(sizeof(int64_t) * (size_t)count), xcalloc((size_t)count, 1), count};
    int64_t first[BLOCKS + 1] = {0};
    uint8_t *block = xcalloc((size_t)count, 1);
    for (int64_t i = 0; i < count; i++) {
        block[i] = blocks ? (uint8_t)interval_block(index ? index[i] : i) : 0;
        first[block[i] + 1]++;
    }
    for (int b = 0; b < BLOCKS; b++)
        first[b + 1] += first[b];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = first[block[i]]++;
        list.rows[at] = index ? index[i] : i;
        list.block[at] = block[i];
    }
    free(block);
    return list;
}

static void list_free(List *list)
{
    free(list->rows);
    free(list->block);
}

/* --- a tile -------------------------------------------------------------------------------------- */

static int64_t tile_rows(const List *list, int64_t first)
{
    return list->count - first < TILE ? list->count - first : TILE;
}

static void gather(const List *list, int64_t first, int64_t count, double *restrict out)
{
    int dim = list->set->dim;
    for (int64_t i = 0; i < count; i++) {
        const float *row = list->set->rows + list->rows[first + i] * dim;
        for (int j = 0; j < dim; j++)
            out[i * dim + j] = (double)row[j];
    }
}

static double kernel_sum(const double *products, int64_t count, double scale)
{
    double sums[4] = {0}; /* four chains of additions: one would wait for itself */
    int64_t i = 0;
    for (; i + 4 <= count; i += 4)
        for (int c = 0; c < 4; c++) {
            double k = products[i + c] * scale + 1;
            sums[c] += k * k * k;
        }
    for (; i < count; i++) {
        double k = products[i] * scale + 1;
        sums[0] += k * k * k;
    }
    return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/* Adds row `i` of the tile from column `from` on, block by block of its columns. */
static void add_row(Tile *tile, const double *products, int64_t i, int64_t from, int64_t columns)
{
    int own = tile->left->block[tile->i + i];
    const uint8_t *block = tile->right->block + tile->j;
    double scale = 1.0 / tile->left->set->dim;
    for (int64_t j = from, end; j < columns; j = end) {
        for (end = j + 1; end < columns && block[end] == block[j];)
            end++;
        double sum = kernel_sum(products + i * TILE + j, end - j, scale);
        tile->sums[own][block[j]] += sum;
        if (tile->which != FAKE_REAL) /* the mirrored pairs, which no tile computes */
            tile->sums[block[j]][own] += sum;
    }
}

/* Rows here are columns to BLAS. */
static void run_tile(Tile *tile, Space *space)
{
    int dim = tile->left->set->dim;
    int64_t rows = tile_rows(tile->left, tile->i), columns = tile_rows(tile->right, tile->j);
    bool diagonal = tile->which != FAKE_REAL && tile->i == tile->j;
    gather(tile->left, tile->i, rows, space->left);
    if (diagonal) {
        cblas_dsyrk(CblasColMajor, CblasLower, CblasTrans, (int)rows, dim, 1, space->left, dim, 0, space->product,
                    TILE);
    } else {
        gather(tile->right, tile->j, columns, space->right);
        cblas_dgemm(CblasColMajor, CblasTrans, CblasNoTrans, (int)columns, (int)rows, dim, 1, space->right, dim,
                    space->left, dim, 0, space->product, TILE);
    }
    for (int64_t i = 0; i < rows; i++)
        add_row(tile, space->product, i, diagonal ? i + 1 : 0, columns);
}

/* --- many tiles ---------------------------------------------------------------------------------- */

/* The tiles of a pair of lists, behind each other; NULL `ret_tiles` only counts. */
static int64_t cut(const List *fake, const List *real, Tile *ret_tiles)
{
    const List *sides[3][2] = {{fake, fake}, {real, real}, {fake, real}};
    int64_t count = 0;
    for (Which which = FAKE_FAKE; which <= FAKE_REAL; which++) {
        const List *left = sides[which][0], *right = sides[which][1];
        for (int64_t i = 0; i < left->count; i += TILE)
            for (int64_t j = which == FAKE_REAL ? 0 : i; j < right->count; j += TILE, count++)
                if (ret_tiles)
                    ret_tiles[count] = (Tile){.left = left, .right = right, .which = which, .i = i, .j = j};
    }
    return count;
}

static void add_tile(Sums *sums, const Tile *tile)
{
    for (int b = 0; b < BLOCKS; b++)
        for (int c = 0; c < BLOCKS; c++) {
            if (tile->which == FAKE_FAKE)
                sums->fake[b][c] += tile->sums[b][c];
            else if (tile->which == REAL_REAL)
                sums->real += tile->sums[b][c];
            else
                sums->cross[b] += tile->sums[b][c];
        }
}

static bool space_open(Space *spaces, int threads, int dim, Err *err)
{
    size_t panel = (size_t)TILE * (size_t)dim, one = 2 * panel + (size_t)TILE * TILE;
    double *memory = malloc((size_t)threads * one * sizeof *memory);
    if (!memory)
        return err_set(err, ERR_MEMORY, "KID: no %zu MiB for tiles of %d threads",
                       (size_t)threads * one * sizeof *memory >> 20, threads);
    for (int t = 0; t < threads; t++) {
        double *own = memory + (size_t)t * one;
        spaces[t] = (Space){own, own + panel, own + 2 * panel};
    }
    return true;
}

/* Runs all tiles; `done` and `share` place them in the progress of the whole. */
static bool run_tiles(Tile *tiles, int64_t count, const MetricHooks *hooks, double done, double share, Err *err)
{
    int threads = omp_get_max_threads() < MAX_THREADS ? omp_get_max_threads() : MAX_THREADS;
    Space spaces[MAX_THREADS];
    if (!space_open(spaces, threads, tiles[0].left->set->dim, err))
        return false;
    openblas_set_num_threads(1); /* more would change the order of additions */
    int64_t step = threads * 4;
    bool ok = true;
    for (int64_t first = 0; ok && first < count; first += step) {
        int64_t end = first + step < count ? first + step : count;
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (int64_t t = first; t < end; t++)
            run_tile(&tiles[t], &spaces[omp_get_thread_num()]);
        ok = metric_step(hooks, "KID", done + share * (double)end / (double)count, err);
    }
    free(spaces[0].left);
    return ok;
}

/* --- values -------------------------------------------------------------------------------------- */

/* MMD^2 without the generated rows of one block (-1: of all). */
static double mmd(const Sums *sums, const List *fake, const List *real, int without)
{
    double n = 0, m = (double)real->count, same = 0, cross = 0;
    for (int64_t i = 0; i < fake->count; i++)
        n += fake->block[i] != without;
    for (int b = 0; b < BLOCKS; b++) {
        if (b == without)
            continue;
        cross += sums->cross[b];
        for (int c = 0; c < BLOCKS; c++)
            if (c != without)
                same += sums->fake[b][c];
    }
    return same / (n * (n - 1)) + sums->real / (m * (m - 1)) - 2 * cross / (n * m);
}

/* Pairs of lists, all measured: ret_values [pairs], and the mean without each block where blocks > 0. */
static bool measure(const List *fake, const List *real, int pairs, int blocks, const MetricHooks *hooks, double done,
                    double share, double *ret_values, double ret_without[BLOCKS], Err *err)
{
    int64_t count = 0;
    for (int p = 0; p < pairs; p++)
        count += cut(&fake[p], &real[p], NULL);
    Tile *tiles = xcalloc((size_t)count, sizeof *tiles), *end = tiles;
    for (int p = 0; p < pairs; p++)
        end += cut(&fake[p], &real[p], end);
    bool ok = run_tiles(tiles, count, hooks, done, share, err);
    memset(ret_without, 0, sizeof(double) * BLOCKS);
    const Tile *tile = tiles;
    for (int p = 0; ok && p < pairs; p++) {
        Sums sums = {0};
        for (const Tile *next = tile + cut(&fake[p], &real[p], NULL); tile < next; tile++)
            add_tile(&sums, tile);
        ret_values[p] = mmd(&sums, &fake[p], &real[p], -1);
        for (int b = 0; b < blocks; b++)
            ret_without[b] += mmd(&sums, &fake[p], &real[p], b) / pairs;
    }
    free(tiles);
    return ok;
}

/* --- the draw ------------------------------------------------------------------------------------ */

void kid_draw(uint64_t seed, int subset, int set, int64_t rows, int64_t size, int64_t *ret_index)
{
    int64_t *order = xmalloc(sizeof(int64_t) * (size_t)rows);
    for (int64_t i = 0; i < rows; i++)
        order[i] = i;
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int64_t i = 0; i < size; i++) {
        const uint32_t counter[4] = {(uint32_t)i, (uint32_t)subset, (uint32_t)set, 0x4b4944 /* KID */};
        uint32_t words[4];
        philox4x32(counter, key, words);
        uint64_t draw = (uint64_t)words[0] << 32 | words[1];
        int64_t other = i + (int64_t)((unsigned __int128)draw * (uint64_t)(rows - i) >> 64);
        ret_index[i] = order[other];
        order[other] = order[i];
    }
    free(order);
}

/* --- entry points -------------------------------------------------------------------------------- */

static bool check(const Features *fake, const Features *real, Err *err)
{
    if (fake->count < 2 || real->count < 2)
        return err_set(err, ERR_USAGE, "KID: %lld generated and %lld reference images; wanted at least 2 of each",
                       (long long)fake->count, (long long)real->count);
    return features_check_pair(fake, real, err);
}

/* The mean over subsets, each a pair of lists. */
static bool over_subsets(const Features *fake, const Features *real, const KidPlan *plan, int blocks, double share,
                         double *ret_values, double ret_without[BLOCKS], Err *err)
{
    int subsets = plan->subsets;
    int64_t *index = xmalloc(sizeof *index * (size_t)plan->subset_size);
    List *lists = xcalloc((size_t)subsets * 2, sizeof *lists);
    for (int s = 0; s < subsets; s++) {
        kid_draw(plan->seed, s, 0, fake->count, plan->subset_size, index);
        lists[s] = list_new(fake, index, plan->subset_size, blocks);
        kid_draw(plan->seed, s, 1, real->count, plan->subset_size, index);
        lists[subsets + s] = list_new(real, index, plan->subset_size, 0);
    }
    bool ok = measure(lists, lists + subsets, subsets, blocks, plan->hooks, 0, share, ret_values, ret_without, err);
    for (int s = 0; s < 2 * subsets; s++)
        list_free(&lists[s]);
    free(lists);
    free(index);
    return ok;
}

static bool drawn_subsets(const Features *fake, const Features *real, const KidPlan *plan, double share, Kid *kid,
                          Err *err)
{
    int subsets = plan->subsets, blocks = interval_blocks(fake->count);
    double *values = xmalloc(sizeof(double) * (size_t)subsets), without[BLOCKS], mean = 0, squares = 0;
    bool ok = over_subsets(fake, real, plan, blocks, share, values, without, err);
    for (int s = 0; s < subsets; s++)
        mean += values[s] / subsets;
    for (int s = 0; s < subsets; s++)
        squares += (values[s] - mean) * (values[s] - mean);
    kid->kid = interval_of(mean, without, blocks, -INFINITY, INFINITY);
    bool whole = fake->count == plan->subset_size && real->count == plan->subset_size;
    kid->std = whole ? NAN : sqrt(squares / subsets); /* whole: every subset is the set, so they do not vary */
    free(values);
    return ok;
}

static bool all_pairs(const Features *fake, const Features *real, const MetricHooks *hooks, double done, Interval *ret,
                      Err *err)
{
    int blocks = interval_blocks(fake->count);
    List a = list_new(fake, NULL, fake->count, blocks), b = list_new(real, NULL, real->count, 0);
    double value, without[BLOCKS];
    bool ok = measure(&a, &b, 1, blocks, hooks, done, 1 - done, &value, without, err);
    if (ok)
        *ret = interval_of(value, without, blocks, -INFINITY, INFINITY);
    list_free(&a);
    list_free(&b);
    return ok;
}

bool kid_measure(const Features *fake, const Features *real, const KidPlan *plan, Kid *ret_kid, Err *err)
{
    if (plan->subsets < 1 || plan->subset_size < 2)
        return err_set(err, ERR_USAGE, "KID: %d subsets of %lld; wanted at least 1 of 2", plan->subsets,
                       (long long)plan->subset_size);
    if (!check(fake, real, err))
        return false;
    Kid kid = {.std = NAN, .all_pairs = NAN};
    bool subsets = fake->count >= plan->subset_size && real->count >= plan->subset_size;
    double share = plan->all_pairs ? 0.1 : 1; /* of the progress */
    if (subsets && !drawn_subsets(fake, real, plan, share, &kid, err))
        return false;
    kid.subsets = subsets ? plan->subsets : 0;
    if (!subsets || plan->all_pairs) {
        Interval all;
        if (!all_pairs(fake, real, plan->hooks, subsets ? share : 0, &all, err))
            return false;
        kid.all_pairs = all.value;
        if (!subsets)
            kid.kid = all;
    }
    *ret_kid = kid;
    return true;
}
