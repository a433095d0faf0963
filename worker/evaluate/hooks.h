/* What work that takes long reports while it runs, and how its caller stops it. A NULL pointer to Hooks, or to one of
 * its functions, is fine everywhere: the inline functions below check for both. All calls come from the thread that
 * started the work. */
#ifndef WORKER_EVALUATE_HOOKS_H
#define WORKER_EVALUATE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct Hooks {
    void *ctx;
    /* upto: the first index whose results are not yet safely on disk; rate: images per second of this stage. */
    void (*progress)(void *ctx, int64_t upto, double rate, const char *stage);
    void (*loaded)(void *ctx, double seconds);
    bool (*stop)(void *ctx);                    /* true: return at the next batch boundary, with ERR_CANCELLED */
    void (*note)(void *ctx, const char *text);  /* the work went on, and how: a smaller batch, a warning */
    void (*built)(void *ctx, const char *line); /* a network was loaded: which, of what size, key=value */
} Hooks;

static inline bool hooks_stopped(const Hooks *hooks)
{
    return hooks && hooks->stop && hooks->stop(hooks->ctx);
}

static inline void hooks_progress(const Hooks *hooks, int64_t upto, double rate, const char *stage)
{
    if (hooks && hooks->progress)
        hooks->progress(hooks->ctx, upto, rate, stage);
}

static inline void hooks_loaded(const Hooks *hooks, double seconds)
{
    if (hooks && hooks->loaded)
        hooks->loaded(hooks->ctx, seconds);
}

static inline void hooks_note(const Hooks *hooks, const char *text)
{
    if (hooks && hooks->note)
        hooks->note(hooks->ctx, text);
}

static inline void hooks_built(const Hooks *hooks, const char *line)
{
    if (hooks && hooks->built)
        hooks->built(hooks->ctx, line);
}

#endif
