/* What the files behind the names of the configuration are, as a process of its own (`ddq-worker look`) sees them:
 * hashes, the sizes of models, the kinds of references. The daemon reads none of these files, so one that hangs stops
 * nothing.
 *
 *     facts_init(&facts, loop, program, &hooks, owner);
 *     facts_look(&facts)                   at the start, after a change, when a client asks (ddq_look)
 *     facts_tick(&facts, mono_ms())        starts the process, asks again once a minute, ends one that does not answer
 *     facts.seen                           the latest answer (worker/commands/look.h); empty before the first
 *     facts_stop(&facts); facts_gone(&facts); facts_done(&facts)
 *
 * Clients name paths of users (images, noise, labels); each is looked at for PATH_MS after it was last asked for. */
#ifndef DAEMON_SPECS_FACTS_H
#define DAEMON_SPECS_FACTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <uv.h>

#include "core/clock.h"
#include "daemon/workers/process.h"

typedef struct FactsHooks {
    cJSON *(*request)(void *owner); /* the fields of `look` but its paths; ours to free */
    void (*changed)(void *owner);   /* an answer came */
} FactsHooks;

typedef struct Facts {
    uv_loop_t *loop;
    char *program;
    FactsHooks hooks;
    void *owner;
    WorkerProcess process;
    bool running, stopped, wanted;
    Mono asked_at; /* of the question under way; 0: none */
    Mono next, next_spawn;
    int failures;
    char logged[768]; /* why the latest process ended */
    cJSON *paths;     /* {PATH: until when, Mono} */
    cJSON *seen;      /* never NULL */
    Mono seen_at;     /* when the look that `seen` answers was asked for; 0: there was none */
} Facts;

void facts_init(Facts *facts, uv_loop_t *loop, const char *program, const FactsHooks *hooks, void *owner);
void facts_add_paths(Facts *facts, const cJSON *paths); /* an array of texts, may be NULL: for the next look */
void facts_look(Facts *facts);
void facts_tick(Facts *facts, Mono now);

/* Whether a look that is asked for now will be answered soon: clients wait for it. */
bool facts_answers(const Facts *facts, Mono now);

/* A part of what was seen, by name: "models", "references", "paths"; NULL where nothing is known. */
const cJSON *facts_of(const Facts *facts, const char *part, const char *name);

void facts_stop(Facts *facts);
bool facts_gone(const Facts *facts); /* its handles are closed */
void facts_done(Facts *facts);

#endif
