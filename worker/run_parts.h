/* What the files of a run share: run.c (open, load), run_images.c (make images), run_measure.c (take features of images
 * that are there), run_report.c (everything that needs all images). Nobody else includes it. */
#ifndef WORKER_RUN_PARTS_H
#define WORKER_RUN_PARTS_H

#include "worker/folder.h"
#include "worker/identity.h"
#include "worker/inputs.h"
#include "worker/phases.h"
#include "worker/pieces.h"
#include "worker/run.h"
#include "worker/statistics.h"
#include "worker/workshop.h"
#include "worker/writer.h"

struct Run {
    Workshop *shop;
    const JobSpec *spec;
    const cJSON *submitted;
    Identity identity;
    JobPipeline pipeline; /* PT, TF or BOTH (worker/pipeline.h) */
    int64_t images;       /* of a source: counted when it is opened */
    PieceNeeds keeps;     /* what a piece of this job holds */
    Inputs inputs;        /* sample */
    Sampler *sampler;     /* the workshop's; NULL until run_load */
    SamplerPlan plan;
    Inception *inception; /* NULL: not wanted, or not loaded yet */
    bool loaded;
    int batch, feature_batch;
    Stopwatch watch;
    cJSON *warnings; /* array of sentences */
};

/* A sentence for the log and the report. */
void run_note(Run *run, const RunHooks *hooks, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* What a piece must still hold to count: `keeps`, but pixels are spent once samples.npz and the sheet are there. */
PieceNeeds run_needs(const Run *run);

/* The writer of this run's pieces, for a folder that is claimed before the first batch is added; NULL on failure.
 * `side`: pixels of an image, 0 without. */
Writer *run_writer(Run *run, int side, Err *err);
/* Moves the seconds since the last call into a batch. */
void run_take_times(Run *run, WriterBatch *batch);

/* Features of count images u8 [count,h,w,3] in as many calls as memory wants. features [count,width]. */
bool run_features(Run *run, const RunHooks *hooks, const uint8_t *pixels, int count, int h, int w, int64_t first,
                  float *features, Err *err);

/* evaluate and statistics: features of every image of the source, in pieces. ret_sha256: of all pixels. */
bool run_measure(Run *run, const RunHooks *hooks, char ret_sha256[65], Err *err);

/* statistics with `register`: the reference that all hosts share. images_sha256: of all pixels. */
bool run_register(const Run *run, Statistics *stats, const char *images_sha256, Err *err);

static inline bool run_stopped(const RunHooks *hooks)
{
    return hooks && hooks->stop && hooks->stop(hooks->ctx);
}

static inline void run_progress(const RunHooks *hooks, int64_t upto, double rate, const char *stage)
{
    if (hooks && hooks->progress)
        hooks->progress(hooks->ctx, upto, rate, stage);
}

#endif
