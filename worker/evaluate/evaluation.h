/* Everything that is measured of one set of images in one pipeline: the figures of core/figure.h and what a report
 * shows beside them.
 *
 *     Evaluation what = {.metrics = METRIC_FID | METRIC_PRDC, .neighbours = 3, .rows = features, .stats = stats,
 *                        .reference = &reference, .hooks = hooks, .note = on_note};
 *     evaluation_measure(&what, json, err);
 *
 * A figure is in the object when it was computed, with its interval where there is one; one that cannot be for want of
 * images is left out and a note says so; anything else that goes wrong is the error. There are no placeholders.
 *
 * Beside the figures go, where their metric was asked for:
 *     fid_terms, sfid_terms    raw (before clamping at 0), mean_term, trace_images, trace_reference, trace_sqrt
 *     is_parts                 the score of each part
 *     kid_subsets, kid_all_pairs
 *     neighbours               k, and the counts behind precision, recall, density and coverage
 *     histogram                of distances to the nearest reference image, and of the reference's own radii
 *     samples                  the images nearest to the reference and farthest from it
 *     curve                    FID against the number of images, and the line in 1/n
 *     seconds_by_metric */
#ifndef WORKER_EVALUATE_EVALUATION_H
#define WORKER_EVALUATE_EVALUATION_H

#include <cjson/cJSON.h>

#include "core/jobspec.h"
#include "worker/evaluate/reference.h"
#include "worker/metrics/metrics.h"

enum { EVALUATION_SAMPLES = 12, EVALUATION_BINS = 40, EVALUATION_KID_SEED = 0 };

typedef struct Evaluation {
    unsigned metrics; /* METRIC_ bits */
    JobLike like;
    int neighbours;
    Features rows, spatial;     /* spatial: with METRIC_SFID, rows NULL otherwise */
    Backend *be;                /* float32, for METRIC_PRDC; NULL: one of its own on the CPU */
    const Statistics *stats;    /* of the rows, and in it of the spatial ones */
    const Logits *logits;       /* with METRIC_IS, else NULL */
    const Reference *reference; /* NULL where nothing is compared */
    const Hooks *hooks;         /* progress and stop; NULL is fine */
    int64_t upto;               /* what progress tells as done: every image is */
    void *ctx;                  /* of note */
    void (*note)(void *ctx, const char *text);
} Evaluation;

/* Adds to `json`, a JSON object. Stops between metrics and within long ones: ERR_CANCELLED. */
bool evaluation_measure(const Evaluation *what, cJSON *json, Err *err);

#endif
