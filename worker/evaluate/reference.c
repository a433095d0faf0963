/* Kinds of references. The kind of a path follows from its contents (the first bytes, the names of members), never from
 * its name.
 *
 * Statistics are taken as their file states them: a file that states its pipeline is refused for another one. ADM's
 * reference batches do not state it, but no other program writes mu_s and sigma_s, and ADM's evaluator uses tf. */
#include "worker/evaluate/reference.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "worker/checkpoints/checkpoint.h"
#include "worker/evaluate/reference_parts.h"
#include "worker/files/map.h"

const char *reference_kind_name(ReferenceKind kind)
{
    static const char *const names[] = {[REFERENCE_STATISTICS] = "statistics",
                                        [REFERENCE_FOLDER] = "folder",
                                        [REFERENCE_ARRAY] = "array",
                                        [REFERENCE_ZIP] = "zip"};
    return names[kind];
}

/* --- looking ---------------------------------------------------------------------------------------- */

/* Shape and type of a member, without its numbers. */
static bool member_header(const Npz *npz, const char *name, NpyArray *header)
{
    return npz_has(npz, name) && npz_header(npz, name, header, NULL);
}

/* A short member of bytes as text: our files store pipeline and weights so. False if there is none of that length. */
static bool member_text(const Npz *npz, const char *name, size_t len, char *ret_text)
{
    NpyArray array = {0};
    if (!npz_has(npz, name) || !npz_read(npz, name, len, &array, NULL))
        return false;
    bool good = array.dtype == DTYPE_U8 && array.ndim == 1 && array.shape[0] == (int64_t)len;
    if (good) {
        memcpy(ret_text, array.data, len);
        ret_text[len] = 0;
    }
    npy_free(&array);
    return good;
}

static int64_t member_count(const Npz *npz, const char *name)
{
    NpyArray array = {0};
    int64_t count = 0;
    if (!npz_has(npz, name) || !npz_read(npz, name, sizeof count, &array, NULL))
        return 0;
    if (array.dtype == DTYPE_I64 && (array.ndim == 0 || (array.ndim == 1 && array.shape[0] == 1)))
        count = *(const int64_t *)array.data;
    npy_free(&array);
    return count > 0 ? count : 0;
}

static const char *stated_pipeline(const Npz *npz, bool spatial)
{
    char text[3];
    if (member_text(npz, "pipeline", 2, text))
        return strcmp(text, "tf") == 0 ? "tf" : strcmp(text, "pt") == 0 ? "pt" : NULL;
    return spatial ? "tf" : NULL;
}

static bool probe_npz(const char *path, ReferenceProbe *probe, Err *err)
{
    Npz *npz = npz_open(path, err);
    if (!npz)
        return false;
    NpyArray mu = {0}, images = {0};
    bool stats = member_header(npz, "mu", &mu) && npz_has(npz, "sigma");
    stats = stats || (member_header(npz, "m", &mu) && npz_has(npz, "s"));
    probe->has_images = member_header(npz, "arr_0", &images) && images.ndim == 4;
    probe->kind = stats ? REFERENCE_STATISTICS : REFERENCE_ARRAY;
    if (stats) {
        probe->dim = mu.ndim == 1 && mu.shape[0] <= INT32_MAX ? (int)mu.shape[0] : 0;
        probe->has_spatial = npz_has(npz, "mu_s") && npz_has(npz, "sigma_s");
        probe->pipeline = stated_pipeline(npz, probe->has_spatial);
        probe->images = member_count(npz, "num_images");
    } else {
        probe->images = probe->has_images ? images.shape[0] : 0;
    }
    bool good = stats || probe->has_images;
    if (!good) {
        char *names = npz_names(npz);
        err_set(err, ERR_FORMAT,
                "reference %s: has neither mu and sigma (statistics) nor arr_0 [n,height,width,3] u8 (images); it has "
                "%s",
                path, names);
        free(names);
    }
    npz_close(npz);
    return good;
}

/* A torch.save file; whether it holds statistics is checked when it is loaded. */
static bool probe_torch(const char *path, ReferenceProbe *probe, Err *err)
{
    Ckpt *ckpt = ckpt_open(path, err);
    if (!ckpt)
        return err_wrap(err, "reference %s: no folder, .npz or .npy, so read as a torch.save file", path);
    static const char *const means[] = {"mu", "m", "fid.mu"};
    const CkptTensor *mu = NULL;
    for (size_t i = 0; i < countof(means) && !mu; i++)
        mu = ckpt_find(ckpt, means[i]);
    probe->kind = REFERENCE_STATISTICS;
    probe->dim = mu && mu->ndim == 1 && mu->shape[0] <= INT32_MAX ? (int)mu->shape[0] : 0;
    ckpt_close(ckpt);
    return true;
}

static bool probe_images(const char *path, ReferenceKind kind, ReferenceProbe *probe, Err *err)
{
    ImageSource *source = image_source_open(path, err);
    if (!source)
        return err_wrap(err, "reference");
    probe->kind = kind;
    probe->images = image_source_count(source);
    probe->left_out = image_source_left_out(source);
    probe->has_images = true;
    image_source_close(source);
    return true;
}

static bool probe_folder(const char *path, ReferenceProbe *probe, Err *err)
{
    char *file = xasprintf("%s/statistic.pth", path);
    struct stat st;
    bool stats = stat(file, &st) == 0 && S_ISREG(st.st_mode);
    bool ok = stats ? probe_torch(file, probe, err) : probe_images(path, REFERENCE_FOLDER, probe, err);
    free(file);
    return ok;
}

/* One image: opening it as a set says what to give instead. */
static bool is_image(const char *path)
{
    FileMap map = {0};
    bool is = file_map(path, &map, NULL) && image_begins(map.data, map.size);
    file_unmap(&map);
    return is;
}

static bool probe_file(const char *path, ReferenceProbe *probe, Err *err)
{
    switch (array_file(path)) {
    case ARRAY_FILE_NPZ:
        return probe_npz(path, probe, err);
    case ARRAY_FILE_NPY:
        return probe_images(path, REFERENCE_ARRAY, probe, err);
    case ARRAY_FILE_ZIP:
        return probe_images(path, REFERENCE_ZIP, probe, err);
    default:
        return is_image(path) ? probe_images(path, REFERENCE_FOLDER, probe, err) : probe_torch(path, probe, err);
    }
}

bool reference_probe(const char *path, ReferenceProbe *ret_probe, Err *err)
{
    ReferenceProbe probe = {.images = 0};
    struct stat st;
    bool ok = stat(path, &st) == 0 || err_errno(err, "reference %s", path);
    if (ok && S_ISDIR(st.st_mode))
        ok = probe_folder(path, &probe, err);
    else if (ok)
        ok = probe_file(path, &probe, err);
    if (ok)
        *ret_probe = probe;
    return ok;
}

/* --- statistics ------------------------------------------------------------------------------------- */

static bool check_pipeline(const Reference *reference, Resize pipeline, Err *err)
{
    if (!reference->pipeline || strcmp(reference->pipeline, pipeline_name(pipeline)) == 0)
        return true;
    return err_set(err, ERR_USAGE,
                   "reference %s: made with the %s pipeline, and %s is asked for; numbers of the two do not compare. "
                   "Ask for pipeline %s, or take a reference that was made with %s",
                   reference->path, reference->pipeline, pipeline_name(pipeline), reference->pipeline,
                   pipeline_name(pipeline));
}

static bool need_spatial(const Reference *reference, Err *err)
{
    return reference->spatial ||
           err_set(err, ERR_USAGE,
                   "reference %s: holds no spatial statistics (mu_s, sigma_s), and sfid compares those; take ADM's "
                   ".npz, a folder of images, or leave sfid out",
                   reference->path);
}

/* ADM's batches bring the images for precision and recall along. */
static bool need_features(Reference *reference, const ReferenceProbe *probe, Resize pipeline,
                          const ReferenceOptions *options, Err *err)
{
    if (!probe->has_images) {
        char *metrics = metric_list(METRICS_OF_BOTH_ROWS, " and ");
        err_set(err, ERR_USAGE,
                "reference %s: holds statistics alone, and %s compare the features of single images; take a folder of "
                "images or an .npz with arr_0, or leave those metrics out",
                reference->path, metrics);
        free(metrics);
        return false;
    }
    if (!options || !options->inception)
        return err_set(err, ERR_USAGE, "reference %s: no Inception weights to measure its images (arr_0) with",
                       reference->path);
    Reference images = {.path = reference->path};
    if (!reference_recall(reference->path, pipeline, REFERENCE_FEATURES, options, &images, err)) {
        images.path = NULL; /* the other's */
        reference_close(&images);
        return false;
    }
    statistics_free(images.stats);
    reference->left_out = images.left_out;
    reference->image_caveat = images.image_caveat;
    reference->features = images.features;
    reference->feature_file = images.feature_file;
    return reference->features.dim == reference->stats->dim ||
           err_set(err, ERR_FORMAT, "reference %s: its statistics have %d features, and this network gives %d",
                   reference->path, reference->stats->dim, reference->features.dim);
}

void reference_network(const char *path, char ret_hex[65])
{
    ret_hex[0] = 0;
    Npz *npz = array_file(path) == ARRAY_FILE_NPZ ? npz_open(path, NULL) : NULL;
    if (!npz)
        return;
    if (!member_text(npz, "weights", 64, ret_hex) || strspn(ret_hex, "0123456789abcdef") != 64)
        ret_hex[0] = 0;
    npz_close(npz);
}

static bool open_statistics(Reference *reference, const ReferenceProbe *probe, Resize pipeline, unsigned wants,
                            const ReferenceOptions *options, Err *err)
{
    struct stat st;
    bool folder = stat(reference->path, &st) == 0 && S_ISDIR(st.st_mode);
    char *file = folder ? xasprintf("%s/statistic.pth", reference->path) : xstrdup(reference->path);
    reference->pipeline = probe->pipeline;
    bool good = check_pipeline(reference, pipeline, err) && statistics_load(file, &reference->stats, err) &&
                file_sha256(file, reference->sha256, err);
    if (good)
        reference_network(file, reference->weights);
    free(file);
    if (!good)
        return err_wrap(err, "reference");
    reference->images = reference->stats->count;
    reference->spatial = wants & REFERENCE_SPATIAL ? reference->stats->spatial : NULL;
    return (!(wants & REFERENCE_SPATIAL) || need_spatial(reference, err)) &&
           (!(wants & REFERENCE_FEATURES) || need_features(reference, probe, pipeline, options, err));
}

/* --- any reference ---------------------------------------------------------------------------------- */

static bool open_images(Reference *reference, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                        Err *err)
{
    if (!options || !options->inception)
        return err_set(err, ERR_USAGE, "reference %s: no Inception weights to measure these images with",
                       reference->path);
    if (!reference_recall(reference->path, pipeline, wants, options, reference, err))
        return false;
    reference->spatial = wants & REFERENCE_SPATIAL ? reference->stats->spatial : NULL;
    return true;
}

bool reference_open(const char *path, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                    Reference *ret_reference, Err *err)
{
    ReferenceProbe probe;
    if (!reference_probe(path, &probe, err))
        return false;
    Reference reference = {.kind = probe.kind, .path = xstrdup(path)};
    bool good = probe.kind == REFERENCE_STATISTICS ? open_statistics(&reference, &probe, pipeline, wants, options, err)
                                                   : open_images(&reference, pipeline, wants, options, err);
    if (good)
        *ret_reference = reference;
    else
        reference_close(&reference);
    return good;
}

void reference_close(Reference *reference)
{
    free(reference->path);
    free(reference->image_caveat);
    statistics_free(reference->stats);
    if (reference->feature_file.data)
        npy_free(&reference->feature_file);
    *reference = (Reference){0};
}

char *reference_caveat(const Reference *reference, Resize pipeline)
{
    const Statistics *stats = reference->stats;
    if (!reference->pipeline)
        return xasprintf(
            "%s does not say how its images were resized; numbers with it hold if that was the %s pipeline",
            reference->path, pipeline_name(pipeline));
    if (stats->count && stats->count <= stats->dim)
        return xasprintf("%s has %" PRId64 " images for %d features: the covariance is singular and distances come out "
                         "too high; take more than %d images, or kid",
                         reference->path, stats->count, stats->dim, stats->dim);
    return NULL;
}
