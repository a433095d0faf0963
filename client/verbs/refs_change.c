/* Adding, making and removing references. ddq-worker is run to check files and to write entries. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/jobs/follow.h"
#include "client/jobs/program.h"
#include "client/queue/job.h"
#include "client/queue/registry.h"
#include "client/terminal/interrupt.h"
#include "client/verbs/refs.h"
#include "client/verbs/submit.h"
#include "core/file.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/references.h"

/* --- before anything is done ------------------------------------------------------------------------ */

/* A section of ddq.conf hides a registered reference of the same name. */
static bool name_open(Cmd *cmd, const char *name, Err *err)
{
    cJSON *known;
    const char *user;
    if (!references_name_ok(name))
        return err_set(err, ERR_USAGE,
                       "'%.64s' cannot be the name of a reference; wanted letters, digits, '.', '_' and '-'", name);
    bool quiet = cmd->quiet;
    cmd->quiet = true; /* no message if the queue cannot be reached */
    bool good = cmd_user(cmd, &user, err) && refs_known(cmd, &known, err);
    cmd->quiet = quiet;
    if (!good)
        return false;
    const cJSON *old = refs_find(known, name);
    if (old && !*json_text(old, "user", ""))
        good = err_set(err, ERR_USAGE, "ddq.conf already has a [reference %s]; choose another name", name);
    else if (old && strcmp(json_text(old, "user", ""), user) != 0)
        good = err_set(err, ERR_PERMISSION, "the reference %s belongs to %s; choose another name", name,
                       json_text(old, "user", ""));
    cJSON_Delete(known);
    return good;
}

/* --- by the worker, here ---------------------------------------------------------------------------- */

/* Creates the local folder; the folder that hosts share must be visible from here. */
static bool reach_folder(Cmd *cmd, char **ret_folder, Err *err)
{
    bool shared;
    if (!refs_folder(cmd, ret_folder, &shared, err))
        return false;
    char *root = xstrdup(*ret_folder);
    *strrchr(root, '/') = 0;
    bool good = true;
    if (!shared)
        good = file_make_folders(root, 0777, 0777, err) || err_wrap(err, "output root");
    else if (access(root, F_OK) != 0 && errno != ENOENT && errno != ENOTDIR)
        good = err_errno(err, "the queue's output root %s", root);
    else if (access(root, F_OK) != 0)
        good =
            err_set(err, ERR_NOT_FOUND,
                    "the queue's output root %s is not mounted on this machine; run this on a host that shares it, or "
                    "let the queue do it: ddq refs make",
                    root);
    free(root);
    if (!good)
        free(*ret_folder);
    return good;
}

static bool register_here(Cmd *cmd, const char *name, const char *path, bool measure, Err *err)
{
    static const char *const passed[] = {"pipeline", "inception", "device", "cache", "conf"};
    char *folder, *texts[8] = {NULL};
    const char *user, *words[40] = {"reference"}, *value;
    int count = 1, status = EXIT_OK;
    cJSON *entry = NULL;
    if (!cmd_user(cmd, &user, err) || !reach_folder(cmd, &folder, err))
        return false;
    const char *fixed[] = {"--register", folder, "--name", name, "--user", user};
    for (size_t i = 0; i < countof(fixed); i++)
        words[count++] = fixed[i];
    for (size_t i = 0; i < countof(passed); i++)
        if ((value = cmd_value(cmd, passed[i])))
            words[count++] = texts[i] = xasprintf("--%s=%s", passed[i], value);
    if (cmd_has(cmd, "replace"))
        words[count++] = "--replace";
    if (cmd_has(cmd, "spatial"))
        words[count++] = "--spatial";
    if (measure)
        words[count++] = "--measure";
    if (cmd->quiet)
        words[count++] = "--quiet";
    words[count++] = "--";
    words[count++] = path;
    bool good = program_ask_worker(words, &entry, &status, err);
    cmd->exit_code = status;
    if (good && entry && cmd->json)
        cmd_json(cJSON_Duplicate(entry, true));
    else if (good && entry)
        cmd_say(cmd, "%s is registered: %s, sha256 %.12s%s", name, json_text(entry, "kind", ""),
                json_text(entry, "sha256", ""),
                strcmp(json_text(entry, "kind", ""), "statistics") == 0 && json_text(entry, "path", "")[0] != '/'
                    ? ""
                    : "; its images stay where they are, in a folder that 'input_roots' of the daemons must contain");
    cJSON_Delete(entry);
    for (size_t i = 0; i < countof(texts); i++)
        free(texts[i]);
    free(folder);
    return good;
}

/* The hosts find the entry at their next look: it is asked for, so that the name can be used at once. */
static bool known_to_hosts(Cmd *cmd)
{
    double since;
    registry_look(cmd, NULL, &since);
    return true;
}

bool refs_add(Cmd *cmd, const char *name, const char *path, Err *err)
{
    return name_open(cmd, name, err) && register_here(cmd, name, path, false, err) && known_to_hosts(cmd);
}

/* --- by the queue ----------------------------------------------------------------------------------- */

/* A statistics job that registers its result. Always a new job: an earlier one may have made a reference that was
 * removed since. */
static bool submit(Cmd *cmd, const char *name, const char *path, Err *err)
{
    FlagValue fields[] = {
        {"kind", "statistics"}, {"images", path}, {"register", name}, {"pipeline", NULL}, {"device", NULL}};
    FlagValue set[countof(fields)];
    int count = 0;
    for (size_t i = 0; i < countof(fields); i++) {
        const char *value = fields[i].value ? fields[i].value : cmd_value(cmd, fields[i].name);
        if (value)
            set[count++] = (FlagValue){fields[i].name, value};
    }
    Cmd inner = *cmd;
    inner.fields = set;
    inner.field_count = count;
    inner.line.flags = xcalloc((size_t)cmd->line.flag_count + 1, sizeof *inner.line.flags);
    memcpy(inner.line.flags, cmd->line.flags, (size_t)cmd->line.flag_count * sizeof *inner.line.flags);
    inner.line.flags[inner.line.flag_count++] = (FlagValue){"new", NULL};
    inner.arg_count = 0;
    Submitted done;
    Plan plan;
    bool good = plan_read(&inner, &plan, err) && submit_jobs(&inner, &plan, &done, err);
    plan_free(&plan);
    free(inner.line.flags);
    cmd->redis = inner.redis; /* opened on the way */
    cmd->conf = inner.conf;
    cmd->user = inner.user;
    if (!good)
        return false;
    bool waits = cmd_has(cmd, "watch") || cmd_has(cmd, "wait");
    Follow follow = {.progress = cmd_has(cmd, "watch")};
    if (cmd->json && !waits) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "id", done.ids[0]);
        cmd_json(object);
    } else if (!cmd->json) {
        puts(done.ids[0]);
        fflush(stdout);
    }
    if (waits)
        good = follow_jobs(cmd, done.ids, done.count, &follow, err);
    else
        cmd_say(cmd, "queued; %s is registered when the job is done. Follow it with: ddq watch %s", name, done.ids[0]);
    submitted_free(&done);
    return good;
}

bool refs_make(Cmd *cmd, const char *name, const char *path, Err *err)
{
    if (!name_open(cmd, name, err))
        return false;
    if (cmd_has(cmd, "local"))
        return register_here(cmd, name, path, true, err);
    if (cmd_has(cmd, "watch") || cmd_has(cmd, "wait"))
        interrupt_detach();
    return submit(cmd, name, path, err);
}

/* --- learning --------------------------------------------------------------------------------------- */

enum { LEARN_BYTES = 256 << 20 }; /* a larger file contains images too, and hashing it is slow */

static bool worth_reading(const cJSON *reference)
{
    struct stat st;
    const char *path = json_text(reference, "path", "");
    return !*json_text(reference, "sha256", "") && strcmp(json_text(reference, "kind", ""), "statistics") == 0 &&
           stat(path, &st) == 0 && (S_ISDIR(st.st_mode) || st.st_size <= LEARN_BYTES) && access(path, R_OK) == 0;
}

void refs_learn(Cmd *cmd, cJSON *references)
{
    cJSON *reference;
    cJSON_ArrayForEach(reference, references)
    {
        const char *words[] = {"reference", "--faults", "--", json_text(reference, "path", ""), NULL};
        cJSON *facts = NULL, *fact, *next;
        int status = EXIT_OK;
        Err none = {0};
        if (!worth_reading(reference))
            continue;
        if (!program_ask_worker(words, &facts, &status, &none) && !cmd->quiet)
            cmd_say(cmd, "%s", none.text);
        for (fact = facts ? facts->child : NULL; fact; fact = next) {
            next = fact->next;
            if (!cJSON_HasObjectItem(reference, fact->string))
                cJSON_AddItemToObject(reference, fact->string, cJSON_Duplicate(fact, true));
        }
        cJSON_Delete(facts);
    }
}

/* --- removing --------------------------------------------------------------------------------------- */

static bool is_unused(Cmd *cmd, const char *name, Err *err)
{
    cJSON *args = cJSON_CreateObject(), *reply;
    char *need = xasprintf("reference:%s", name);
    cJSON_AddBoolToObject(args, "active", true);
    cJSON_AddStringToObject(args, "needs", need);
    free(need);
    if (!cmd_call(cmd, QUEUE_LIST, args, &reply, err)) {
        const Conf *conf;
        bool own =
            err->kind == ERR_UNREACHABLE && !cmd_value(cmd, "redis") && cmd_conf(cmd, &conf, NULL) && !conf->redis;
        if (own)
            err_clear(err); /* the private Redis of a stand-alone daemon does not run, so there are no jobs */
        return own;
    }
    const cJSON *job = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(reply, "jobs"), 0);
    bool free_of = !job;
    if (job)
        err_set(err, ERR_REFUSED, "the reference %s is needed by job %s of %s, which is %s; cancel it or wait for it",
                name, json_text(job, "id", ""), json_text(job, "user", ""), json_text(job, "state", ""));
    cJSON_Delete(reply);
    return free_of;
}

static bool remove_file(const char *folder, const char *name, const char *suffix, Err *err)
{
    char *path = references_file(folder, name, suffix);
    bool ok = unlink(path) == 0 || errno == ENOENT || err_errno(err, "%s", path);
    free(path);
    return ok;
}

static bool own_entry(Cmd *cmd, const char *folder, const char *name, Err *err)
{
    const char *user;
    cJSON *entry;
    if (!cmd_user(cmd, &user, err))
        return false;
    if (!references_read(folder, name, &entry, err))
        return err->kind == ERR_NOT_FOUND ? err_set(err, ERR_NOT_FOUND,
                                                    "no reference %s is registered in %s; to remove one of ddq.conf, "
                                                    "delete its section [reference %s]",
                                                    name, folder, name)
                                          : false;
    bool own = strcmp(json_text(entry, "user", ""), user) == 0 || strcmp(user, "root") == 0;
    if (!own)
        err_set(err, ERR_PERMISSION, "the reference %s belongs to %s, not to %s", name, json_text(entry, "user", ""),
                user);
    cJSON_Delete(entry);
    return own;
}

bool refs_remove(Cmd *cmd, const char *name, Err *err)
{
    char *folder;
    bool shared;
    if (!refs_folder(cmd, &folder, &shared, err))
        return false;
    bool good = own_entry(cmd, folder, name, err) && is_unused(cmd, name, err) &&
                remove_file(folder, name, "json", err) && remove_file(folder, name, "npz", err);
    if (good)
        cmd_say(cmd, "%s is removed; finished jobs keep their results", name);
    free(folder);
    return good;
}
