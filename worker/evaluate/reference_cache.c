/* The cache of measured images, in the folder CACHE/references:
 *
 *     seen-LISTING.json          {"sha256", "images", "traits"}: a listing (names, sizes, times of change) had this
 * content KEY.npz                    statistics, and the spatial ones once they were needed; KEY: content, network,
 *                                pipeline, precision, level
 *     KEY-features.npy           [n,width] f32, likewise
 *     KEY.work/                  what an unfinished measurement has done (reference_shards.c)
 *     KEY.lock                   held while a process measures, so that two processes do not measure the same
 *
 * Every file appears complete, and the value of a key is what the same images would give again, so readers take no
 * lock. A listing is cached only if nothing in it changed in the seconds before it was read: a file that changes twice
 * within one tick of the file system's clock has the same time of change with other content. Images that change while
 * they are measured are an error; nothing of them is cached.
 *
 * The cache is a help alone: where it cannot be made, read or written, a note says so once and the images are measured
 * without it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "worker/evaluate/reference_parts.h"
#include "worker/files/map.h"
#include "worker/models/model_cache.h"

enum { POLL_MS = 100 };

/* --- what a key holds ------------------------------------------------------------------------------- */

typedef struct Entry {                                /* paths */
    char *stats, *features, *unchecked, *work, *lock; /* unchecked: features while they are written */
} Entry;

static Entry entry_of(const char *folder, const Reference *reference, Resize pipeline, const ReferenceOptions *options)
{
    Precision precision = model_cache_feature_precision(options->models, options->precision);
    char *text = xasprintf("reference 1\n%s\n%s\n%s\n%s\n%d\n", reference->sha256, reference->weights,
                           pipeline_name(pipeline), precision_name(precision), options->level),
         key[65];
    reference_hex(text, key);
    free(text);
    return (Entry){
        .stats = xasprintf("%s/%.40s.npz", folder, key),
        .features = xasprintf("%s/%.40s-features.npy", folder, key),
        .unchecked = xasprintf("%s/%.40s-features.npy.%ld.part", folder, key, (long)getpid()),
        .work = xasprintf("%s/%.40s.work", folder, key),
        .lock = xasprintf("%s/%.40s.lock", folder, key),
    };
}

static void entry_free(Entry *entry)
{
    free(entry->stats);
    free(entry->features);
    free(entry->unchecked);
    free(entry->work);
    free(entry->lock);
}

static bool load_features(const Entry *entry, Reference *reference)
{
    NpyArray array;
    if (!npy_open(entry->features, &array, NULL))
        return false;
    if (array.dtype != DTYPE_F32 || array.ndim != 2 || array.shape[0] != reference->images || array.shape[1] < 1 ||
        array.shape[1] > INT32_MAX) {
        npy_free(&array);
        return false;
    }
    reference->feature_file = array;
    reference->features = (Features){array.data, array.shape[0], (int)array.shape[1]};
    return true;
}

static void forget_loaded(Reference *reference)
{
    statistics_free(reference->stats);
    if (reference->feature_file.data)
        npy_free(&reference->feature_file);
    reference->stats = NULL;
    reference->feature_file = (NpyArray){0};
    reference->features = (Features){0};
}

/* What is missing or damaged is measured again. */
static bool load_entry(const Entry *entry, unsigned wants, Reference *reference)
{
    bool good = statistics_load(entry->stats, &reference->stats, NULL) &&
                reference->stats->count == reference->images &&
                (!(wants & REFERENCE_SPATIAL) || reference->stats->spatial) &&
                (!(wants & REFERENCE_FEATURES) || load_features(entry, reference));
    if (!good)
        forget_loaded(reference);
    return good;
}

/* --- the lock --------------------------------------------------------------------------------------- */

/* Waits while another process measures the same. *ret_fd -1: there can be no lock here, and both measure. */
static bool lock_entry(const Entry *entry, const Hooks *hooks, int *ret_fd, Err *err)
{
    *ret_fd = open(entry->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    while (*ret_fd >= 0 && flock(*ret_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            close(*ret_fd);
            *ret_fd = -1;
            break;
        }
        if (hooks_stopped(hooks)) {
            close(*ret_fd);
            return err_set(err, ERR_CANCELLED, "stopped while another process measured the reference");
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    return true;
}

/* --- one entry -------------------------------------------------------------------------------------- */

/* Into the files of the entry; the statistics last, because their file means that the entry is complete. */
static bool keep_entry(const Entry *entry, const Measured *measured, Err *err)
{
    if (measured->filed && !(npy_flush(&measured->features, entry->unchecked, err) &&
                             (rename(entry->unchecked, entry->features) == 0 || err_errno(err, "%s", entry->features))))
        return false;
    if (measured->features.data && !measured->filed)
        return true; /* features in memory: a file of statistics alone would be measured again in any case */
    return statistics_save(entry->stats, measured->stats, err);
}

/* The reference takes over what was measured. */
static void use_measured(Reference *reference, Measured *measured)
{
    reference->stats = measured->stats;
    if (!measured->features.data)
        return;
    reference->feature_file = measured->features;
    reference->features =
        (Features){measured->features.data, measured->features.shape[0], (int)measured->features.shape[1]};
}

/* 1 measure  2 did the images stay as they were?  3 keep it if that is possible. entry NULL: there is no cache. */
static bool make_entry(ReferenceCache *cache, const Entry *entry, unsigned wants, Resize pipeline,
                       const ReferenceOptions *options, Reference *reference, Err *err)
{
    Measured measured = {.images = 0};
    const MeasureTask task = {.path = reference->path,
                              .pipeline = pipeline,
                              .spatial = wants & REFERENCE_SPATIAL,
                              .features = wants & REFERENCE_FEATURES,
                              .file = entry ? entry->unchecked : NULL,
                              .work = entry ? entry->work : NULL};
    if (entry)
        file_sweep(cache->folder);
    if (!reference_measure(&task, options, &measured, err))
        return false;
    bool good = strcmp(measured.sha256, reference->sha256) == 0 && measured.images == reference->images;
    if (good && entry && measured.unkept.kind == ERR_NONE)
        keep_entry(entry, &measured, &measured.unkept);
    if (entry)
        reference_shards_remove(entry->work, measured.images); /* rows of images that changed would be wrong */
    if (measured.filed)
        unlink(entry->unchecked); /* where it was not kept */
    if (measured.unkept.kind != ERR_NONE)
        reference_cache_lost(cache, &measured.unkept);
    use_measured(reference, &measured);
    return good || err_set(err, ERR_IO,
                           "images %s: they changed while they were measured; try again when no other process writes "
                           "there",
                           reference->path);
}

static bool load_or_make(ReferenceCache *cache, unsigned wants, Resize pipeline, const ReferenceOptions *options,
                         Reference *reference, Err *err)
{
    if (!cache->folder)
        return make_entry(cache, NULL, wants, pipeline, options, reference, err);
    Entry entry = entry_of(cache->folder, reference, pipeline, options);
    int lock = -1;
    bool good = load_entry(&entry, wants, reference);
    if (!good && lock_entry(&entry, options->hooks, &lock, err))
        good = load_entry(&entry, wants, reference) || /* made while we waited */
               make_entry(cache, &entry, wants, pipeline, options, reference, err);
    if (lock >= 0)
        close(lock);
    entry_free(&entry);
    return good;
}

bool reference_recall(const char *path, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                      Reference *reference, Err *err)
{
    ReferenceImages images = {.images = 0};
    bool good = file_sha256(options->inception, reference->weights, err) || err_wrap(err, "Inception weights");
    if (!good)
        return false;
    ReferenceCache cache =
        reference_cache_open(options->cache ? options->cache : model_cache_folder(options->models), options->hooks);
    good = reference_content(path, &cache, &images, err);
    if (good) {
        memcpy(reference->sha256, images.sha256, sizeof reference->sha256);
        reference->images = images.images;
        reference->left_out = images.left_out;
        reference->image_caveat = images.caveat;
        good = load_or_make(&cache, wants, pipeline, options, reference, err);
    }
    reference_cache_close(&cache);
    if (good)
        reference->pipeline = pipeline_name(pipeline);
    return good;
}
