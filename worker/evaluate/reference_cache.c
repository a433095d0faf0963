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
 * they are measured are an error; nothing of them is cached. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "worker/evaluate/reference_parts.h"
#include "worker/files/map.h"
#include "worker/models/model_cache.h"

enum { SETTLED_S = 2, POLL_MS = 100 };

char *reference_cache(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && base[0] == '/')
        return xasprintf("%s/ddq", base);
    return xasprintf("%s/.cache/ddq", home && home[0] == '/' ? home : "/var/cache");
}

/* --- listings --------------------------------------------------------------------------------------- */

typedef struct Listing {
    char hex[65];
    bool settled; /* nothing in it changed just now */
    int64_t left_out;
    char *caveat; /* about the files left out; NULL: none */
} Listing;

static void hex_of(const char *text, char ret_hex[65])
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)text, strlen(text), digest);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", digest[i]);
}

static bool list_file(Buf *text, const char *path, const struct timespec *now, bool *settled, Err *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return err_errno(err, "images %s", path);
    buf_printf(text, "%s\t%" PRIu64 "\t%" PRId64 "\t%" PRId64 ".%09ld\t%" PRId64 ".%09ld\n", path, (uint64_t)st.st_ino,
               (int64_t)st.st_size, (int64_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (int64_t)st.st_ctim.tv_sec,
               st.st_ctim.tv_nsec);
    if (st.st_ctim.tv_sec > now->tv_sec - SETTLED_S)
        *settled = false;
    return true;
}

static bool list_images(const char *path, Listing *listing, Err *err)
{
    ImageSource *source = image_source_open(path, err);
    if (!source)
        return false;
    struct stat st;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    bool folder = stat(path, &st) == 0 && S_ISDIR(st.st_mode), ok = true;
    char *real = realpath(path, NULL);
    Buf text = {0};
    listing->settled = true;
    buf_printf(&text, "%s\n", real ? real : path);
    for (int64_t i = 0; ok && i < (folder ? image_source_count(source) : 1); i++) {
        char *file = image_source_path(source, i);
        ok = list_file(&text, file, &now, &listing->settled, err);
        free(file);
    }
    hex_of(text.data, listing->hex);
    listing->left_out = image_source_left_out(source);
    listing->caveat = image_source_caveat(source);
    buf_free(&text);
    free(real);
    image_source_close(source);
    return ok;
}

/* --- what a listing held ---------------------------------------------------------------------------- */

static char *seen_path(const char *folder, const Listing *listing)
{
    return xasprintf("%s/seen-%.40s.json", folder, listing->hex);
}

static bool seen_read(const char *folder, const Listing *listing, ReferenceImages *images, ImageTally *tally)
{
    char *path = seen_path(folder, listing), *text = NULL;
    cJSON *json = file_read_text("cache", path, 4096, &text, NULL) ? cJSON_Parse(text) : NULL;
    free(text);
    free(path);
    const char *hex = json_text(json, "sha256", "");
    const double count = json_number(json, "images", NAN);
    bool good = strlen(hex) == 64 && isfinite(count) &&
                image_tally_read(tally, cJSON_GetObjectItemCaseSensitive(json, "traits"));
    if (good) {
        memcpy(images->sha256, hex, sizeof images->sha256);
        images->images = (int64_t)count;
    }
    cJSON_Delete(json);
    return good;
}

static bool seen_write(const char *folder, const Listing *listing, const ReferenceImages *images,
                       const ImageTally *tally, Err *err)
{
    if (!listing->settled)
        return true;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "sha256", images->sha256);
    cJSON_AddNumberToObject(json, "images", (double)images->images);
    cJSON_AddItemToObject(json, "traits", image_tally_json(tally));
    char *path = seen_path(folder, listing), *text = cJSON_PrintUnformatted(json);
    bool ok = file_write(path, text, strlen(text), err);
    cJSON_free(text);
    cJSON_Delete(json);
    free(path);
    return ok;
}

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
    hex_of(text, key);
    free(text);
    return (Entry){
        .stats = xasprintf("%s/%.40s.npz", folder, key),
        .features = xasprintf("%s/%.40s-features.npy", folder, key),
        .unchecked = xasprintf("%s/%.40s-features.npy.new", folder, key),
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

/* Waits while another process measures the same. *ret_fd -1: this file system has no locks, and both measure. */
static bool lock_entry(const Entry *entry, const Hooks *hooks, int *ret_fd, Err *err)
{
    int fd = open(entry->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return err_errno(err, "cache %s", entry->lock);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR) {
            close(fd);
            fd = -1;
            break;
        }
        if (hooks_stopped(hooks)) {
            close(fd);
            return err_set(err, ERR_CANCELLED, "stopped while another process measured the reference");
        }
        nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    *ret_fd = fd;
    return true;
}

/* --- one entry -------------------------------------------------------------------------------------- */

/* 1 measure  2 did the images stay as they were?  3 keep it; the statistics last, because their file means that the
 * entry is complete */
static bool make_entry(const Entry *entry, unsigned wants, Resize pipeline, const ReferenceOptions *options,
                       Reference *reference, Err *err)
{
    Measured measured = {.images = 0};
    const char *features = wants & REFERENCE_FEATURES ? entry->unchecked : NULL;
    const MeasureTask task = {.path = reference->path,
                              .pipeline = pipeline,
                              .spatial = wants & REFERENCE_SPATIAL,
                              .features = features,
                              .work = entry->work};
    if (!reference_measure(&task, options, &measured, err))
        return false;
    bool good = strcmp(measured.sha256, reference->sha256) == 0 && measured.images == reference->images;
    if (!good) {
        err_set(err, ERR_IO,
                "images %s: they changed while they were measured; try again when no other process writes there",
                reference->path);
        if (features)
            unlink(features);
    }
    if (good && features && rename(features, entry->features) != 0)
        good = err_errno(err, "cache %s", entry->features);
    good = good && statistics_save(entry->stats, measured.stats, err);
    reference_shards_remove(entry->work, measured.images); /* rows of images that changed would be wrong */
    statistics_free(measured.stats);
    return good;
}

/* What is left out, and what the images are, in one sentence. */
static char *caveat_of(const Listing *listing, const ReferenceImages *images, const ImageTally *tally)
{
    char *traits = image_tally_caveat(tally, images->images);
    char *both = traits && listing->caveat ? xasprintf("%s; %s", traits, listing->caveat) : NULL;
    if (!both)
        return traits ? traits : listing->caveat ? xstrdup(listing->caveat) : NULL;
    free(traits);
    return both;
}

static bool name_content(const char *path, const char *folder, const Hooks *hooks, ReferenceImages *images, Err *err)
{
    Listing listing = {.caveat = NULL};
    ImageTally tally = {0};
    if (!(file_make_folders(folder, 0777, 0777, err) || err_wrap(err, "cache")) || !list_images(path, &listing, err))
        return false;
    bool good = seen_read(folder, &listing, images, &tally);
    if (!good) {
        tally = (ImageTally){0};
        good = reference_hash(path, hooks, images->sha256, &images->images, &tally, err) &&
               seen_write(folder, &listing, images, &tally, err);
    }
    if (good) {
        images->left_out = listing.left_out;
        images->caveat = caveat_of(&listing, images, &tally);
    }
    free(listing.caveat);
    return good;
}

static char *folder_of(const char *cache)
{
    char *own = cache ? NULL : reference_cache(), *folder = xasprintf("%s/references", cache ? cache : own);
    free(own);
    return folder;
}

bool reference_name_images(const char *path, const char *cache, const Hooks *hooks, ReferenceImages *ret_images,
                           Err *err)
{
    ReferenceImages images = {.images = 0};
    char *folder = folder_of(cache);
    bool good = name_content(path, folder, hooks, &images, err);
    free(folder);
    if (good)
        *ret_images = images;
    return good;
}

static bool load_or_make(const char *folder, unsigned wants, Resize pipeline, const ReferenceOptions *options,
                         Reference *reference, Err *err)
{
    Entry entry = entry_of(folder, reference, pipeline, options);
    int lock = -1;
    bool good = load_entry(&entry, wants, reference);
    if (!good && lock_entry(&entry, options->hooks, &lock, err)) {
        good = load_entry(&entry, wants, reference) || /* made while we waited */
               make_entry(&entry, wants, pipeline, options, reference, err);
        if (good && !reference->stats && !load_entry(&entry, wants, reference))
            good = err_set(err, ERR_IO, "cache %s: what was written a moment ago cannot be read", entry.stats);
    }
    if (lock >= 0)
        close(lock);
    entry_free(&entry);
    return good;
}

bool reference_recall(const char *path, Resize pipeline, unsigned wants, const ReferenceOptions *options,
                      Reference *reference, Err *err)
{
    char *folder = folder_of(options->cache ? options->cache : model_cache_folder(options->models));
    bool good = file_sha256(options->inception, reference->weights, err) || err_wrap(err, "Inception weights");
    ReferenceImages images = {.images = 0};
    good = good && name_content(path, folder, options->hooks, &images, err);
    if (good) {
        memcpy(reference->sha256, images.sha256, sizeof reference->sha256);
        reference->images = images.images;
        reference->left_out = images.left_out;
        reference->image_caveat = images.caveat;
        good = load_or_make(folder, wants, pipeline, options, reference, err);
    }
    free(folder);
    if (good)
        reference->pipeline = pipeline_name(pipeline);
    return good;
}
