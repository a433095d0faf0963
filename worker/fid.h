/* FID: streaming float64 moments, the Frechet distance by its symmetric form, reference statistics. */
#ifndef WORKER_FID_H
#define WORKER_FID_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* Sums over rows in index order. The sums are formed per group of MOMENTS_GROUP consecutive rows counted from row 0,
 * and groups are added in order: the same bits however the rows arrive. */
#define MOMENTS_GROUP 500
typedef struct Moments Moments;
Moments *moments_new(int dim);
void moments_free(Moments *m);
/* Adds rows [count,dim]. A NaN or infinity is an error that names the row (image) index. */
bool moments_add(Moments *m, const float *rows, int64_t count, Err *err);
int64_t moments_count(const Moments *m);

typedef struct Statistics { /* mean and unbiased covariance */
    int dim;
    int64_t count;   /* 0: not known (a file that does not say) */
    double *mu;      /* [dim] */
    double *sigma;   /* [dim,dim], symmetric */
    char *pipeline;  /* "pt", "tf" or NULL when the file does not say */
} Statistics;
bool moments_finish(const Moments *m, Statistics **ret_stats, Err *err); /* fewer than 2 rows is an error */
void statistics_free(Statistics *stats);

/* .npz (mu, sigma) or a torch.save file (m, s), in every container of docs/models.md. Validated and symmetrised. */
bool statistics_load(const char *path, Statistics **ret_stats, Err *err);
bool statistics_save(const char *path, const Statistics *stats, Err *err); /* .npz: mu, sigma, num_images, pipeline */

typedef struct Frechet {
    double fid;              /* >= 0 */
    double raw;              /* before clamping at 0 */
    double mean_term, trace1, trace2, trace_sqrt;
} Frechet;
/* |mu1-mu2|^2 + Tr S1 + Tr S2 - 2 Tr (S1 S2)^(1/2), symmetric form in float64, both eigenproblems thresholded at
 * max * dim * 2.2e-16. Different widths and non-finite input are errors. */
bool frechet_distance(const Statistics *a, const Statistics *b, Frechet *ret_frechet, Err *err);

#endif
