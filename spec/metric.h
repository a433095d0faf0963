/* The metrics of an evaluation: the one list. METRIC_ROWS has a row per metric, FIGURE_ROWS a row per number that a
 * metric gives. The words of `metrics` in a job and of --metrics, the help, the messages, docs/jobspec.md, report.json,
 * report.html, the queue's `metrics` and every table on a terminal follow from these rows.
 *
 * To add a metric: a row and its figures here, and its function in worker/evaluate/evaluation.c (docs/howto.md). */
#ifndef SPEC_METRIC_H
#define SPEC_METRIC_H

#include <stdbool.h>

#include "core/mem.h"

/* What a metric needs. "Own": of the images that are evaluated. */
enum {
    NEEDS_REFERENCE = 1 << 0, /* a reference: its mean and covariance */
    NEEDS_ROWS = 1 << 1,      /* own features of every image, not only their mean and covariance */
    NEEDS_BOTH_ROWS = 1 << 2, /* the reference's features too, so statistics alone are not enough */
    NEEDS_SPATIAL = 1 << 3,   /* mean and covariance of the spatial features, on both sides */
    NEEDS_LOGITS = 1 << 4     /* own logits, which the network computes from own features */
};

/* ROW(NAME, word, needs): the bit METRIC_NAME; the word in a job; NEEDS_ bits. In the order of the report. */
#define METRIC_ROWS(ROW)                                                                                               \
    ROW(FID, fid, NEEDS_REFERENCE)                                                                                     \
    ROW(SFID, sfid, NEEDS_REFERENCE | NEEDS_SPATIAL)                                                                   \
    ROW(IS, is, NEEDS_ROWS | NEEDS_LOGITS)                                                                             \
    ROW(KID, kid, NEEDS_REFERENCE | NEEDS_ROWS | NEEDS_BOTH_ROWS)                                                      \
    ROW(PRDC, prdc, NEEDS_REFERENCE | NEEDS_ROWS | NEEDS_BOTH_ROWS)                                                    \
    ROW(FID_INF, fid_inf, NEEDS_REFERENCE | NEEDS_ROWS)

/* ROW(METRIC, key, title, label, deviation, published, digits, more_is_better): the members of Figure (figure.h). */
#define FIGURE_ROWS(ROW)                                                                                               \
    ROW(METRIC_FID, "fid", "FID", "FID", NULL, "published_fid", 3, false)                                              \
    ROW(METRIC_SFID, "sfid", "sFID", "sFID", NULL, NULL, 3, false)                                                     \
    ROW(METRIC_IS, "is_mean", "Inception score", "IS", "is_std", "published_is", 2, true)                              \
    ROW(METRIC_KID, "kid", "KID", "KID", "kid_std", NULL, 6, false)                                                    \
    ROW(METRIC_PRDC, "precision", "precision", "precision", NULL, "published_precision", 4, true)                      \
    ROW(METRIC_PRDC, "recall", "recall", "recall", NULL, "published_recall", 4, true)                                  \
    ROW(METRIC_PRDC, "density", "density", "density", NULL, NULL, 4, true)                                             \
    ROW(METRIC_PRDC, "coverage", "coverage", "coverage", NULL, NULL, 4, true)                                          \
    ROW(METRIC_FID_INF, "fid_inf", "FID infinity", "FID-infinity", NULL, NULL, 3, false)

#define METRIC_INDEX_(name, word, needs) METRIC_INDEX_##name,
#define METRIC_BIT_(name, word, needs)   METRIC_##name = 1 << METRIC_INDEX_##name,
#define METRIC_WORD_(name, word, needs)  " " #word

enum { METRIC_ROWS(METRIC_INDEX_) METRIC_COUNT };
enum { METRIC_ROWS(METRIC_BIT_) METRICS_ALL = (1 << METRIC_COUNT) - 1 };

#define METRIC_WORDS_TEXT METRIC_ROWS(METRIC_WORD_) /* a literal for help: " fid sfid is ..." */

/* The metrics (METRIC_ bits) that need any of these (NEEDS_ bits), as a constant. */
#define METRIC_IF_REFERENCE_(name, word, needs) | ((needs)&NEEDS_REFERENCE ? METRIC_##name : 0)
#define METRIC_IF_ROWS_(name, word, needs)      | ((needs)&NEEDS_ROWS ? METRIC_##name : 0)
#define METRIC_IF_BOTH_ROWS_(name, word, needs) | ((needs)&NEEDS_BOTH_ROWS ? METRIC_##name : 0)
#define METRIC_IF_SPATIAL_(name, word, needs)   | ((needs)&NEEDS_SPATIAL ? METRIC_##name : 0)
#define METRIC_IF_LOGITS_(name, word, needs)    | ((needs)&NEEDS_LOGITS ? METRIC_##name : 0)
enum {
    METRICS_OF_REFERENCE = 0 METRIC_ROWS(METRIC_IF_REFERENCE_),
    METRICS_OF_ROWS = 0 METRIC_ROWS(METRIC_IF_ROWS_),
    METRICS_OF_BOTH_ROWS = 0 METRIC_ROWS(METRIC_IF_BOTH_ROWS_),
    METRICS_OF_SPATIAL = 0 METRIC_ROWS(METRIC_IF_SPATIAL_),
    METRICS_OF_LOGITS = 0 METRIC_ROWS(METRIC_IF_LOGITS_)
};

/* The word of bit i is metric_words[i]; ends with NULL. */
extern const char *const metric_words[METRIC_COUNT + 1];

const char *metric_word(unsigned metrics); /* of the lowest METRIC_ bit: "fid"; metrics is not 0 */
/* "kid and prdc", "fid, sfid, kid": the words of these bits with `between` in between. Caller frees. */
char *metric_list(unsigned metrics, const char *between);

/* The table of metrics for docs/jobspec.md: word, figures, what it needs of the reference. */
void metrics_print(Buf *text);

#endif
