/* What images a path holds: their hash, their count and what is to be said about them, from the cache where nothing
 * changed. reference_cache.c has the files of the cache. */
#include <inttypes.h>
#include <math.h>
#include <openssl/sha.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "worker/evaluate/reference_parts.h"

enum { SETTLED_S = 2 };

char *reference_cache(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (base && base[0] == '/')
        return xasprintf("%s/ddq", base);
    const struct passwd *entry = home && home[0] == '/' ? NULL : getpwuid(geteuid());
    if (entry)
        home = entry->pw_dir;
    return xasprintf("%s/.cache/ddq", home && home[0] == '/' ? home : "/var");
}

/* Goes on without it. The note names no file, so that the same one is said once. */
void reference_cache_lost(ReferenceCache *cache, const Err *why)
{
    if (!cache->folder)
        return;
    const char *colon = strrchr(why->text, ':');
    char *text = xasprintf("the cache of measured images, %s, cannot be used: %s; measured without it", cache->folder,
                           colon ? colon + 2 : why->text);
    hooks_note(cache->hooks, text);
    free(text);
    free(cache->folder);
    cache->folder = NULL;
}

ReferenceCache reference_cache_open(const char *folder, const Hooks *hooks)
{
    char *own = folder ? NULL : reference_cache();
    ReferenceCache cache = {.folder = xasprintf("%s/references", folder ? folder : own), .hooks = hooks};
    Err why = {0};
    if (!file_make_folders(cache.folder, 0777, 0777, &why))
        reference_cache_lost(&cache, &why);
    free(own);
    return cache;
}

void reference_cache_close(ReferenceCache *cache)
{
    free(cache->folder);
}

/* --- listings --------------------------------------------------------------------------------------- */

typedef struct Listing {
    char hex[65];
    bool settled; /* nothing in it changed just now */
    int64_t left_out;
    char *caveat; /* about the files left out; NULL: none */
} Listing;

void reference_hex(const char *text, char ret_hex[65])
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
    reference_hex(text.data, listing->hex);
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

/* --- what a path holds ------------------------------------------------------------------------------ */

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

bool reference_content(const char *path, ReferenceCache *cache, ReferenceImages *images, Err *err)
{
    Listing listing = {.caveat = NULL};
    ImageTally tally = {0};
    Err why = {0};
    if (!list_images(path, &listing, err))
        return false;
    bool good = cache->folder && seen_read(cache->folder, &listing, images, &tally);
    if (!good) {
        tally = (ImageTally){0};
        good = reference_hash(path, cache->hooks, images->sha256, &images->images, &tally, err);
        if (good && cache->folder && !seen_write(cache->folder, &listing, images, &tally, &why))
            reference_cache_lost(cache, &why);
    }
    if (good) {
        images->left_out = listing.left_out;
        images->caveat = caveat_of(&listing, images, &tally);
    }
    free(listing.caveat);
    return good;
}

bool reference_name_images(const char *path, const char *cache_folder, const Hooks *hooks, ReferenceImages *ret_images,
                           Err *err)
{
    ReferenceImages images = {.images = 0};
    ReferenceCache cache = reference_cache_open(cache_folder, hooks);
    bool good = reference_content(path, &cache, &images, err);
    reference_cache_close(&cache);
    if (good)
        *ret_images = images;
    return good;
}
