/* The C interface of the queue: names of the functions of the Lua files and how to load them.
 *
 * Every function takes one key, the hash tag {ddq}, and one JSON object, and returns one JSON object whose "status" is
 * "ok" or a word for the reason, with a sentence in "text". So a call is the same from the daemon (asynchronous), the
 * client (synchronous) and redis-cli:
 *
 *     FCALL ddq_submit 1 {ddq} '{"id":"k3f9x2m7qa","user":"ada","kind":"sample","images":64,"spec":{...},...}'
 *
 * The Lua is the specification: each function's comment gives arguments, answer and the transition it makes. This file
 * uses no Redis library; it only builds the arguments and reads the text that comes back. */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "core/err.h"

#define QUEUE_TAG     "{ddq}"
#define QUEUE_LIBRARY "ddq"
#define QUEUE_VERSION 2 /* schema; queue.lua states the same number, and {ddq}:meta holds it */

extern const char queue_lua[]; /* the whole text of the Lua files, for FUNCTION LOAD REPLACE */

/* Arguments and answers are above each function in the Lua files, and in docs/dev/queue.md. */
typedef enum QueueFn {
    /* jobs, called by clients */
    QUEUE_SUBMIT,
    QUEUE_CANCEL,
    QUEUE_HOLD,
    QUEUE_RELEASE,
    QUEUE_LIST,
    QUEUE_SHOW,
    QUEUE_EVENTS,
    QUEUE_HOSTS,
    QUEUE_LOOK,
    QUEUE_LOGS,
    QUEUE_PRIO,
    QUEUE_SHARE,
    QUEUE_QUOTA,
    QUEUE_SETTINGS,
    QUEUE_WHY,
    QUEUE_ESTIMATE,
    QUEUE_GROUP,
    QUEUE_GROUPS,
    QUEUE_GROUP_CANCEL,
    QUEUE_ADOPT,
    QUEUE_DRAIN,
    QUEUE_RESUME,
    /* ranges, called by daemons */
    QUEUE_CLAIM,
    QUEUE_RENEW,
    QUEUE_FINISH,
    QUEUE_GIVEBACK,
    QUEUE_FAIL,
    QUEUE_REAP,
    QUEUE_HEARTBEAT, /* "ddq_beat" on the wire, a name that daemons of all versions call */
    QUEUE_LOG,
    QUEUE_CHECK,
    QUEUE_FNS
} QueueFn;

const char *queue_fn_name(QueueFn fn); /* "ddq_submit" */

/* argv of FCALL for fn with args (consumed; NULL for {}). Five entries. queue_call_free frees them. */
typedef struct QueueCall {
    char *argv[5];
    size_t argvlen[5];
} QueueCall;
void queue_call_build(QueueCall *call, QueueFn fn, cJSON *args);
void queue_call_free(QueueCall *call);

/* Reads the text of a reply. Returns the object when its status is "ok", "empty", "already" or "stale" (for the caller
 * to read); any other status becomes an Err of the fitting kind with the reply's sentence. Caller owns *ret_reply. */
bool queue_reply_parse(const char *text, cJSON **ret_reply, Err *err);
/* What can be read of a claim's answer that is not JSON: {"token"}, so that its lease can be ended; NULL: not even
 * that. Text inside JSON strings cannot pass for it, as its quotes are escaped there. */
cJSON *queue_reply_rescue(const char *text);

/* Channels: hints only; all of it can be read as state. On a job's live channel the functions publish "state" and
 * "log", daemons "progress": {"type":..., "job":ID, ...}. */
#define QUEUE_CHANNEL_WAKE "{ddq}:wake" /* a job's id: it became claimable */
#define QUEUE_CHANNEL_CTL                                                                                              \
    "{ddq}:ctl" /* {"op":"cancel"|"yield", "job":ID}: renew its leases now;                                            \
                  {"op":"drain"|"resume", "host":NAME}: send a heartbeat now */
#define QUEUE_CHANNEL_JOB   "{ddq}:job:%s:live"
#define QUEUE_CHANNEL_GROUP "{ddq}:group:%s/%s:live" /* user, name: the states of its jobs */

/* A fresh job id: ten characters of Crockford base32 from the system's random source. */
void queue_new_id(char ret_id[11]);

#endif
