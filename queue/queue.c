/* Names, arguments and replies of the functions in queue*.lua. To add a function: its body there, an enum value in
 * queue.h, a name here. */
#include "queue/queue.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/mem.h"

static const char *const names[QUEUE_FNS] = {
    [QUEUE_SUBMIT] = "ddq_submit",
    [QUEUE_CANCEL] = "ddq_cancel",
    [QUEUE_HOLD] = "ddq_hold",
    [QUEUE_RELEASE] = "ddq_release",
    [QUEUE_LIST] = "ddq_list",
    [QUEUE_SHOW] = "ddq_show",
    [QUEUE_EVENTS] = "ddq_events",
    [QUEUE_HOSTS] = "ddq_hosts",
    [QUEUE_LOOK] = "ddq_look",
    [QUEUE_LOGS] = "ddq_logs",
    [QUEUE_PRIO] = "ddq_prio",
    [QUEUE_SHARE] = "ddq_share",
    [QUEUE_QUOTA] = "ddq_quota",
    [QUEUE_SETTINGS] = "ddq_settings",
    [QUEUE_WHY] = "ddq_why",
    [QUEUE_ESTIMATE] = "ddq_estimate",
    [QUEUE_GROUP] = "ddq_group",
    [QUEUE_GROUPS] = "ddq_groups",
    [QUEUE_GROUP_CANCEL] = "ddq_group_cancel",
    [QUEUE_ADOPT] = "ddq_adopt",
    [QUEUE_DRAIN] = "ddq_drain",
    [QUEUE_RESUME] = "ddq_resume",
    [QUEUE_CLAIM] = "ddq_claim",
    [QUEUE_RENEW] = "ddq_renew",
    [QUEUE_FINISH] = "ddq_finish",
    [QUEUE_GIVEBACK] = "ddq_giveback",
    [QUEUE_FAIL] = "ddq_fail",
    [QUEUE_REAP] = "ddq_reap",
    [QUEUE_HEARTBEAT] = "ddq_beat",
    [QUEUE_LOG] = "ddq_log",
    [QUEUE_CHECK] = "ddq_check",
};

const char *queue_fn_name(QueueFn fn)
{
    return names[fn];
}

/* Lua's JSON cannot tell an empty list from an empty object, so what must be returned unchanged is sent as text. */
static void keep_as_text(cJSON *args, const char *field, const cJSON *object)
{
    char *text = cJSON_PrintUnformatted(object);
    cJSON_DeleteItemFromObjectCaseSensitive(args, field);
    cJSON_AddStringToObject(args, field, text);
    free(text);
}

void queue_call_build(QueueCall *call, QueueFn fn, cJSON *args)
{
    if (!args)
        args = cJSON_CreateObject();
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(args, "spec");
    if ((fn == QUEUE_SUBMIT || fn == QUEUE_ESTIMATE || fn == QUEUE_ADOPT) && cJSON_IsObject(spec))
        keep_as_text(args, "spec", spec);
    const cJSON *point = cJSON_GetObjectItemCaseSensitive(args, "point");
    if ((fn == QUEUE_SUBMIT || fn == QUEUE_ESTIMATE) && cJSON_IsObject(point))
        keep_as_text(args, "point", point);
    if (fn == QUEUE_HEARTBEAT)
        keep_as_text(args, "about", args);
    char *words[] = {xstrdup("FCALL"), xstrdup(names[fn]), xstrdup("1"), xstrdup(QUEUE_TAG),
                     cJSON_PrintUnformatted(args)};
    for (size_t i = 0; i < countof(words); i++) {
        call->argv[i] = words[i];
        call->argvlen[i] = strlen(words[i]);
    }
    cJSON_Delete(args);
}

void queue_call_free(QueueCall *call)
{
    for (size_t i = 0; i < countof(call->argv); i++)
        free(call->argv[i]);
    *call = (QueueCall){0};
}

/* A reply's status and the kind of error it is; ERR_NONE: an answer that the caller reads. */
static const struct {
    const char *status;
    ErrKind kind;
} statuses[] = {
    {"ok", ERR_NONE},         {"empty", ERR_NONE},    {"already", ERR_NONE},        {"stale", ERR_NONE},
    {"look", ERR_NONE},       {"usage", ERR_USAGE},   {"not_found", ERR_NOT_FOUND}, {"permission", ERR_PERMISSION},
    {"refused", ERR_REFUSED}, {"taken", ERR_REFUSED},
};

bool queue_reply_parse(const char *text, cJSON **ret_reply, Err *err)
{
    cJSON *reply = text ? cJSON_Parse(text) : NULL;
    const char *status = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "status"));
    for (size_t i = 0; status && i < countof(statuses); i++) {
        if (strcmp(status, statuses[i].status) != 0)
            continue;
        if (statuses[i].kind == ERR_NONE) {
            *ret_reply = reply;
            return true;
        }
        const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(reply, "text"));
        err_set(err, statuses[i].kind, "%s", why ? why : status);
        cJSON_Delete(reply);
        return false;
    }
    cJSON_Delete(reply);
    return err_set(err, ERR_PROTOCOL,
                   "the queue answered %.200s, wanted an object with a known status; is this another program's Redis?",
                   text ? text : "nothing");
}

cJSON *queue_reply_rescue(const char *text)
{
    static const char mark[] = "\"token\":\"";
    const char *at = text ? strstr(text, mark) : NULL, *token = at ? at + sizeof mark - 1 : "";
    size_t digits = strspn(token, "0123456789");
    if (digits == 0 || digits > 20 || token[digits] != '"')
        return NULL;
    char found[21] = "";
    memcpy(found, token, digits);
    cJSON *reply = cJSON_CreateObject();
    cJSON_AddStringToObject(reply, "token", found);
    return reply;
}

void queue_new_id(char ret_id[11])
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz"; /* Crockford's base32 */
    uint8_t bytes[10];
    size_t got = 0;
    while (got < sizeof bytes) {
        ssize_t n = getrandom(bytes + got, sizeof bytes - got, 0);
        if (n > 0)
            got += (size_t)n;
    }
    for (size_t i = 0; i < sizeof bytes; i++)
        ret_id[i] = alphabet[bytes[i] & 31];
    ret_id[10] = 0;
}
