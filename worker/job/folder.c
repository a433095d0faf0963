/* job.json is the mark of ownership: {"identity", "parts", "spec", "inputs", "version", "created"}, and
 * "submitted" for a job that came from a queue (`ddq adopt` reads it). Two workers that
 * claim one folder for the same job write the same mark. */
#include "worker/job/folder.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/file.h"
#include "core/mem.h"
#include "core/stall.h"
#include "worker/files/map.h"

/* A folder without job.json that holds any of these has results of unknown origin. */
static const char *const results[] = {"images",      "blocks",       "report.json",
                                      "samples.npz", "features.npy", "statistics.npz"};

char *folder_path(const char *output, const char *name)
{
    return xasprintf("%s/%s", output, name);
}

bool folder_has(const char *output, const char *name)
{
    char *path = folder_path(output, name);
    struct stat st;
    stall_enter(path);
    bool has = stat(path, &st) == 0 && st.st_size > 0;
    stall_leave();
    free(path);
    return has;
}

void folder_remove(const char *output, const char *name)
{
    char *path = folder_path(output, name);
    unlink(path);
    free(path);
}

cJSON *folder_read_json(const char *output, const char *name)
{
    char *path = folder_path(output, name);
    FileMap map = {0};
    cJSON *object = NULL;
    if (file_map(path, &map, NULL)) {
        object = cJSON_ParseWithLength((const char *)map.data, map.size);
        file_unmap(&map);
    }
    free(path);
    return object;
}

static bool refuse(const char *output, const char *why, Err *err)
{
    return err_set(err, ERR_USAGE, "output %s: %s; choose another folder, or remove this one", output, why);
}

static bool check_unmarked(const char *output, Err *err)
{
    for (size_t i = 0; i < countof(results); i++)
        if (folder_has(output, results[i])) {
            char *why = xasprintf("it holds %s but no job.json that says what made it", results[i]);
            refuse(output, why, err);
            free(why);
            return false;
        }
    return true;
}

static bool check_marked(const char *output, const cJSON *mark, const Identity *identity, Err *err)
{
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(mark, "identity");
    const cJSON *parts = cJSON_GetObjectItemCaseSensitive(mark, "parts");
    if (!cJSON_IsString(found) || !cJSON_IsObject(parts))
        return refuse(output, "its job.json is not one that ddq-worker wrote", err);
    if (strcmp(found->valuestring, identity->images) == 0)
        return true;
    char *difference = identity_difference(parts, identity->parts);
    char *why = xasprintf("it holds another job (%s)", difference ? difference : "of another version");
    refuse(output, why, err);
    free(difference);
    free(why);
    return false;
}

bool folder_check(const char *output, const Identity *identity, Err *err)
{
    stall_enter(output);
    bool good = (file_make_folders(output, 0777, 0777, err) || err_wrap(err, "output %s", output)) &&
                (access(output, W_OK | X_OK) == 0 || err_errno(err, "output %s cannot be written", output));
    stall_leave();
    if (!good)
        return false;
    if (!folder_has(output, "job.json"))
        return check_unmarked(output, err);
    cJSON *mark = folder_read_json(output, "job.json");
    good = check_marked(output, mark, identity, err);
    cJSON_Delete(mark);
    return good;
}

cJSON *folder_inputs_json(const Identity *identity)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; i < identity->count; i++) {
        cJSON *input = cJSON_CreateObject();
        cJSON_AddStringToObject(input, "field", identity->inputs[i].field);
        cJSON_AddStringToObject(input, "path", identity->inputs[i].path);
        cJSON_AddStringToObject(input, "sha256", identity->inputs[i].sha256);
        cJSON_AddNumberToObject(input, "bytes", (double)identity->inputs[i].bytes);
        cJSON_AddItemToArray(list, input);
    }
    return list;
}

static bool write_mark(const char *output, const JobSpec *spec, const Identity *identity, const cJSON *submitted,
                       Err *err)
{
    char now[25];
    wall_iso(wall_ms(), now);
    cJSON *mark = cJSON_CreateObject();
    cJSON_AddStringToObject(mark, "identity", identity->images);
    cJSON_AddItemToObject(mark, "spec", jobspec_to_json(spec, FORM_EXEC));
    cJSON_AddItemToObject(mark, "inputs", folder_inputs_json(identity));
    cJSON_AddStringToObject(mark, "version", DDQ_VERSION);
    cJSON_AddStringToObject(mark, "created", now);
    cJSON_AddItemToObject(mark, "parts", cJSON_Duplicate(identity->parts, true));
    if (submitted)
        cJSON_AddItemToObject(mark, "submitted", cJSON_Duplicate(submitted, true));
    char *path = folder_path(output, "job.json"), *text = cJSON_Print(mark);
    bool good = file_write(path, text, strlen(text), err);
    cJSON_free(text);
    free(path);
    cJSON_Delete(mark);
    return good;
}

/* Removes unfinished files of killed workers, once per process. */
static void sweep_once(const char *folder)
{
    static char *swept[2];
    static int next;
    for (int i = 0; i < 2; i++)
        if (swept[i] && strcmp(swept[i], folder) == 0)
            return;
    file_sweep(folder);
    free(swept[next]);
    swept[next] = xstrdup(folder);
    next = !next;
}

static bool make_subfolder(const char *output, const char *name, Err *err)
{
    char *path = folder_path(output, name);
    stall_enter(path);
    bool good = mkdir(path, 0777) == 0 || errno == EEXIST || err_errno(err, "cannot make the folder %s", path);
    stall_leave();
    if (good)
        sweep_once(path);
    free(path);
    return good || file_not_written(err);
}

bool folder_claim(const char *output, const JobSpec *spec, const Identity *identity, const cJSON *submitted, Err *err)
{
    return (folder_has(output, "job.json") || write_mark(output, spec, identity, submitted, err)) &&
           make_subfolder(output, "blocks", err) &&
           (!(jobkind_of(spec->kind)->makes_images && spec->save & SAVE_PNG) || make_subfolder(output, "images", err));
}
