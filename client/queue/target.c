#include "client/queue/target.h"

#include <stdlib.h>
#include <string.h>

#include "client/queue/job.h"
#include "core/json.h"
#include "core/mem.h"

enum { ID_LEN = 10 };

bool target_is_group(const char *target)
{
    return strchr(target, '/') != NULL;
}

bool target_group(Cmd *cmd, const char *target, cJSON **ret_group, Err *err)
{
    const char *user;
    if (!cmd_user(cmd, &user, err))
        return false;
    cJSON *args = cJSON_CreateObject();
    cJSON_AddStringToObject(args, "group", target);
    cJSON_AddStringToObject(args, "user", user);
    return cmd_call(cmd, QUEUE_GROUP, args, ret_group, err);
}

/* USER/NAME of a sweep that is there. */
static bool resolve_group(Cmd *cmd, const char *word, char **ret_target, Err *err)
{
    cJSON *group;
    if (!target_group(cmd, word, &group, err))
        return false;
    *ret_target = xasprintf("%s/%s", json_text(group, "user", ""), json_text(group, "group", ""));
    cJSON_Delete(group);
    return true;
}

/* Length of the name of a user or a sweep that `end` follows; 0: not a valid name. */
static size_t name_length(const char *word, char end)
{
    static const char rest[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.-";
    size_t len = strspn(word, rest);
    return *word != '.' && *word != '-' && len <= 64 && word[len] == end ? len : 0;
}

static bool looks_like_group(const char *word)
{
    size_t user = name_length(word, '/');
    return name_length(user ? word + user + 1 : word, 0) > 0;
}

/* Contains only characters of ids: if there is no such sweep, the error is about the id. */
static bool looks_like_id(const char *word)
{
    return !word[strspn(word, "0123456789abcdefghjkmnpqrstvwxyzABCDEFGHJKMNPQRSTVWXYZ")];
}

bool target_resolve(Cmd *cmd, const char *word, char **ret_target, Err *err)
{
    if (strcmp(word, "@") == 0) {
        char *last;
        if (!cmd_id(word, &last, err))
            return false;
        bool ok =
            target_is_group(last) ? resolve_group(cmd, last, ret_target, err) : job_resolve(cmd, last, ret_target, err);
        free(last);
        return ok;
    }
    /* A sweep's full name takes precedence over a prefix of an id, and a full id over both. */
    Err no_group = {0};
    bool may_be_group = looks_like_group(word), whole_id = strlen(word) == ID_LEN && looks_like_id(word);
    if (whole_id && job_resolve(cmd, word, ret_target, err))
        return true;
    if (may_be_group && resolve_group(cmd, word, ret_target, &no_group)) {
        err_clear(err);
        return true;
    }
    if (whole_id)
        return false;
    if (may_be_group && (no_group.kind != ERR_NOT_FOUND || !looks_like_id(word))) {
        *err = no_group;
        return false;
    }
    return job_resolve(cmd, word, ret_target, err);
}

bool target_jobs(Cmd *cmd, const char *word, TargetWhich which, cJSON *ids, Err *err)
{
    char *target;
    cJSON *group = NULL, *point;
    if (!target_resolve(cmd, word, &target, err))
        return false;
    bool ok = !target_is_group(target) || target_group(cmd, target, &group, err);
    if (ok && !group)
        cJSON_AddItemToArray(ids, cJSON_CreateString(target));
    cJSON_ArrayForEach(point, cJSON_GetObjectItemCaseSensitive(group, "points"))
    {
        JobState state = job_state(point);
        if (which == TARGET_ALL || (which == TARGET_HELD ? state == JOB_HELD : !job_state_final(state)))
            cJSON_AddItemToArray(ids, cJSON_CreateString(json_text(point, "id", "")));
    }
    cJSON_Delete(group);
    free(target);
    return ok;
}

bool target_job(Cmd *cmd, const char *word, char **ret_id, Err *err)
{
    char *target;
    if (!target_resolve(cmd, word, &target, err))
        return false;
    if (!target_is_group(target)) {
        *ret_id = target;
        return true;
    }
    cJSON *ids = cJSON_CreateArray();
    bool ok = target_jobs(cmd, target, TARGET_ALL, ids, err);
    int count = cJSON_GetArraySize(ids);
    if (ok && count == 1)
        *ret_id = xstrdup(ids->child->valuestring);
    else if (ok)
        ok = err_set(err, ERR_USAGE, "%s is a sweep of %d jobs; name one of them (ddq show %s)", target, count, target);
    cJSON_Delete(ids);
    free(target);
    return ok;
}
