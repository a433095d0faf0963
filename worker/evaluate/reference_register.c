/* Entries appear whole, statistics before the entry that names them; a lock keeps two processes from registering at
 * once. */
#include "worker/evaluate/reference_register.h"

#include <errno.h>
#include <fcntl.h>
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
#include "spec/references.h"
#include "worker/files/map.h"

/* --- whose name it is ------------------------------------------------------------------------------- */

/* *ret_same: the entry that is there has this content already. */
static bool name_free(const Registration *r, const char *sha256, bool *ret_same, Err *err)
{
    cJSON *old = NULL;
    Err none = {0};
    *ret_same = false;
    if (!references_read(r->folder, r->name, &old, &none))
        return none.kind == ERR_NOT_FOUND || err_set(err, none.kind, "%s; remove it first", none.text);
    bool own = strcmp(json_text(old, "user", ""), r->user) == 0,
         same = strcmp(json_text(old, "sha256", ""), sha256) == 0;
    bool good = true;
    if (!own)
        good = err_set(err, ERR_PERMISSION, "reference %s: %s registered this name; take another one", r->name,
                       json_text(old, "user", ""));
    else if (!same && !r->replace)
        good = err_set(
            err, ERR_REFUSED,
            "reference %s: you registered it with other content (sha256 %.12s); give --replace, or take another "
            "name",
            r->name, json_text(old, "sha256", ""));
    *ret_same = good && same;
    cJSON_Delete(old);
    return good;
}

/* The folder and what is in it belong to all users of the queue: their modes are those of the output root, never by the
 * umask of who comes first. *ret_fd -1: this file system has no locks. *ret_mode: of files. */
static bool lock_folder(const char *folder, int *ret_fd, int *ret_mode, Err *err)
{
    int mode = 0;
    if (!file_make_shared_folder(folder, &mode, err))
        return err_wrap(err, "references");
    char *path = xasprintf("%s/.lock", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat st;
    *ret_mode = mode & 0666;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid())
        fchmod(fd, (mode_t)*ret_mode);
    free(path);
    if (fd < 0)
        return err_errno(err, "references %s: .lock", folder);
    while (flock(fd, LOCK_EX) != 0)
        if (errno != EINTR) {
            close(fd);
            fd = -1;
            break;
        }
    *ret_fd = fd;
    return true;
}

/* --- the entry -------------------------------------------------------------------------------------- */

static cJSON *new_entry(const Registration *r, const char *kind, const char *path, const char *sha256)
{
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc;
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    cJSON *entry = cJSON_CreateObject();
    cJSON_AddStringToObject(entry, "name", r->name);
    cJSON_AddStringToObject(entry, "kind", kind);
    cJSON_AddStringToObject(entry, "path", path);
    cJSON_AddStringToObject(entry, "sha256", sha256);
    cJSON_AddStringToObject(entry, "user", r->user);
    cJSON_AddStringToObject(entry, "registered", now);
    cJSON_AddStringToObject(entry, "version", DDQ_VERSION);
    return entry;
}

static void add_facts(cJSON *entry, int64_t images, int dims, const char *pipeline, bool features, bool spatial)
{
    if (images > 0)
        cJSON_AddNumberToObject(entry, "images", (double)images);
    if (dims > 0)
        cJSON_AddNumberToObject(entry, "dims", dims);
    json_add_text(entry, "pipeline", pipeline);
    cJSON_AddBoolToObject(entry, "features", features);
    cJSON_AddBoolToObject(entry, "spatial", spatial);
}

/* Consumes the entry. */
static bool write_entry(const Registration *r, int mode, cJSON *entry, cJSON **ret_entry, Err *err)
{
    char *path = references_file(r->folder, r->name, "json"), *text = cJSON_Print(entry);
    bool good = file_write_shared(path, text, strlen(text), mode, err);
    cJSON_free(text);
    free(path);
    if (good && ret_entry)
        *ret_entry = entry;
    else
        cJSON_Delete(entry);
    return good;
}

static bool check_name(const Registration *r, Err *err)
{
    return references_name_ok(r->name) ||
           err_set(err, ERR_USAGE,
                   "'%.64s' cannot be the name of a reference; wanted letters, digits, '.', '_' and '-'", r->name);
}

/* --- the two kinds ---------------------------------------------------------------------------------- */

/* 1 write it beside the final name, to compute its hash  2 is the name free for it?  3 into its place  4 the entry */
static bool copy_locked(const Registration *r, int mode, const Reference *reference, const char *source,
                        cJSON **ret_entry, Err *err)
{
    char *file = references_file(r->folder, r->name, "npz"), *part = references_file(r->folder, r->name, "npz.new");
    char sha256[65];
    bool same = false;
    bool good = reference_save(part, reference, err) && file_sha256(part, sha256, err) &&
                name_free(r, sha256, &same, err) &&
                ((chmod(part, (mode_t)mode) == 0 && rename(part, file) == 0) || err_errno(err, "%s", file));
    if (good) {
        char *own = references_file(".", r->name, "npz");
        cJSON *entry = new_entry(r, "statistics", own + 2, sha256);
        free(own);
        add_facts(entry, reference->images, reference->stats->dim, reference->pipeline, false,
                  reference->stats->spatial != NULL);
        json_add_text(entry, "inception", reference->weights);
        json_add_text(entry, "source", source);
        json_add_text(entry, "source_sha256", reference->sha256);
        good = write_entry(r, mode, entry, ret_entry, err);
    } else {
        unlink(part);
    }
    free(file);
    free(part);
    return good;
}

bool reference_register_copy(const Registration *registration, const Reference *reference, const char *source,
                             cJSON **ret_entry, Err *err)
{
    int lock = -1, mode = 0;
    bool good = check_name(registration, err) && lock_folder(registration->folder, &lock, &mode, err) &&
                copy_locked(registration, mode, reference, source, ret_entry, err);
    if (lock >= 0)
        close(lock);
    return good;
}

bool reference_register_path(const Registration *registration, const char *path, const ReferenceProbe *probe,
                             const char *sha256, const char *pipeline, const char *network, cJSON **ret_entry, Err *err)
{
    int lock = -1, mode = 0;
    bool same = false;
    char *real = realpath(path, NULL);
    bool good = (real || err_errno(err, "reference %s", path)) && check_name(registration, err) &&
                lock_folder(registration->folder, &lock, &mode, err) && name_free(registration, sha256, &same, err);
    if (good) {
        cJSON *entry = new_entry(registration, reference_kind_name(probe->kind), real, sha256);
        add_facts(entry, probe->images, probe->dim, pipeline, probe->has_images,
                  probe->has_spatial || probe->kind != REFERENCE_STATISTICS);
        if (*network)
            cJSON_AddStringToObject(entry, "inception", network);
        good = write_entry(registration, mode, entry, ret_entry, err);
    }
    if (lock >= 0)
        close(lock);
    free(real);
    return good;
}
