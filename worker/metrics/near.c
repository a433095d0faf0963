/* Only tiles on and above the diagonal are computed; a tile above it serves its rows, and transposed its columns. Rows
 * of a tile go to threads, and each row meets its tiles in a fixed order, so threads do not show. */
#include "worker/metrics/near.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static int64_t tiles_of(int64_t count)
{
    return (count + PAIRS_TILE - 1) / PAIRS_TILE;
}

int64_t near_tiles(int64_t count)
{
    return tiles_of(count) * (tiles_of(count) + 1) / 2;
}

bool tile_done(TileProgress *progress, Err *err)
{
    return metric_step(progress->hooks, progress->metric, (double)++progress->done / (double)progress->total, err);
}

/* --- one row ------------------------------------------------------------------------------------- */

/* Drops the last entry for a nearer one; equals by index. */
static void insert(double *d2, int64_t *index, int length, double distance, int64_t row)
{
    int at = length - 1;
    for (; at > 0 && (d2[at - 1] > distance || (d2[at - 1] == distance && index[at - 1] > row)); at--) {
        d2[at] = d2[at - 1];
        index[at] = index[at - 1];
    }
    d2[at] = distance;
    index[at] = row;
}

typedef struct Strip { /* columns of a tile */
    const Points *points;
    int64_t first, count;
    SearchColumns search;
} Strip;

static void scan_row(Near *near, int64_t row, const Strip *strip, const float *products)
{
    const Points *points = strip->points;
    int dim = points->set->dim, length = near->length;
    double *d2 = near->d2 + row * length, *worst = &d2[length - 1], norm2 = points->norm2[row];
    int64_t *index = near->index + row * length;
    float limit = search_limit(norm2, *worst), scale = search_scale(dim, (double)points->norm[row]);
    for (int64_t j = 0, end; (j = search_next(products, strip->search, limit, scale, j, strip->count)) < strip->count;
         j = end) {
        end = j + SEARCH_STEP < strip->count ? j + SEARCH_STEP : strip->count;
        for (int64_t c = j; c < end; c++) {
            int64_t other = strip->first + c;
            double about = norm2 + points->norm2[other] - 2 * (double)products[c];
            double least = fmax(about - pairs_margin(dim, (double)points->norm[row], (double)points->norm[other]), 0);
            if (other == row || least >= *worst)
                continue;
            double distance = distance2(points->set->rows + row * dim, points->set->rows + other * dim, dim);
            if (distance < *worst)
                insert(d2, index, length, distance, other);
        }
        limit = search_limit(norm2, *worst);
    }
}

static void scan(Near *near, int64_t first, int64_t rows, const Strip *strip, const float *products)
{
#pragma omp parallel for schedule(dynamic, 16)
    for (int64_t r = 0; r < rows; r++)
        scan_row(near, first + r, strip, products + r * strip->count);
}

/* --- tiles --------------------------------------------------------------------------------------- */

/* to[columns,rows] = from[rows,columns], in squares that fit the first cache. */
static void transpose(const float *from, int64_t rows, int64_t columns, float *to)
{
    enum { SQUARE = 32 };
#pragma omp parallel for schedule(static)
    for (int64_t j = 0; j < columns; j += SQUARE)
        for (int64_t i = 0; i < rows; i += SQUARE)
            for (int64_t c = j; c < j + SQUARE && c < columns; c++)
                for (int64_t r = i; r < i + SQUARE && r < rows; r++)
                    to[c * rows + r] = from[r * columns + c];
}

static bool tile(Pairs *pairs, const Points *points, const float *offset, int64_t i, int64_t j, float *transposed,
                 Near *near, Err *err)
{
    int64_t left = points->set->count - i, right = points->set->count - j;
    Strip rows = {points, i, left < PAIRS_TILE ? left : PAIRS_TILE, {offset + i, points->norm + i}};
    Strip columns = {points, j, right < PAIRS_TILE ? right : PAIRS_TILE, {offset + j, points->norm + j}};
    const float *products = pairs_products(pairs, points, i, rows.count, err);
    if (!products)
        return false;
    scan(near, i, rows.count, &columns, products);
    if (i != j) {
        transpose(products, rows.count, columns.count, transposed);
        scan(near, j, columns.count, &rows, transposed);
    }
    return true;
}

static bool all_tiles(Pairs *pairs, const Points *points, TileProgress *progress, Near *near, Err *err)
{
    int64_t count = points->set->count;
    float *offset = xmalloc(sizeof(float) * (size_t)count);
    float *transposed = xmalloc(sizeof(float) * PAIRS_TILE * PAIRS_TILE);
    for (int64_t r = 0; r < count; r++)
        offset[r] = search_offset(points->norm2[r], 0);
    bool ok = true;
    for (int64_t j = 0; ok && j < count; j += PAIRS_TILE) {
        ok = pairs_pack(pairs, points, j, count - j < PAIRS_TILE ? count - j : PAIRS_TILE, err);
        for (int64_t i = 0; ok && i <= j; i += PAIRS_TILE)
            ok = tile(pairs, points, offset, i, j, transposed, near, err) && tile_done(progress, err);
    }
    free(offset);
    free(transposed);
    return ok;
}

bool near_find(Pairs *pairs, const Features *set, int length, TileProgress *progress, Near *ret_near, Err *err)
{
    size_t entries = (size_t)set->count * (size_t)length;
    Near near = {set->count, length, xmalloc(entries * sizeof(double)), xcalloc(entries, sizeof(int64_t))};
    for (size_t i = 0; i < entries; i++)
        near.d2[i] = INFINITY;
    pairs_centre(pairs, set);
    Points points = {0};
    bool ok = points_init(&points, pairs, set, err) && all_tiles(pairs, &points, progress, &near, err);
    points_done(&points);
    if (ok)
        *ret_near = near;
    else
        near_free(&near);
    return ok;
}

void near_free(Near *near)
{
    free(near->d2);
    free(near->index);
    *near = (Near){0};
}
