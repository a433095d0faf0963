/* A reference: what images are compared with. Statistics from a file, or images, which are measured once and cached.
 *
 *     ReferenceOptions options = {.models = models, .inception = "pt_inception.pth", .hooks = hooks};
 *     Reference reference;
 *     if (!reference_open("imagenet256", RESIZE_TF, REFERENCE_SPATIAL, &options, &reference, err)) ...
 *     frechet_distance(ours, reference.stats, ...);
 *     reference_close(&reference);
 *
 * A path may be
 * - statistics: an .npz with mu and sigma (ADM's with mu_s, sigma_s and images in arr_0 too), a torch.save file with m
 *   and s in any of its containers, or a folder with statistic.pth in it;
 * - images: a folder, an .npz with arr_0 and no mu, or an .npy.
 * Images are decoded once to name them by content, and measured once for a network, pipeline and precision; what came
 * out is kept in the cache. A folder whose listing (names, sizes, times of change) is as it was is not read again; one
 * that changed is, so an old measurement is never used for new images.
 *
 * reference.c has the kinds, reference_cache.c the cache, reference_measure.c measures images, reference_shards.c keeps
 * what a killed measurement has done, reference_save.c writes a reference as a file of statistics. */
#ifndef WORKER_EVALUATE_REFERENCE_H
#define WORKER_EVALUATE_REFERENCE_H

#include "kernels/backend.h"
#include "worker/arrays/npy.h"
#include "worker/evaluate/measure.h"
#include "worker/metrics/features.h"
#include "worker/metrics/statistics.h"
#include "worker/models/model_cache.h"

enum {                         /* what is wanted besides mean and covariance */
       REFERENCE_FEATURES = 1, /* the features themselves: KID, precision, recall, density, coverage */
       REFERENCE_SPATIAL = 2   /* statistics of the 2023 spatial features: sFID */
};

typedef enum ReferenceKind { REFERENCE_STATISTICS, REFERENCE_FOLDER, REFERENCE_ARRAY, REFERENCE_ZIP } ReferenceKind;
const char *reference_kind_name(ReferenceKind kind); /* "statistics", "folder", "array", "zip" */

/* How images are measured where that is needed. */
typedef struct ReferenceOptions {
    ModelCache *models;
    const char *inception; /* weights */
    JobPrecision precision;
    InceptionLevel level; /* zero: pool3 */
    int batch;            /* images at a time; 0: chosen here. It changes nothing but the speed */
    const char *cache;  /* folder, made when it is not there; NULL: the model cache's, else reference_cache(). Where it
                           cannot be made or written, hooks->note says so, and the work goes on without it */
    const Hooks *hooks; /* progress and stop; NULL is fine */
} ReferenceOptions;

typedef struct Reference {
    ReferenceKind kind;
    char *path;
    char sha256[65];      /* of the file; of images: over the hashes of their pixels, in order */
    int64_t images;       /* 0: not stated by the file */
    const char *pipeline; /* "pt" or "tf"; NULL: not stated by the file */
    char weights[65];     /* hash of the network's file; "": not stated by the file */
    Statistics *stats;
    const Statistics *spatial; /* those of stats; NULL unless wanted */
    Features features;         /* rows NULL unless wanted; they lie in a mapped file */
    NpyArray feature_file;     /* that file */
    int64_t left_out;          /* files beside its images that are no images */
    char *image_caveat;        /* a sentence about its images and the files left out; NULL: nothing */
} Reference;

/* On failure *ret_reference is untouched. Errors state what the file is and what is needed: no statistics at all,
 * another pipeline than the one the file was made with, statistics alone where features are wanted, images without
 * options to measure them with. Stopped by the hooks: ERR_CANCELLED. */
bool reference_open(const char *path, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                    Reference *ret_reference, Err *err);
void reference_close(Reference *reference); /* an empty one is fine */

/* What a path is, without measuring or reading all of it: for choosing the pipeline before anything is made. */
typedef struct ReferenceProbe {
    ReferenceKind kind;
    int dim;              /* of the statistics; 0: images */
    int64_t images;       /* 0: not stated by the file */
    int64_t left_out;     /* files beside the images that are no images */
    const char *pipeline; /* "pt" or "tf", NULL: not stated; "tf" for ADM's .npz, by its mu_s and sigma_s */
    bool has_images, has_spatial;
} ReferenceProbe;
bool reference_probe(const char *path, ReferenceProbe *ret_probe, Err *err);
/* SHA-256 of the network's weights that a file of statistics states; "" where it states none. */
void reference_network(const char *path, char ret_hex[65]);

typedef struct ReferenceImages {
    char sha256[65];
    int64_t images, left_out;
    char *caveat; /* as image_caveat of a Reference. Owned. */
} ReferenceImages;
/* Content hash and count of images, from the cache where nothing changed, else by reading all of them. cache NULL:
 * reference_cache(). */
bool reference_name_images(const char *path, const char *cache, const Hooks *hooks, ReferenceImages *ret_images,
                           Err *err);

/* A warning about what the reference does not state or has too few images for; NULL: none. Caller frees. */
char *reference_caveat(const Reference *reference, Resize pipeline);

/* An .npz that reads back as statistics: mu, sigma, where known mu_s, sigma_s, num_images, pipeline, weights. Whole or
 * not at all. Other tools read the first two. */
bool reference_save(const char *path, const Reference *reference, Err *err);

/* The default folder for measurements: $XDG_CACHE_HOME/ddq or ~/.cache/ddq (without HOME, that of the user database).
 * Caller frees. */
char *reference_cache(void);

#endif
