/* Three passes over tiles: neighbours within the reference, within the generated set, and every generated row against
 * every reference row. The last computes three things of a pair: whether this is the nearest reference row so far,
 * whether the generated row is in the reference row's ball, and the reverse. A search over the tile's floats finds the
 * few candidates; most of those are decided by the margin of the product, the rest by distance2.
 *
 * For the intervals each reference row keeps a bit a jackknife block: would it still be recalled (covered) without that
 * block's generated rows? Leaving a block out also widens balls whose neighbours were in it, so a generated row has a
 * radius for each block left out, from a few more neighbours than k. */
#include "worker/metrics/neighbours_parts.h"

#include <math.h>

#include "core/mem.h"

/* --- radii --------------------------------------------------------------------------------------- */

/* The k-th neighbour outside a block. Where the list does not reach (more than SPARE of the nearest in one block, one
 * row in millions) its last entry is used instead. */
static double radius_without(const Search *s, const Near *near, int64_t row, int block)
{
    const double *d2 = near->d2 + row * near->length;
    const int64_t *index = near->index + row * near->length;
    int found = 0;
    for (int i = 0; i < near->length; i++) {
        found += s->block[index[i]] != block;
        if (found == s->k)
            return d2[i];
    }
    return d2[near->length - 1];
}

static bool fake_radii(Search *s, TileProgress *progress, Err *err)
{
    const Features *set = s->fake.set;
    int64_t most = set->count - 1;
    int length = s->blocks && s->k + SPARE < most ? s->k + SPARE : s->k;
    Near near = {0};
    if (!near_find(s->pairs, set, length, progress, &near, err))
        return false;
    for (int64_t i = 0; i < set->count; i++) {
        s->fake_radius2[i] = s->farthest[i] = near.d2[i * length + s->k - 1];
        for (int b = 0; b < s->blocks; b++) {
            if (b == s->block[i]) /* left out itself */
                continue;
            double radius2 = s->without[i * BLOCKS + b] = radius_without(s, &near, i, b);
            s->farthest[i] = fmax(s->farthest[i], radius2);
        }
    }
    near_free(&near);
    return true;
}

static bool real_radii(Search *s, TileProgress *progress, Err *err)
{
    Near near = {0};
    if (!near_find(s->pairs, s->real.set, s->k, progress, &near, err))
        return false;
    for (int64_t i = 0; i < near.count; i++)
        s->real_radius2[i] = near.d2[i * s->k + s->k - 1];
    near_free(&near);
    return true;
}

/* --- a pair -------------------------------------------------------------------------------------- */

typedef struct Pair { /* generated row i, reference row j, what is known of their squared distance */
    const Search *s;
    int64_t i, j;
    double least, most;
} Pair;

static Pair pair_of(const Search *s, int64_t i, int64_t j, float product)
{
    double about = s->fake.norm2[i] + s->real.norm2[j] - 2 * (double)product;
    double margin = pairs_margin(s->fake.set->dim, (double)s->fake.norm[i], (double)s->real.norm[j]);
    return (Pair){s, i, j, fmax(about - margin, 0), about + margin};
}

static void make_exact(Pair *pair)
{
    const Features *fake = pair->s->fake.set, *real = pair->s->real.set;
    pair->least = pair->most = distance2(fake->rows + pair->i * fake->dim, real->rows + pair->j * fake->dim, fake->dim);
}

/* Makes the distance exact unless it is clearly below or above the threshold. */
static void settle_against(Pair *pair, double threshold)
{
    if (pair->least <= threshold && pair->most >= threshold && pair->least != pair->most)
        make_exact(pair);
}

/* Rows of a tile are worked on side by side, and columns are shared; the order in which bits come does not matter. */
static void set_bits(uint32_t *bits, uint32_t more)
{
    if (more & ~__atomic_load_n(bits, __ATOMIC_RELAXED))
        __atomic_fetch_or(bits, more, __ATOMIC_RELAXED);
}

static uint32_t own_bit(const Search *s, int64_t i)
{
    return s->blocks ? 1u << s->block[i] : 0;
}

static void try_nearest(Search *s, Pair pair)
{
    Fake *fake = &s->fakes[pair.i];
    if (pair.least >= fake->nearest2)
        return;
    make_exact(&pair);
    if (pair.least < fake->nearest2) {
        fake->nearest2 = pair.least;
        s->ret->nearest_real[pair.i] = pair.j;
    }
}

static void try_real_ball(Search *s, Pair pair)
{
    double radius2 = s->real_radius2[pair.j];
    settle_against(&pair, radius2);
    bool within = pair.most <= radius2, inside = pair.most < radius2;
    s->fakes[pair.i].within += within;
    s->fakes[pair.i].inside += inside;
    if (inside)
        set_bits(&s->cover[pair.j], s->all & ~own_bit(s, pair.i));
    else if (within)
        set_bits(&s->cover[pair.j], BIT_WITHIN);
}

static void try_fake_ball(Search *s, Pair pair)
{
    if ((__atomic_load_n(&s->recall[pair.j], __ATOMIC_RELAXED) & s->all) == s->all || pair.least > s->farthest[pair.i])
        return;
    double radius2 = s->fake_radius2[pair.i];
    uint32_t bits = 0;
    if (pair.most < radius2) { /* and below every radius without a block */
        bits = s->all;
    } else {
        make_exact(&pair);
        bits |= pair.most <= radius2 ? BIT_WITHIN : 0;
        bits |= pair.most < radius2 ? BIT_INSIDE : 0;
        for (int b = 0; b < s->blocks; b++) /* meaningless for its own block: that bit is cleared below */
            bits |= pair.most <= s->without[pair.i * BLOCKS + b] ? 1u << b : 0;
    }
    set_bits(&s->recall[pair.j], bits & ~own_bit(s, pair.i));
}

/* --- a row of a tile ----------------------------------------------------------------------------- */

typedef struct Question {
    const float *offset;                         /* [reals] */
    double (*reach)(const Search *s, int64_t i); /* of the row, as it is now */
    void (*try)(Search *s, Pair pair);
} Question;

static double reach_nearest(const Search *s, int64_t i)
{
    return s->fakes[i].nearest2;
}

static double reach_nothing(const Search *s, int64_t i)
{
    (void)s, (void)i;
    return 0;
}

static double reach_farthest(const Search *s, int64_t i)
{
    return s->farthest[i];
}

static void ask(Search *s, const Question *question, int64_t i, int64_t first, int64_t count, const float *products)
{
    SearchColumns columns = {question->offset + first, s->real.norm + first};
    float scale = search_scale(s->fake.set->dim, (double)s->fake.norm[i]);
    for (int64_t j = 0, end;; j = end) {
        float limit = search_limit(s->fake.norm2[i], question->reach(s, i));
        j = search_next(products, columns, limit, scale, j, count);
        if (j >= count)
            return;
        end = j + SEARCH_STEP < count ? j + SEARCH_STEP : count;
        for (int64_t c = j; c < end; c++)
            if (products[c] + scale * columns.slope[c] >= columns.offset[c] + limit)
                question->try(s, pair_of(s, i, first + c, products[c]));
    }
}

static bool cross_tile(Search *s, int64_t i, int64_t j, int64_t columns, Err *err)
{
    const Question questions[] = {
        {s->offset, reach_nearest, try_nearest},
        {s->ball, reach_nothing, try_real_ball},
        {s->offset, reach_farthest, try_fake_ball},
    };
    int64_t left = s->fake.set->count - i, rows = left < PAIRS_TILE ? left : PAIRS_TILE;
    const float *products = pairs_products(s->pairs, &s->fake, i, rows, err);
    if (!products)
        return false;
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t r = 0; r < rows; r++)
        for (size_t q = 0; q < countof(questions); q++)
            ask(s, &questions[q], i + r, j, columns, products + r * columns);
    return true;
}

static bool cross(Search *s, TileProgress *progress, Err *err)
{
    pairs_centre(s->pairs, s->real.set);
    if (!points_init(&s->fake, s->pairs, s->fake.set, err) || !points_init(&s->real, s->pairs, s->real.set, err))
        return false;
    int64_t reals = s->real.set->count, fakes = s->fake.set->count;
    for (int64_t j = 0; j < reals; j++) {
        s->offset[j] = search_offset(s->real.norm2[j], 0);
        s->ball[j] = search_offset(s->real.norm2[j], s->real_radius2[j]);
    }
    for (int64_t j = 0; j < reals; j += PAIRS_TILE) {
        int64_t columns = reals - j < PAIRS_TILE ? reals - j : PAIRS_TILE;
        if (!pairs_pack(s->pairs, &s->real, j, columns, err))
            return false;
        for (int64_t i = 0; i < fakes; i += PAIRS_TILE)
            if (!cross_tile(s, i, j, columns, err) || !tile_done(progress, err))
                return false;
    }
    return true;
}

bool neighbours_search(Search *s, TileProgress *progress, Err *err)
{
    return real_radii(s, progress, err) && fake_radii(s, progress, err) && cross(s, progress, err);
}
