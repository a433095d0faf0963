#include "client/jobs/jobfolder.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/queue/job.h"
#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/report/figure.h"
#include "spec/jobspec.h"
#include "spec/jobtraits.h"
#include "spec/model.h"

enum { JSON_MAX = 1 << 24, RANGES_MAX = 20000 /* that ddq_adopt takes; what lies behind is found by the worker */ };

typedef struct Range {
    int64_t lo, hi;
} Range;

static char *below(const char *path, const char *name)
{
    return xasprintf("%s/%s", path, name);
}

bool jobfolder_is(const char *path)
{
    char *file = below(path, "job.json");
    bool is = access(file, F_OK) == 0 || errno == EACCES; /* reading it will say so */
    free(file);
    return is;
}

/* NULL: not there, too long, or no JSON. */
static cJSON *read_json(const char *path)
{
    struct stat st;
    char *text = NULL;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || !file_read_text("file", path, JSON_MAX, &text, NULL))
        return NULL;
    cJSON *json = cJSON_Parse(text);
    free(text);
    return json;
}

static cJSON *read_below(const char *path, const char *name)
{
    char *file = below(path, name);
    cJSON *json = read_json(file);
    free(file);
    return json;
}

/* --- which images are there ------------------------------------------------------------------------------- */

/* A shard of this job: its manifest has the range of its name, and the identity of job.json. */
static bool is_shard(const char *path, const char *name, const char *identity, Range *ret_range)
{
    int used = 0;
    if (name[0] == '.' || sscanf(name, "%" SCNd64 "-%" SCNd64 ".json%n", &ret_range->lo, &ret_range->hi, &used) != 2 ||
        !used || name[used] || ret_range->lo < 0 || ret_range->hi <= ret_range->lo)
        return false;
    cJSON *manifest = read_below(path, name);
    bool is = manifest && strcmp(json_text(manifest, "identity", ""), identity) == 0 &&
              json_number(manifest, "lo", -1) == (double)ret_range->lo &&
              json_number(manifest, "hi", -1) == (double)ret_range->hi;
    cJSON_Delete(manifest);
    return is;
}

static int compare(const void *a, const void *b)
{
    const Range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

static void add_range(JobFolder *folder, const Range *range)
{
    if (range->hi <= range->lo || cJSON_GetArraySize(folder->have) >= RANGES_MAX)
        return;
    char text[48];
    snprintf(text, sizeof text, "%" PRId64 "-%" PRId64, range->lo, range->hi);
    cJSON_AddItemToArray(folder->have, cJSON_CreateString(text));
    folder->there += range->hi - range->lo;
}

/* Shards may overlap; the ranges in `have` do not. */
static void join(JobFolder *folder, Range *shards, size_t count)
{
    Range whole = {0, 0};
    qsort(shards, count, sizeof *shards, compare);
    for (size_t i = 0; i < count; i++) {
        if (shards[i].lo > whole.hi) {
            add_range(folder, &whole);
            whole = shards[i];
        } else if (shards[i].hi > whole.hi) {
            whole.hi = shards[i].hi;
        }
    }
    add_range(folder, &whole);
}

static void find_shards(const char *path, const char *identity, JobFolder *folder)
{
    char *blocks = below(path, "blocks");
    DIR *dir = opendir(blocks);
    Range *shards = NULL, shard;
    size_t count = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (is_shard(blocks, entry->d_name, identity, &shard) && shard.hi <= folder->images) {
            shards = xrealloc(shards, (count + 1) * sizeof *shards);
            shards[count++] = shard;
        }
    if (dir)
        closedir(dir);
    if (count)
        join(folder, shards, count);
    free(shards);
    free(blocks);
}

/* --- the report ------------------------------------------------------------------------------------------- */

static bool outputs_there(const char *path, const cJSON *names)
{
    const cJSON *name;
    bool all = cJSON_IsArray(names);
    cJSON_ArrayForEach(name, names)
    {
        char *file = below(path, cJSON_IsString(name) ? name->valuestring : "?");
        all = all && access(file, F_OK) == 0;
        free(file);
    }
    return all;
}

static void find_report(const char *path, const char *identity, JobFolder *folder)
{
    cJSON *report = read_below(path, "report.json");
    bool sample = folder->images > 0;
    folder->finished =
        report && strcmp(json_text(report, "identity", ""), identity) == 0 &&
        outputs_there(path, cJSON_GetObjectItemCaseSensitive(report, "outputs")) &&
        (!sample || (folder->there == folder->images && json_number(report, "images", -1) == (double)folder->images));
    if (folder->finished) {
        folder->fid = json_number(report, "fid", NAN);
        folder->measured = json_int(report, "images", 0);
        folder->metrics = cJSON_CreateObject();
        figures_copy(folder->metrics, "", report);
        figures_copy(folder->metrics, "tf_", cJSON_GetObjectItemCaseSensitive(report, "tf"));
    }
    cJSON_Delete(report);
}

/* --- the mark --------------------------------------------------------------------------------------------- */

/* As worker/job/identity.h has them for the queue, by what job.json has. */
static cJSON *files_of(const cJSON *mark)
{
    cJSON *files = cJSON_CreateObject();
    const cJSON *input, *spec = cJSON_GetObjectItemCaseSensitive(mark, "spec");
    cJSON_ArrayForEach(input, cJSON_GetObjectItemCaseSensitive(mark, "inputs"))
        json_add_text(files, json_text(input, "field", ""), json_text(input, "sha256", ""));
    const JobKindRow *kind = jobkind_named(json_text(spec, "kind", ""));
    if (kind && kind->uses_model) {
        char *parts[MODEL_ROLES];
        for (ModelRole role = 0; role < MODEL_ROLES; role++)
            parts[role] = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(spec, model_role_part(role)));
        char *settings = model_settings(json_text(spec, "family", NULL), (int)json_number(spec, "heads", 0),
                                        (int)json_number(spec, "grid", 0), parts);
        cJSON_AddStringToObject(files, "settings", settings);
        free(settings);
    }
    return files;
}

static bool take_mark(const char *path, cJSON *mark, JobFolder *folder, Err *err)
{
    if (!cJSON_IsObject(mark) || !*json_text(mark, "identity", ""))
        return err_set(err, ERR_FORMAT, "%s: its job.json was not written by ddq-worker", path);
    snprintf(folder->created, sizeof folder->created, "%s", json_text(mark, "created", ""));
    folder->files = files_of(mark);
    folder->submitted = cJSON_DetachItemFromObjectCaseSensitive(mark, "submitted");
    folder->spec = cJSON_DetachItemFromObjectCaseSensitive(folder->submitted, "spec");
    if (!cJSON_IsObject(folder->submitted) || !*json_text(folder->submitted, "id", "") ||
        !*json_text(folder->submitted, "user", ""))
        return err_set(err, ERR_FORMAT,
                       "%s: its job.json has no submission, because the job ran without a queue; submit it again",
                       path);
    JobSpec *spec = NULL;
    if (!jobspec_parse(folder->spec, FORM_QUEUED, &spec, err))
        return err_wrap(err, "%s/job.json", path);
    folder->images = jobkind_of(spec->kind)->reads_source ? 0 : spec->images;
    jobspec_add_keys(folder->submitted, folder->spec); /* job.json has none: they follow from the spec */
    jobspec_free(spec);
    if (json_number(folder->submitted, "images", 0) != (double)folder->images)
        return err_set(err, ERR_FORMAT, "%s: its job.json has two numbers of images, %.0f and %" PRId64, path,
                       json_number(folder->submitted, "images", 0), folder->images);
    return true;
}

static bool read_folder(const char *path, bool all, JobFolder *ret_folder, Err *err)
{
    JobFolder folder = {.have = cJSON_CreateArray(), .fid = NAN};
    char *file = below(path, "job.json");
    bool ok = access(file, R_OK) == 0 || err_errno(err, "%s", file);
    cJSON *mark = ok ? read_json(file) : NULL;
    free(file);
    ok = ok && take_mark(path, mark, &folder, err);
    char *report = below(path, "report.json");
    if (ok && all && folder.images)
        find_shards(path, json_text(mark, "identity", ""), &folder);
    if (ok && all)
        find_report(path, json_text(mark, "identity", ""), &folder);
    else if (ok)
        folder.finished = access(report, F_OK) == 0;
    free(report);
    cJSON_Delete(mark);
    if (ok)
        *ret_folder = folder;
    else
        jobfolder_done(&folder);
    return ok;
}

bool jobfolder_read(const char *path, JobFolder *ret_folder, Err *err)
{
    return read_folder(path, true, ret_folder, err);
}

bool jobfolder_peek(const char *path, JobFolder *ret_folder, Err *err)
{
    return read_folder(path, false, ret_folder, err);
}

void jobfolder_done(JobFolder *folder)
{
    cJSON_Delete(folder->submitted);
    cJSON_Delete(folder->spec);
    cJSON_Delete(folder->have);
    cJSON_Delete(folder->metrics);
    cJSON_Delete(folder->files);
    *folder = (JobFolder){0};
}
