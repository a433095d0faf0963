/* One pass over the logits: sums of probabilities and of p log p, kept apart by part and by jackknife block, from which
 * every score follows. Rows of a chunk are turned into probabilities side by side and added in order. */
#include "worker/metrics/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 256 };

/* Sums over the rows that are in one part and one block. */
typedef struct Sums {
    int64_t rows;
    double entropy; /* of p log p */
    double *p;      /* [classes] */
} Sums;

typedef struct Scorer {
    int parts, blocks, classes;
    Sums *sums; /* [parts][blocks], one block where there is no interval */
    double *space;
    float *logits; /* [CHUNK,classes] */
    double *p;     /* [CHUNK,classes] */
    double entropy[CHUNK];
} Scorer;

static bool read_array(void *ctx, int64_t first, int64_t count, float *ret_logits, Err *err)
{
    (void)err;
    const Features *array = ctx;
    memcpy(ret_logits, array->rows + first * array->dim, sizeof(float) * (size_t)(count * array->dim));
    return true;
}

Logits logits_of(const Features *array)
{
    return (Logits){.count = array->count, .classes = array->dim, .read = read_array, .ctx = (void *)array};
}

static bool scorer_open(Scorer *s, Err *err)
{
    size_t cells = (size_t)s->parts * (size_t)s->blocks, classes = (size_t)s->classes;
    s->sums = calloc(cells, sizeof *s->sums);
    s->space = calloc(cells * classes, sizeof *s->space);
    s->logits = malloc(CHUNK * classes * sizeof *s->logits);
    s->p = malloc(CHUNK * classes * sizeof *s->p);
    if (!s->sums || !s->space || !s->logits || !s->p)
        return err_set(err, ERR_MEMORY, "inception score: no %zu MiB for sums over %d parts of %d classes",
                       cells * classes * sizeof *s->space >> 20, s->parts, s->classes);
    for (size_t i = 0; i < cells; i++)
        s->sums[i].p = s->space + i * classes;
    return true;
}

static void scorer_close(Scorer *s)
{
    free(s->sums);
    free(s->space);
    free(s->logits);
    free(s->p);
}

/* Probabilities of a row; returns the sum of p log p. */
static double softmax(const float *logits, int classes, double *restrict p)
{
    double largest = logits[0], sum = 0, entropy = 0;
    for (int c = 1; c < classes; c++)
        largest = fmax(largest, (double)logits[c]);
    for (int c = 0; c < classes; c++)
        sum += p[c] = exp((double)logits[c] - largest);
    double log_sum = log(sum);
    for (int c = 0; c < classes; c++) {
        p[c] /= sum;
        entropy += p[c] * ((double)logits[c] - largest - log_sum);
    }
    return entropy;
}

/* The last part whose first row is not after `row`: parts begin at k rows / parts, rounded down. */
static int part_of(const Scorer *s, int64_t row, int64_t rows)
{
    return (int)(((row + 1) * s->parts - 1) / rows);
}

static bool add_chunk(Scorer *s, const Logits *logits, int64_t first, int64_t count, Err *err)
{
    if (!logits->read(logits->ctx, first, count, s->logits, err))
        return false;
    for (int64_t i = 0; i < count * s->classes; i++)
        if (!isfinite(s->logits[i]))
            return err_set(err, ERR_NUMERIC, "inception score: image %lld has the logit %f at class %lld",
                           (long long)(first + i / s->classes), (double)s->logits[i], (long long)(i % s->classes));
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < count; r++)
        s->entropy[r] = softmax(s->logits + r * s->classes, s->classes, s->p + r * s->classes);
    for (int64_t r = 0; r < count; r++) {
        int block = s->blocks > 1 ? interval_block(first + r) : 0;
        Sums *sums = &s->sums[part_of(s, first + r, logits->count) * s->blocks + block];
        sums->rows++;
        sums->entropy += s->entropy[r];
        for (int c = 0; c < s->classes; c++)
            sums->p[c] += s->p[r * s->classes + c];
    }
    return true;
}

/* The score of a part without one block (-1: of all of it). */
static double part_score(const Scorer *s, int part, int without)
{
    const Sums *sums = &s->sums[part * s->blocks];
    double rows = 0, entropy = 0, marginal = 0;
    for (int b = 0; b < s->blocks; b++)
        if (b != without) {
            rows += (double)sums[b].rows;
            entropy += sums[b].entropy;
        }
    for (int c = 0; c < s->classes; c++) {
        double p = 0;
        for (int b = 0; b < s->blocks; b++)
            if (b != without)
                p += sums[b].p[c] / rows;
        if (p > 0)
            marginal += p * log(p);
    }
    return exp(entropy / rows - marginal);
}

/* An interval takes 400 rows and there are at most 128 parts, so each part has rows outside the block. */
static double mean_score(const Scorer *s, int without)
{
    double sum = 0;
    for (int k = 0; k < s->parts; k++)
        sum += part_score(s, k, without);
    return sum / s->parts;
}

static void finish(const Scorer *s, Score *score)
{
    double mean = 0, squares = 0, without[INTERVAL_BLOCKS];
    score->parts = s->parts;
    for (int k = 0; k < s->parts; k++)
        mean += (score->part[k] = part_score(s, k, -1)) / s->parts;
    for (int k = 0; k < s->parts; k++)
        squares += (score->part[k] - mean) * (score->part[k] - mean);
    int blocks = s->blocks > 1 ? s->blocks : 0;
#pragma omp parallel for
    for (int b = 0; b < blocks; b++)
        without[b] = mean_score(s, b);
    score->score = interval_of(mean, without, blocks, 1, INFINITY);
    score->std = sqrt(squares / s->parts);
}

static bool measure(Scorer *s, const Logits *logits, const MetricHooks *hooks, Score *ret_score, Err *err)
{
    s->classes = logits->classes;
    s->blocks = interval_blocks(logits->count) ? INTERVAL_BLOCKS : 1;
    bool ok = scorer_open(s, err);
    for (int64_t first = 0; ok && first < logits->count; first += CHUNK) {
        int64_t count = logits->count - first < CHUNK ? logits->count - first : CHUNK;
        ok = add_chunk(s, logits, first, count, err) &&
             metric_step(hooks, "inception score", (double)(first + count) / (double)logits->count, err);
    }
    if (ok)
        finish(s, ret_score);
    scorer_close(s);
    return ok;
}

bool score_measure(const Logits *logits, int parts, const MetricHooks *hooks, Score *ret_score, Err *err)
{
    if (parts < 1 || parts > SCORE_MAX_PARTS || parts > logits->count)
        return err_set(err, ERR_USAGE, "inception score: %lld images in %d parts; wanted 1 to %d parts of at least one",
                       (long long)logits->count, parts, SCORE_MAX_PARTS);
    Scorer scorer = {.parts = parts};
    return measure(&scorer, logits, hooks, ret_score, err);
}
