/* Everything that is measured of one set of images in one pipeline: the figures of spec/report/figure.h and what a
 * report shows beside them. The report of a job and `ddq fid` both go through here, so the same sets give the same
 * bits.
 *
 *     Evaluation what = {.metrics = METRIC_FID | METRIC_PRDC, .neighbours = 3, .rows = features, .stats = stats,
 *                        .reference = &reference, .models = models, .hooks = hooks, .note = on_note};
 *     evaluation_measure(&what, json, err);
 *
 * Rules, the same for every caller:
 * - A figure is in the object when it was computed, with its interval where the rows of its features are given and are
 *   enough for one (worker/metrics/interval.h). There are no placeholders.
 * - A metric that has too few images is left out, and a note names it and says why. Whether that is a failure is the
 *   caller's decision: a job goes on, `ddq fid` fails when nothing that was asked for could be computed.
 * - Anything else that goes wrong is the error.
 *
 * Beside the figures go, where their metric was asked for:
 *     fid_terms, sfid_terms    raw (before clamping at 0), mean_term, trace_images, trace_reference, trace_sqrt
 *     is_parts                 the score of each part
 *     kid_subsets
 *     neighbours               k, and the counts behind precision, recall, density and coverage
 *     histogram                of distances to the nearest reference image, and of the reference's own radii
 *     samples                  the images nearest to the reference and farthest from it
 *     curve                    FID against the number of images, and the line in 1/n
 *     seconds_by_metric */
#ifndef WORKER_EVALUATE_EVALUATION_H
#define WORKER_EVALUATE_EVALUATION_H

#include <cjson/cJSON.h>

#include "worker/evaluate/hooks.h"
#include "spec/jobspec.h"
#include "worker/evaluate/reference.h"
#include "worker/metrics/metrics.h"

enum { EVALUATION_SAMPLES = 12, EVALUATION_BINS = 40, EVALUATION_KID_SEED = 0 };

typedef struct Evaluation {
    unsigned metrics; /* METRIC_ bits */
    JobLike like;
    int neighbours;             /* k, for METRIC_PRDC */
    bool values_only;           /* no intervals of distances and no curve that was not asked for: they take seconds */
    Features rows, spatial;     /* rows NULL where evaluation_wants_of_images does not ask for them; so with spatial,
                                   which give the interval of sFID and nothing else */
    const Statistics *stats;    /* of the rows; stats->spatial of the spatial ones, with METRICS_OF_SPATIAL */
    Inception *net;             /* computes the logits, with METRICS_OF_LOGITS; else NULL is fine */
    ModelCache *models;         /* its device finds neighbours */
    const Reference *reference; /* NULL where no metric compares */
    const Hooks *hooks;         /* progress and stop; NULL is fine */
    int64_t upto;               /* what progress reports as done: every image is */
    void *ctx;                  /* of note */
    void (*note)(void *ctx, const char *text);
} Evaluation;

/* What these metrics need to know of the reference, and of images that are opened as a reference is (`ddq fid`):
 * REFERENCE_ bits for reference_open. */
unsigned evaluation_wants_of_reference(unsigned metrics);
unsigned evaluation_wants_of_images(unsigned metrics);

/* Adds to `json`, a JSON object. Stops between metrics and within long ones: ERR_CANCELLED. */
bool evaluation_measure(const Evaluation *what, cJSON *json, Err *err);

#endif
