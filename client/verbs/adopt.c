/* ddq adopt: restores jobs that Redis no longer has from their folders. A folder is read (jobfolder.h) and sent to
 * ddq_adopt, which decides. In a folder that is not a job's, the folders below are searched, two levels: USER/NAME. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd.h"
#include "client/jobs/jobfolder.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "core/json.h"
#include "core/mem.h"

enum { DEPTH = 2 };

typedef struct Adopt {
    Cmd *cmd;
    const char *user;
    cJSON *roots; /* real paths of the daemons' output folders, or of the configuration's */
    cJSON *rows;  /* what is printed as JSON */
} Adopt;

/* --- folders of jobs --------------------------------------------------------------------------------------- */

static void add_root(cJSON *roots, const char *path)
{
    char real[PATH_MAX];
    if (path && realpath(path, real))
        cJSON_AddItemToArray(roots, cJSON_CreateString(real));
}

static bool find_roots(Adopt *adopt, Err *err)
{
    cJSON *hosts;
    const cJSON *host;
    const Conf *conf;
    if (!registry_hosts(adopt->cmd, &hosts, err))
        return false;
    cJSON_ArrayForEach(host, hosts) add_root(adopt->roots, json_text(host, "root", ""));
    bool alive = hosts->child != NULL;
    cJSON_Delete(hosts);
    if (alive)
        return true;
    if (!cmd_conf(adopt->cmd, &conf, err))
        return false;
    char *own = conf_output_root(conf);
    add_root(adopt->roots, own);
    free(own);
    return true;
}

/* "ada/mine": the folder's name in the queue. */
static bool name_of(const Adopt *adopt, const char *real, const char **ret_name, Err *err)
{
    const cJSON *root;
    cJSON_ArrayForEach(root, adopt->roots)
    {
        size_t len = strlen(root->valuestring);
        if (strncmp(real, root->valuestring, len) == 0 && real[len] == '/') {
            *ret_name = real + len + 1;
            return true;
        }
    }
    const char *first = adopt->roots->child ? adopt->roots->child->valuestring : NULL;
    return err_set(err, ERR_USAGE, "%s is not below %s, where the daemons look for jobs; move it to %s/USER/NAME", real,
                   first ? first : "an output root that is visible from here", first ? first : "OUTPUT_ROOT");
}

/* --- one folder -------------------------------------------------------------------------------------------- */

static cJSON *args_of(const Adopt *adopt, JobFolder *folder, const char *name)
{
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "by", adopt->user);
    cJSON_AddStringToObject(args, "folder", name);
    cJSON_AddItemToObject(args, "submitted", folder->submitted);
    cJSON_AddItemToObject(args, "spec", folder->spec);
    cJSON_AddItemToObject(args, "have", folder->have);
    if (folder->finished) {
        cJSON_AddTrueToObject(args, "finished");
        cJSON_AddNumberToObject(args, "images", (double)folder->measured);
    }
    if (folder->metrics && folder->metrics->child) {
        cJSON_AddItemToObject(args, "metrics", folder->metrics);
        folder->metrics = NULL;
    }
    if (folder->finished && isfinite(folder->fid))
        cJSON_AddNumberToObject(args, "fid", folder->fid);
    cJSON_AddItemToObject(args, "files", folder->files);
    folder->submitted = folder->spec = folder->have = folder->files = NULL;
    return args;
}

static void print_adopted(const Adopt *adopt, const char *name, int64_t images, const cJSON *reply)
{
    bool known = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "known"));
    const char *id = json_text(reply, "id", ""), *state = json_text(reply, "state", "");
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "id", id);
    cJSON_AddStringToObject(row, "folder", name);
    cJSON_AddStringToObject(row, "state", state);
    cJSON_AddNumberToObject(row, "done", json_number(reply, "done", 0));
    cJSON_AddNumberToObject(row, "images", (double)images);
    cJSON_AddBoolToObject(row, "known", known);
    cJSON_AddItemToArray(adopt->rows, row);
    if (adopt->cmd->json)
        return;
    if (adopt->cmd->quiet)
        puts(id);
    else if (known)
        printf("%s %s is already in the queue: %s\n", id, name, state);
    else if (images)
        printf("%s %s is %s, %.0f of %" PRId64 " images exist\n", id, name, state, json_number(reply, "done", 0),
               images);
    else
        printf("%s %s is %s\n", id, name, state);
}

static bool adopt_one(Adopt *adopt, const char *real, Err *err)
{
    JobFolder folder;
    const char *name = NULL;
    cJSON *reply;
    if (!name_of(adopt, real, &name, err) || !jobfolder_read(real, &folder, err))
        return false;
    int64_t images = folder.images;
    bool ok = cmd_call(adopt->cmd, QUEUE_ADOPT, args_of(adopt, &folder, name), &reply, err);
    jobfolder_done(&folder);
    if (!ok)
        return false;
    print_adopted(adopt, name, images, reply);
    cJSON_Delete(reply);
    return true;
}

/* --- many folders ------------------------------------------------------------------------------------------- */

/* Reports a folder that cannot be adopted, and continues with the others; false if Redis is lost. A job of another
 * user is a failure only if its folder was named. */
static bool report_fault(Adopt *adopt, const char *path, bool named, const Err *why, Err *err)
{
    int code = err_exit_code(why->kind);
    if (why->kind == ERR_UNREACHABLE || why->kind == ERR_BUSY) {
        *err = *why;
        return false;
    }
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "folder", path);
    cJSON_AddStringToObject(row, "error", why->text);
    cJSON_AddItemToArray(adopt->rows, row);
    fprintf(stderr, "ddq: not adopted: %s\n", why->text);
    if ((named || why->kind != ERR_PERMISSION) && code > adopt->cmd->exit_code)
        adopt->cmd->exit_code = code;
    return true;
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Adds the number of jobs found. False: stop. */
static bool walk(Adopt *adopt, const char *path, int depth, int *found, Err *err)
{
    Err why = {0};
    if (jobfolder_is(path)) {
        ++*found;
        return adopt_one(adopt, path, &why) || report_fault(adopt, path, depth == 0, &why, err);
    }
    struct dirent **entries;
    int count = depth < DEPTH ? scandir(path, &entries, is_shown, alphasort) : 0;
    bool ok = true;
    for (int i = 0; i < count; i++) {
        char *child = xasprintf("%s/%s", path, entries[i]->d_name);
        struct stat st;
        if (ok && lstat(child, &st) == 0 && S_ISDIR(st.st_mode))
            ok = walk(adopt, child, depth + 1, found, err);
        free(child);
        free(entries[i]);
    }
    if (count >= 0 && depth < DEPTH)
        free(entries);
    return ok;
}

static bool adopt_word(Adopt *adopt, const char *word, Err *err)
{
    char real[PATH_MAX];
    int found = 0;
    Err why = {0};
    if (!realpath(word, real)) {
        err_errno(&why, "%s", word);
        return report_fault(adopt, word, true, &why, err);
    }
    if (!walk(adopt, real, 0, &found, err))
        return false;
    if (found)
        return true;
    err_set(&why, ERR_NOT_FOUND, "%s is not a job's folder: neither it nor the folders below contain a job.json", word);
    return report_fault(adopt, word, true, &why, err);
}

static bool adopt_run(Cmd *cmd, Err *err)
{
    Adopt adopt = {.cmd = cmd, .roots = cJSON_CreateArray(), .rows = cJSON_CreateArray()};
    bool ok = cmd_user(cmd, &adopt.user, err) && find_roots(&adopt, err);
    for (int i = 0; ok && i < cmd->arg_count; i++)
        ok = adopt_word(&adopt, cmd->args[i], err);
    cJSON_Delete(adopt.roots);
    if (ok && cmd->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToObject(object, "jobs", adopt.rows);
        cmd_json(object);
    } else {
        cJSON_Delete(adopt.rows);
    }
    return ok;
}

const Verb verb_adopt = {
    .name = "adopt",
    .args = "DIR...",
    .least = 1,
    .most = -1,
    .summary = "Restore jobs that Redis has lost from their folders",
    .detail =
        "  ddq adopt /srv/ddq/ada/k3f9x2m7qa     one job\n"
        "  ddq adopt /srv/ddq                    all your jobs below the output root (root: of all users)\n"
        "A job is restored under its id, name and user. Images on disk count as done; the report verifies their "
        "checksums, and only missing images are made. A job with a complete report is restored as done. A job that is "
        "in the queue is left unchanged.\n",
    .run = adopt_run,
};
