/* Statistics files: read in every container people have, checked, written as .npz. The content says which container it
 * is, never the name.
 *
 * Owns the names under which mean and covariance are found and what a covariance must be. Refuses a matrix that is not
 * symmetric or has a negative variance: both mean that the file is something else. Rounding is neither: numbers that
 * were computed in float32, whatever they are stored as, are symmetric to float32's precision alone, and a feature that
 * is the same in all images may have a variance of -1e-15. A file need
 * not state which images or pipeline it was made with, so callers report the file's hash beside every distance. To read
 * another tool's file: a row in `namings`.
 *
 * Beside them an .npz may hold mu_s and sigma_s, the statistics of spatial features that ADM's sFID takes. */
#include "worker/metrics/statistics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"
#include "core/mem.h"
#include "worker/arrays/npy.h"
#include "worker/checkpoints/checkpoint.h"

static const struct {
    const char *mu, *sigma;
} namings[] = {
    {"mu", "sigma"},         /* pytorch-fid, TTUR, clean-fid, EDM, ADM's reference batches, ours */
    {"m", "s"},              /* the Distilled Decoding release's statistic.pth */
    {"fid.mu", "fid.sigma"}, /* EDM2's pickles: {"fid": {"mu", "sigma"}, "fd_dinov2": ...} */
};

/* The widest features in use; Inception's have 2048. A covariance of this width has 128 MiB.
 */
enum { MAX_DIM = 4096 };

/* Of the largest entry: how far rounding may move an entry. */
#define ROUNDING_F64 1e-8
#define ROUNDING_F32 1e-5

Statistics *statistics_new(int dim, Err *err)
{
    Statistics *stats = xcalloc(1, sizeof *stats);
    stats->dim = dim;
    stats->mu = calloc((size_t)dim, sizeof(double));
    stats->sigma = calloc((size_t)dim * (size_t)dim, sizeof(double));
    if (stats->mu && stats->sigma)
        return stats;
    err_set(err, ERR_MEMORY, "statistics: no %zu MiB for a covariance of %d features",
            (size_t)dim * (size_t)dim * sizeof(double) >> 20, dim);
    statistics_free(stats);
    return NULL;
}

void statistics_free(Statistics *stats)
{
    if (!stats)
        return;
    free(stats->mu);
    free(stats->sigma);
    free(stats->pipeline);
    statistics_free(stats->spatial);
    free(stats);
}

/* --- checking ------------------------------------------------------------------------------------ */

static bool check_values(const double *values, size_t count, const char *what, const char *name, Err *err)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return err_set(err, ERR_NUMERIC, "statistics %s: %s has %f at element %zu", name, what, values[i], i);
    return true;
}

/* All of them are float32 numbers. */
static bool are_floats(const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((double)(float)values[i] != values[i])
            return false;
    return true;
}

static bool not_symmetric(const char *name, const double *sigma, size_t n, size_t i, size_t j, Err *err)
{
    char a[JSON_NUMBER_TEXT], b[JSON_NUMBER_TEXT]; /* with all digits: the two differ in the last ones */
    json_number_text(sigma[i * n + j], a);
    json_number_text(sigma[j * n + i], b);
    return err_set(err, ERR_FORMAT,
                   "statistics %s: the covariance is not symmetric: %s at [%zu,%zu] but %s at [%zu,%zu]", name, a, i, j,
                   b, j, i);
}

bool statistics_check(Statistics *stats, const char *name, Err *err)
{
    size_t n = (size_t)stats->dim;
    double *sigma = stats->sigma, largest = 0;
    if (!check_values(stats->mu, n, "the mean", name, err) || !check_values(sigma, n * n, "the covariance", name, err))
        return false;
    for (size_t i = 0; i < n * n; i++)
        largest = fmax(largest, fabs(sigma[i]));
    const double rounding = largest * (are_floats(sigma, n * n) ? ROUNDING_F32 : ROUNDING_F64);
    for (size_t i = 0; i < n; i++) {
        if (sigma[i * n + i] < -rounding)
            return err_set(err, ERR_FORMAT, "statistics %s: the variance of feature %zu is %g; not a covariance", name,
                           i, sigma[i * n + i]);
        sigma[i * n + i] = fmax(sigma[i * n + i], 0);
        for (size_t j = i + 1; j < n; j++) {
            double a = sigma[i * n + j], b = sigma[j * n + i];
            if (fabs(a - b) > rounding)
                return not_symmetric(name, sigma, n, i, j, err);
            sigma[i * n + j] = sigma[j * n + i] = (a + b) / 2;
        }
    }
    return true;
}

/* The mean decides the width; the covariance must agree with it. */
static bool check_shapes(const char *path, int mu_ndim, const int64_t *mu, int sigma_ndim, const int64_t *sigma,
                         Err *err)
{
    if (mu_ndim != 1)
        return err_set(err, ERR_FORMAT, "statistics %s: the mean has %d dimensions; wanted one, of 1 to %d features",
                       path, mu_ndim, MAX_DIM);
    if (mu[0] < 1 || mu[0] > MAX_DIM)
        return err_set(err, ERR_FORMAT, "statistics %s: the mean has %lld features; wanted 1 to %d features", path,
                       (long long)mu[0], MAX_DIM);
    if (sigma_ndim != 2 || sigma[0] != mu[0] || sigma[1] != mu[0])
        return err_set(err, ERR_FORMAT, "statistics %s: the mean has %lld features but the covariance is %s%lldx%lld",
                       path, (long long)mu[0],
                       sigma_ndim == 2 ? "" : "not a matrix: ", (long long)(sigma_ndim > 0 ? sigma[0] : 0),
                       (long long)(sigma_ndim > 1 ? sigma[1] : 0));
    return true;
}

/* --- torch.save ---------------------------------------------------------------------------------- */

static char *tensor_names(const Ckpt *ckpt)
{
    Buf names = {0};
    int count = ckpt_count(ckpt), i = 0;
    for (; i < count && names.len < 200; i++)
        buf_printf(&names, "%s%.60s", i ? ", " : "", ckpt_at(ckpt, i)->name);
    if (i < count)
        buf_printf(&names, " and %d more", count - i);
    return names.data ? names.data : xstrdup("none");
}

static Statistics *load_torch(const char *path, Err *err)
{
    Ckpt *ckpt = ckpt_open(path, err);
    if (!ckpt)
        return NULL;
    Statistics *stats = NULL;
    const CkptTensor *mu = NULL, *sigma = NULL;
    for (size_t i = 0; i < countof(namings) && !(mu && sigma); i++) {
        mu = ckpt_find(ckpt, namings[i].mu);
        sigma = ckpt_find(ckpt, namings[i].sigma);
    }
    if (!mu || !sigma) {
        char *names = tensor_names(ckpt);
        err_set(err, ERR_FORMAT,
                "statistics %s: holds %d arrays but neither mu and sigma nor m and s nor fid.mu and fid.sigma; it has "
                "%s",
                path, ckpt_count(ckpt), names);
        free(names);
    } else if (check_shapes(path, mu->ndim, mu->shape, sigma->ndim, sigma->shape, err)) {
        stats = statistics_new((int)mu->shape[0], err);
        if (stats && !(ckpt_read_f64(ckpt, mu->name, 1, mu->shape, stats->mu, err) &&
                       ckpt_read_f64(ckpt, sigma->name, 2, sigma->shape, stats->sigma, err))) {
            statistics_free(stats);
            stats = NULL;
        }
    }
    ckpt_close(ckpt);
    return stats;
}

/* --- .npz ---------------------------------------------------------------------------------------- */

static bool to_doubles(const char *path, const char *name, const NpyArray *array, size_t count, double *dst, Err *err)
{
    if (array->dtype == DTYPE_F64) {
        memcpy(dst, array->data, count * sizeof(double));
    } else if (array->dtype == DTYPE_F32) {
        for (size_t i = 0; i < count; i++)
            dst[i] = ((const float *)array->data)[i];
    } else {
        return err_set(err, ERR_FORMAT, "statistics %s: %s is %s; wanted f64 or f32", path, name,
                       dtype_name(array->dtype));
    }
    return true;
}

/* Extra members of our own files; files of other tools have neither. */
static void read_extras(const Npz *npz, Statistics *stats)
{
    NpyArray array = {0};
    if (npz_has(npz, "num_images") && npz_read(npz, "num_images", sizeof(int64_t), &array, NULL)) {
        if (array.dtype == DTYPE_I64 && array.ndim <= 1 && (array.ndim == 0 || array.shape[0] == 1))
            stats->count = *(const int64_t *)array.data;
        npy_free(&array);
    }
    if (npz_has(npz, "pipeline") && npz_read(npz, "pipeline", 2, &array, NULL)) {
        if (array.dtype == DTYPE_U8 && array.ndim == 1 && array.shape[0] == 2)
            stats->pipeline = xasprintf("%.2s", (const char *)array.data);
        npy_free(&array);
    }
}

/* The shapes are compared before the numbers are read: a damaged or hostile header then costs no memory. */
static Statistics *read_npz(const Npz *npz, const char *path, const char *mu_name, const char *sigma_name, Err *err)
{
    NpyArray mu = {0}, sigma = {0}, mu_shape, sigma_shape;
    Statistics *stats = NULL;
    bool ok = npz_header(npz, mu_name, &mu_shape, err) && npz_header(npz, sigma_name, &sigma_shape, err) &&
              check_shapes(path, mu_shape.ndim, mu_shape.shape, sigma_shape.ndim, sigma_shape.shape, err) &&
              (stats = statistics_new((int)mu_shape.shape[0], err)) != NULL;
    size_t n = ok ? (size_t)stats->dim : 0;
    ok = ok && npz_read(npz, mu_name, n * sizeof(double), &mu, err) &&
         npz_read(npz, sigma_name, n * n * sizeof(double), &sigma, err) &&
         to_doubles(path, mu_name, &mu, n, stats->mu, err) &&
         to_doubles(path, sigma_name, &sigma, n * n, stats->sigma, err);
    if (ok)
        read_extras(npz, stats);
    if (mu.data)
        npy_free(&mu);
    if (sigma.data)
        npy_free(&sigma);
    if (ok)
        return stats;
    statistics_free(stats);
    return NULL;
}

/* mu_s and sigma_s, where the file has them. */
static bool read_spatial(const Npz *npz, const char *path, Statistics *stats, Err *err)
{
    bool mu = npz_has(npz, "mu_s"), sigma = npz_has(npz, "sigma_s");
    if (mu != sigma)
        return err_set(err, ERR_FORMAT, "statistics %s: has %s but no %s", path, mu ? "mu_s" : "sigma_s",
                       mu ? "sigma_s" : "mu_s");
    return !mu || (stats->spatial = read_npz(npz, path, "mu_s", "sigma_s", err)) != NULL;
}

static void no_names(const Npz *npz, const char *path, Err *err)
{
    char *names = npz_names(npz);
    err_set(
        err, ERR_FORMAT,
        "statistics %s: has no mu and sigma (or m and s); it has %s. Save the mean as mu and the covariance as sigma",
        path, names);
    free(names);
}

static Statistics *load_npz(const char *path, Err *err)
{
    Npz *npz = npz_open(path, err);
    if (!npz)
        return NULL;
    Statistics *stats = NULL;
    size_t i = 0;
    while (i < countof(namings) && !(npz_has(npz, namings[i].mu) && npz_has(npz, namings[i].sigma)))
        i++;
    if (i < countof(namings))
        stats = read_npz(npz, path, namings[i].mu, namings[i].sigma, err);
    else if (npz_has(npz, "arr_0"))
        err_set(
            err, ERR_FORMAT,
            "statistics %s: holds samples (arr_0) but no mu and sigma; make statistics of it first (kind: statistics)",
            path);
    else
        no_names(npz, path, err);
    if (stats && !read_spatial(npz, path, stats, err)) {
        statistics_free(stats);
        stats = NULL;
    }
    npz_close(npz);
    return stats;
}

/* --- files --------------------------------------------------------------------------------------- */

bool statistics_load(const char *path, Statistics **ret_stats, Err *err)
{
    struct stat st;
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
    char *file = folder ? xasprintf("%s/statistic.pth", path) : xstrdup(path);
    Statistics *stats = array_file(file) == ARRAY_FILE_NPZ ? load_npz(file, err) : load_torch(file, err);
    bool ok = stats && statistics_check(stats, file, err);
    if (ok && stats->spatial && !statistics_check(stats->spatial, file, err))
        ok = err_wrap(err, "mu_s and sigma_s");
    free(file);
    if (ok)
        *ret_stats = stats;
    else
        statistics_free(stats);
    return ok;
}

static bool add_member(NpzWriter *writer, const char *name, Dtype dtype, int ndim, const int64_t *shape,
                       const void *data, size_t bytes, Err *err)
{
    return npz_writer_begin(writer, name, dtype, ndim, shape, err) && npz_writer_add(writer, data, bytes, err);
}

static bool add_moments(NpzWriter *writer, const char *mu, const char *sigma, const Statistics *stats, Err *err)
{
    size_t n = (size_t)stats->dim;
    int64_t shape[2] = {stats->dim, stats->dim};
    return add_member(writer, mu, DTYPE_F64, 1, shape, stats->mu, n * sizeof(double), err) &&
           add_member(writer, sigma, DTYPE_F64, 2, shape, stats->sigma, n * n * sizeof(double), err);
}

bool statistics_save(const char *path, const Statistics *stats, Err *err)
{
    NpzWriter *writer = npz_writer_open(path, err);
    if (!writer)
        return false;
    int64_t one = 1, letters = 2;
    bool ok = add_moments(writer, "mu", "sigma", stats, err);
    if (ok && stats->spatial)
        ok = add_moments(writer, "mu_s", "sigma_s", stats->spatial, err);
    if (ok && stats->count > 0)
        ok = add_member(writer, "num_images", DTYPE_I64, 1, &one, &stats->count, sizeof stats->count, err);
    if (ok && stats->pipeline && strlen(stats->pipeline) == 2)
        ok = add_member(writer, "pipeline", DTYPE_U8, 1, &letters, stats->pipeline, 2, err);
    if (!ok) {
        npz_writer_abort(writer);
        return false;
    }
    return npz_writer_finish(writer, err);
}
