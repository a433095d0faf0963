#include "worker/job/filling.h"

#include "core/clock.h"

static int64_t safe_upto(const Filling *f)
{
    int64_t start = shards_reach(&f->shards, f->lo);
    int64_t upto = shards_reach(&f->shards, f->writer ? writer_safe(f->writer, start) : start);
    return upto < f->hi ? upto : f->hi;
}

bool filling_open(Filling *f, Run *run, int64_t lo, int64_t hi, const Hooks *hooks, Err *err)
{
    *f = (Filling){.run = run, .hooks = hooks, .lo = lo, .hi = hi, .start = mono_seconds()};
    ShardNeeds needs = run_needs(run);
    return shards_scan(run->spec->output, &needs, lo, hi, &f->shards, err);
}

bool filling_needed(const Filling *f)
{
    return shards_reach(&f->shards, f->lo) < f->hi;
}

bool filling_gaps(Filling *f, FillGapFn fill_gap, void *ctx, Err *err)
{
    f->start = mono_seconds();
    for (int64_t at = shards_reach(&f->shards, f->lo); at < f->hi;) {
        int64_t end = shards_next(&f->shards, at, f->hi);
        if (!fill_gap(ctx, at, end, err))
            return false;
        at = shards_reach(&f->shards, end);
    }
    return true;
}

void filling_progress(const Filling *f, const char *stage)
{
    double seconds = mono_seconds() - f->start;
    hooks_progress(f->hooks, safe_upto(f), f->made && seconds > 0 ? (double)f->made / seconds : 0, stage);
}

bool filling_close(Filling *f, bool good, const char *stage, int64_t *ret_upto, Err *err)
{
    Err late = {0};
    if (f->writer && !writer_finish(f->writer, &late)) {
        if (err && (good || err->kind == ERR_CANCELLED))
            *err = late;
        good = false;
    }
    stopwatch_enter(&f->run->watch, STAGE_NONE);
    *ret_upto = good ? f->hi : safe_upto(f);
    if (f->made)
        filling_progress(f, stage);
    writer_close(f->writer);
    shards_done(&f->shards);
    return good;
}
