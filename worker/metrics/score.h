/* Inception Score: exp of the mean divergence of class probabilities from their mean, over parts of the set.
 *
 *     p_i = softmax of the logits of image i (all of them, without bias), score of a part =
 *     exp(mean over i of sum over c of p_ic (log p_ic - log mean_i p_ic))
 *
 * Log-softmax and sums in float64: in float32 confident rows underflow to log 0. */
#ifndef WORKER_METRICS_SCORE_H
#define WORKER_METRICS_SCORE_H

#include "worker/metrics/features.h"
#include "worker/metrics/interval.h"

#define SCORE_PARTS     10
#define SCORE_MAX_PARTS 128

/* Where logits come from: they are rarely stored, being features times the classifier. `read` gives rows first..
 * first+count-1 as [count,classes]; it is called with rising `first`, from one thread. */
typedef struct Logits {
    int64_t count;
    int classes;
    bool (*read)(void *ctx, int64_t first, int64_t count, float *ret_logits, Err *err);
    void *ctx;
} Logits;
/* Of an array in memory, which must outlive the Logits. */
Logits logits_of(const Features *array);

typedef struct Score {
    Interval score; /* mean over parts */
    double std;     /* population deviation over parts */
    int parts;
    double part[SCORE_MAX_PARTS];
} Score;

/* Part k is rows [k n/parts, (k+1) n/parts) in the order given. A NaN names its image; fewer images than parts is an
 * error. */
bool score_measure(const Logits *logits, int parts, const MetricHooks *hooks, Score *ret_score, Err *err);
#endif
