/* A reference as one .npz: what other tools read (mu, sigma; mu_s, sigma_s as ADM names them), and what those leave
 * out: number of images, pipeline, network. */
#include <string.h>

#include "worker/evaluate/reference.h"

static bool add(NpzWriter *writer, const char *name, Dtype dtype, int ndim, const int64_t *shape, const void *data,
                size_t bytes, Err *err)
{
    return npz_writer_begin(writer, name, dtype, ndim, shape, err) && npz_writer_add(writer, data, bytes, err);
}

static bool add_statistics(NpzWriter *writer, const char *mu, const char *sigma, const Statistics *stats, Err *err)
{
    const size_t n = (size_t)stats->dim;
    const int64_t shape[2] = {stats->dim, stats->dim};
    return add(writer, mu, DTYPE_F64, 1, shape, stats->mu, n * sizeof(double), err) &&
           add(writer, sigma, DTYPE_F64, 2, shape, stats->sigma, n * n * sizeof(double), err);
}

static bool add_text(NpzWriter *writer, const char *name, const char *text, Err *err)
{
    const int64_t letters = text ? (int64_t)strlen(text) : 0;
    return letters == 0 || add(writer, name, DTYPE_U8, 1, &letters, text, (size_t)letters, err);
}

bool reference_save(const char *path, const Reference *reference, Err *err)
{
    NpzWriter *writer = npz_writer_open(path, err);
    if (!writer)
        return false;
    const Statistics *stats = reference->stats;
    const int64_t one = 1;
    bool ok =
        add_statistics(writer, "mu", "sigma", stats, err) &&
        (!stats->spatial || add_statistics(writer, "mu_s", "sigma_s", stats->spatial, err)) &&
        (reference->images < 1 || add(writer, "num_images", DTYPE_I64, 1, &one, &reference->images, sizeof one, err)) &&
        add_text(writer, "pipeline", reference->pipeline, err) && add_text(writer, "weights", reference->weights, err);
    if (!ok) {
        npz_writer_abort(writer);
        return false;
    }
    return npz_writer_finish(writer, err);
}
