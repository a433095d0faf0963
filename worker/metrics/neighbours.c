/* What the search found, counted: for all rows, and without each jackknife block. */
#include "worker/metrics/neighbours_parts.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

/* --- counts and intervals ------------------------------------------------------------------------ */

/* All, and what belongs to each block. */
typedef struct Count {
    int64_t all, block[BLOCKS];
} Count;

static Interval share_of_fakes(const Search *s, const Count *count, double each, double most)
{
    double without[BLOCKS], n = (double)s->fake.set->count;
    for (int b = 0; b < s->blocks; b++)
        without[b] =
            (double)(count->all - count->block[b]) / (each * (n - (double)interval_block_rows(s->fake.set->count, b)));
    return interval_of((double)count->all / (each * n), without, s->blocks, 0, most);
}

/* block[b]: without that block. */
static Interval share_of_reals(const Search *s, const Count *count)
{
    double without[BLOCKS], m = (double)s->real.set->count;
    for (int b = 0; b < s->blocks; b++)
        without[b] = (double)count->block[b] / m;
    return interval_of((double)count->all / m, without, s->blocks, 0, 1);
}

static void count_fakes(Search *s)
{
    Neighbours *ret = s->ret;
    Count precision = {0}, density = {0};
    for (int64_t i = 0; i < ret->fakes; i++) {
        const Fake *fake = &s->fakes[i];
        int b = s->blocks ? s->block[i] : 0;
        ret->nearest[i] = sqrt(fake->nearest2);
        ret->fake_radius[i] = sqrt(s->fake_radius2[i]);
        ret->in_manifold[i] = fake->within > 0;
        ret->balls[i] = fake->inside;
        precision.block[b] += fake->within > 0;
        density.block[b] += fake->inside;
        ret->within.precision += fake->within > 0;
        ret->within.density += fake->within;
        ret->inside.precision += fake->inside > 0;
        ret->inside.density += fake->inside;
    }
    precision.all = ret->within.precision;
    density.all = ret->inside.density;
    ret->precision = share_of_fakes(s, &precision, 1, 1);
    ret->density = share_of_fakes(s, &density, s->k, INFINITY);
}

static void count_reals(Search *s)
{
    Neighbours *ret = s->ret;
    Count recall = {0}, coverage = {0};
    for (int64_t j = 0; j < ret->reals; j++) {
        ret->real_radius[j] = sqrt(s->real_radius2[j]);
        ret->recalled[j] = s->recall[j] & BIT_WITHIN;
        ret->covered[j] = s->cover[j] & BIT_INSIDE;
        ret->within.recall += ret->recalled[j];
        ret->within.coverage += (s->cover[j] & BIT_WITHIN) != 0;
        ret->inside.recall += (s->recall[j] & BIT_INSIDE) != 0;
        ret->inside.coverage += ret->covered[j];
        for (int b = 0; b < s->blocks; b++) {
            recall.block[b] += s->recall[j] >> b & 1;
            coverage.block[b] += s->cover[j] >> b & 1;
        }
    }
    recall.all = ret->within.recall;
    coverage.all = ret->inside.coverage;
    ret->recall = share_of_reals(s, &recall);
    ret->coverage = share_of_reals(s, &coverage);
}

/* --- entry points -------------------------------------------------------------------------------- */

static bool check(const Features *fake, const Features *real, int k, Err *err)
{
    if (k < 1 || k > NEIGHBOURS_MAX)
        return err_set(err, ERR_USAGE, "nearest neighbours: k is %d; wanted 1 to %d", k, NEIGHBOURS_MAX);
    if (fake->count <= k || real->count <= k)
        return err_set(err, ERR_USAGE,
                       "nearest neighbours: %lld generated and %lld reference images have no %d others each; wanted at "
                       "least %d of both, or a smaller k",
                       (long long)fake->count, (long long)real->count, k, k + 1);
    return features_check_pair(fake, real, err);
}

static void search_open(Search *s, const Features *fake, const Features *real, int k, Neighbours *ret)
{
    size_t fakes = (size_t)fake->count, reals = (size_t)real->count;
    *s = (Search){.k = k, .blocks = interval_blocks(fake->count), .ret = ret};
    s->fake.set = fake;
    s->real.set = real;
    s->all = (s->blocks ? BIT_BLOCKS : 0) | BIT_WITHIN | BIT_INSIDE;
    s->block = xmalloc(fakes);
    s->fake_radius2 = xmalloc(fakes * sizeof(double));
    s->farthest = xmalloc(fakes * sizeof(double));
    s->without = xcalloc(fakes * BLOCKS, sizeof(double));
    s->real_radius2 = xmalloc(reals * sizeof(double));
    s->offset = xmalloc(reals * sizeof(float));
    s->ball = xmalloc(reals * sizeof(float));
    s->recall = xcalloc(reals, sizeof(uint32_t));
    s->cover = xcalloc(reals, sizeof(uint32_t));
    s->fakes = xcalloc(fakes, sizeof(Fake));
    for (size_t i = 0; i < fakes; i++) {
        s->fakes[i].nearest2 = INFINITY;
        s->block[i] = (uint8_t)interval_block((int64_t)i);
    }
    *ret = (Neighbours){.k = k, .fakes = fake->count, .reals = real->count};
    ret->nearest = xmalloc(fakes * sizeof(double));
    ret->nearest_real = xcalloc(fakes, sizeof(int64_t));
    ret->fake_radius = xmalloc(fakes * sizeof(double));
    ret->in_manifold = xcalloc(fakes, sizeof(bool));
    ret->balls = xcalloc(fakes, sizeof(int32_t));
    ret->real_radius = xmalloc(reals * sizeof(double));
    ret->covered = xcalloc(reals, sizeof(bool));
    ret->recalled = xcalloc(reals, sizeof(bool));
}

static void search_close(Search *s)
{
    void *const memory[] = {s->block,  s->fake_radius2, s->farthest, s->without, s->real_radius2,
                            s->offset, s->ball,         s->recall,   s->cover,   s->fakes};
    for (size_t i = 0; i < countof(memory); i++)
        free(memory[i]);
    points_done(&s->fake);
    points_done(&s->real);
    pairs_close(s->pairs);
}

static int64_t tiles_in_all(const Features *fake, const Features *real)
{
    int64_t rows = (fake->count + PAIRS_TILE - 1) / PAIRS_TILE, columns = (real->count + PAIRS_TILE - 1) / PAIRS_TILE;
    return near_tiles(fake->count) + near_tiles(real->count) + rows * columns;
}

bool neighbours_measure(Backend *be, const Features *fake, const Features *real, int k, const MetricHooks *hooks,
                        Neighbours *ret_neighbours, Err *err)
{
    if (!check(fake, real, k, err))
        return false;
    Search s;
    Neighbours ret;
    TileProgress progress = {hooks, "nearest neighbours", 0, tiles_in_all(fake, real)};
    search_open(&s, fake, real, k, &ret);
    s.pairs = pairs_open(be, fake->dim, err);
    bool ok = s.pairs && neighbours_search(&s, &progress, err);
    if (ok) {
        count_fakes(&s);
        count_reals(&s);
        *ret_neighbours = ret;
    } else {
        neighbours_free(&ret);
    }
    search_close(&s);
    return ok;
}

void neighbours_free(Neighbours *neighbours)
{
    void *const memory[] = {neighbours->nearest,     neighbours->nearest_real, neighbours->fake_radius,
                            neighbours->in_manifold, neighbours->balls,        neighbours->real_radius,
                            neighbours->covered,     neighbours->recalled};
    for (size_t i = 0; i < countof(memory); i++)
        free(memory[i]);
    *neighbours = (Neighbours){0};
}
