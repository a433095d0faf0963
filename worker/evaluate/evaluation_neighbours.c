/* The distances of tens of thousands of images, in short: a histogram, and the images at both ends. */
#include <math.h>
#include <stdlib.h>

#include "core/json.h"
#include "core/mem.h"
#include "worker/evaluate/evaluation.h"
#include "worker/evaluate/evaluation_parts.h"

static void add_counts(cJSON *json, const char *name, const NeighbourCounts *counts)
{
    cJSON *object = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(object, "precision", (double)counts->precision);
    cJSON_AddNumberToObject(object, "recall", (double)counts->recall);
    cJSON_AddNumberToObject(object, "density", (double)counts->density);
    cJSON_AddNumberToObject(object, "coverage", (double)counts->coverage);
}

/* --- the spread ------------------------------------------------------------------------------------ */

typedef struct Range {
    double low, high;
} Range;

static Range range_of(Range range, const double *values, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        range.low = fmin(range.low, values[i]);
        range.high = fmax(range.high, values[i]);
    }
    return range;
}

static cJSON *counts_of(Range range, const double *values, int64_t count)
{
    double counts[EVALUATION_BINS] = {0}, width = (range.high - range.low) / EVALUATION_BINS;
    for (int64_t i = 0; i < count; i++) {
        int bin = width > 0 ? (int)((values[i] - range.low) / width) : 0;
        counts[bin < EVALUATION_BINS ? bin : EVALUATION_BINS - 1]++;
    }
    return json_numbers(counts, EVALUATION_BINS);
}

static void add_histogram(cJSON *json, const Neighbours *n)
{
    Range range = {INFINITY, 0};
    range = range_of(range_of(range, n->nearest, n->fakes), n->real_radius, n->reals);
    cJSON *object = cJSON_AddObjectToObject(json, "histogram");
    json_add_number(object, "low", range.low);
    json_add_number(object, "high", range.high);
    cJSON_AddItemToObject(object, "nearest_reference", counts_of(range, n->nearest, n->fakes));
    cJSON_AddItemToObject(object, "reference_radius", counts_of(range, n->real_radius, n->reals));
}

/* --- the ends -------------------------------------------------------------------------------------- */

/* How far outside the reference's ball: below 1 is inside. Where an image is far from all others and its neighbour is
 * too, the reference is sparse there; the image is not at fault. */
static double remoteness(const Neighbours *n, int64_t i)
{
    double radius = n->real_radius[n->nearest_real[i]];
    return radius > 0 ? n->nearest[i] / radius : n->nearest[i] > 0 ? INFINITY : 0;
}

typedef struct Ranked {
    double by;
    int64_t image;
} Ranked;

static int by_remoteness(const void *a, const void *b)
{
    const Ranked *x = a, *y = b;
    return x->by != y->by ? (x->by > y->by) - (x->by < y->by) : (x->image > y->image) - (x->image < y->image);
}

static cJSON *sample_of(const Neighbours *n, int64_t i)
{
    cJSON *sample = cJSON_CreateObject();
    cJSON_AddNumberToObject(sample, "image", (double)i);
    json_add_number(sample, "distance", n->nearest[i]);
    json_add_number(sample, "radius", n->real_radius[n->nearest_real[i]]);
    cJSON_AddNumberToObject(sample, "reference", (double)n->nearest_real[i]);
    cJSON_AddBoolToObject(sample, "in_manifold", n->in_manifold[i]);
    return sample;
}

static void add_samples(cJSON *json, const Neighbours *n)
{
    Ranked *ranked = xmalloc((size_t)n->fakes * sizeof *ranked);
    for (int64_t i = 0; i < n->fakes; i++)
        ranked[i] = (Ranked){remoteness(n, i), i};
    qsort(ranked, (size_t)n->fakes, sizeof *ranked, by_remoteness);
    cJSON *object = cJSON_AddObjectToObject(json, "samples");
    cJSON *nearest = cJSON_AddArrayToObject(object, "nearest"), *farthest = cJSON_AddArrayToObject(object, "farthest");
    for (int64_t i = 0; i < n->fakes && i < EVALUATION_SAMPLES; i++) {
        cJSON_AddItemToArray(nearest, sample_of(n, ranked[i].image));
        cJSON_AddItemToArray(farthest, sample_of(n, ranked[n->fakes - 1 - i].image));
    }
    free(ranked);
}

void evaluation_neighbours(cJSON *json, const Neighbours *n)
{
    cJSON *object = cJSON_AddObjectToObject(json, "neighbours");
    cJSON_AddNumberToObject(object, "k", n->k);
    cJSON_AddNumberToObject(object, "generated", (double)n->fakes);
    cJSON_AddNumberToObject(object, "reference", (double)n->reals);
    add_counts(object, "at_most", &n->within); /* distance <= radius: precision and recall */
    add_counts(object, "below", &n->inside);   /* distance < radius: density and coverage */
    add_histogram(json, n);
    add_samples(json, n);
}
