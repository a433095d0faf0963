/* Statistics: the mean and covariance of a set of features, as files keep them. */
#ifndef WORKER_METRICS_STATISTICS_H
#define WORKER_METRICS_STATISTICS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

typedef struct Statistics { /* mean and unbiased covariance */
    int dim;
    int64_t count;              /* 0: not known (a file that does not say) */
    double *mu;                 /* [dim] */
    double *sigma;              /* [dim,dim], symmetric */
    char *pipeline;             /* "pt", "tf" or NULL when the file does not say */
    struct Statistics *spatial; /* of the same images' spatial features (sFID); NULL when there are none. Owned. */
} Statistics;

/* Zeroed; pipeline NULL. NULL with ERR_MEMORY if dim*dim doubles do not fit. */
Statistics *statistics_new(int dim, Err *err);
void statistics_free(Statistics *stats); /* NULL is fine */

/* One dimension or more, equal shapes, finite; symmetric, and no negative variance, to 1e-8 of the largest entry (1e-5
 * where all entries are float32 numbers). `name` is what errors call it. Makes sigma exactly symmetric and its
 * variances at least 0. */
bool statistics_check(Statistics *stats, const char *name, Err *err);

/* .npz (mu, sigma and, where there are, mu_s, sigma_s into `spatial`), a torch.save file or a pickle (m, s, or EDM2's
 * fid.mu, fid.sigma, as arrays or tensors; zip or legacy), or a folder with statistic.pth in it. Checked as above. */
bool statistics_load(const char *path, Statistics **ret_stats, Err *err);

/* .npz with mu, sigma and, where known, mu_s, sigma_s, num_images and pipeline; whole or not at all. Other tools read
 * the first two, ADM's evaluator the first four. */
bool statistics_save(const char *path, const Statistics *stats, Err *err);

#endif
