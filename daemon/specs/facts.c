#include "daemon/specs/facts.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/log.h"
#include "core/mem.h"
#include "daemon/base/sched.h"

enum {
    AGAIN_MS = 60000,       /* between looks without a request */
    ANSWER_MS = 30 * 60000, /* hashing many large files over a slow network takes long */
    SOON_MS = 15000,        /* a look that takes longer reads large files, or waits for a file system */
    PATH_MS = 120000,
    PATHS_MAX = 200
};

/* --- the process ------------------------------------------------------------------------------------ */

static void on_message(void *owner, ProtoType type, const cJSON *message)
{
    Facts *facts = owner;
    if (type != PROTO_SEEN || !facts->asked_at)
        return;
    cJSON_Delete(facts->seen);
    facts->seen = cJSON_Duplicate(message, true);
    facts->seen_at = facts->asked_at;
    facts->asked_at = 0;
    facts->failures = 0;
    facts->logged[0] = 0;
    facts->hooks.changed(facts->owner);
}

static void on_malformed(void *owner, const Err *why)
{
    Facts *facts = owner;
    log_warning("look: %s", why->text);
    process_signal(&facts->process, SIGKILL);
}

static void on_stderr(void *owner, const char *line)
{
    (void)owner;
    log_trace("look: %s", line);
}

static void on_ended(void *owner)
{
    (void)owner; /* facts_tick */
}

static void spawn(Facts *facts, Mono now)
{
    static const Device device = {.name = "look", .threads = 1};
    static const ProcessHooks hooks = {on_message, on_malformed, on_stderr, on_ended};
    const ProcessSpec spec = {.loop = facts->loop, .program = facts->program, .verb = "look", .device = &device};
    Err err = {0};
    facts->running = process_spawn(&facts->process, &spec, &hooks, facts, &err);
    if (!facts->running)
        facts->next_spawn = now + sched_restart_ms(++facts->failures, drand48());
    facts->wanted = true;
}

/* Each reason is logged once. */
static void ended(Facts *facts, Mono now)
{
    Err why = {0};
    process_explain(&facts->process, "look", &why);
    if (!facts->stopped && strcmp(facts->logged, why.text) != 0)
        log_warning("%s; what files hold is not known until another one answers", why.text);
    snprintf(facts->logged, sizeof facts->logged, "%s", why.text);
    facts->asked_at = 0;
    facts->running = false;
    facts->next_spawn = now + sched_restart_ms(++facts->failures, drand48());
    process_close(&facts->process);
}

/* --- the question ----------------------------------------------------------------------------------- */

static void forget_paths(Facts *facts, Mono now)
{
    cJSON *next;
    for (cJSON *path = facts->paths->child; path; path = next) {
        next = path->next;
        if (path->valuedouble < (double)now)
            cJSON_Delete(cJSON_DetachItemViaPointer(facts->paths, path));
    }
}

static void ask(Facts *facts, Mono now)
{
    cJSON *look = facts->hooks.request(facts->owner), *paths = cJSON_AddArrayToObject(look, "paths");
    const cJSON *path;
    forget_paths(facts, now);
    cJSON_ArrayForEach(path, facts->paths) cJSON_AddItemToArray(paths, cJSON_CreateString(path->string));
    facts->wanted = false;
    facts->next = now + AGAIN_MS;
    if (process_send(&facts->process, proto_encode(PROTO_LOOK, look)))
        facts->asked_at = now;
}

void facts_add_paths(Facts *facts, const cJSON *paths)
{
    const cJSON *path;
    double until = (double)(mono_ms() + PATH_MS);
    cJSON_ArrayForEach(path, paths)
    {
        if (!cJSON_IsString(path) || cJSON_GetArraySize(facts->paths) >= PATHS_MAX)
            continue;
        cJSON_DeleteItemFromObjectCaseSensitive(facts->paths, path->valuestring);
        cJSON_AddNumberToObject(facts->paths, path->valuestring, until);
    }
}

void facts_look(Facts *facts)
{
    facts->wanted = true;
    facts_tick(facts, mono_ms());
}

void facts_tick(Facts *facts, Mono now)
{
    WorkerProcess *process = &facts->process;
    if (facts->running && process_over(process, now))
        ended(facts, now);
    if (facts->stopped)
        return;
    if (facts->asked_at && now - facts->asked_at > ANSWER_MS)
        process_signal(process, SIGKILL);
    if (!facts->running && !process->open && now >= facts->next_spawn)
        spawn(facts, now);
    if (facts->running && !facts->asked_at && (facts->wanted || now >= facts->next))
        ask(facts, now);
}

bool facts_answers(const Facts *facts, Mono now)
{
    return facts->failures == 0 && (!facts->asked_at || now - facts->asked_at < SOON_MS);
}

const cJSON *facts_of(const Facts *facts, const char *part, const char *name)
{
    const cJSON *rows = cJSON_GetObjectItemCaseSensitive(facts->seen, part);
    return name ? cJSON_GetObjectItemCaseSensitive(rows, name) : NULL;
}

/* --- begin and end ---------------------------------------------------------------------------------- */

void facts_init(Facts *facts, uv_loop_t *loop, const char *program, const FactsHooks *hooks, void *owner)
{
    *facts = (Facts){.loop = loop, .program = xstrdup(program), .hooks = *hooks, .owner = owner};
    facts->paths = cJSON_CreateObject();
    facts->seen = cJSON_CreateObject();
}

void facts_stop(Facts *facts)
{
    facts->stopped = true;
    process_signal(&facts->process, SIGKILL);
}

bool facts_gone(const Facts *facts)
{
    return !facts->running && facts->process.open == 0;
}

void facts_done(Facts *facts)
{
    cJSON_Delete(facts->paths);
    cJSON_Delete(facts->seen);
    free(facts->program);
    *facts = (Facts){.stopped = true};
}
