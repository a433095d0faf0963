/* What the files of a run share: run.c (open, load), sample.c (make images), measure.c (take features of images that
 * are there), worker/report/phase.c (everything that needs all images). No other file includes it. */
#ifndef WORKER_JOB_PARTS_H
#define WORKER_JOB_PARTS_H

#include "worker/evaluate/measure.h"
#include "worker/job/folder.h"
#include "worker/job/merge.h"
#include "worker/job/identity.h"
#include "worker/job/inputs.h"
#include "worker/job/shards.h"
#include "worker/job/run.h"
#include "worker/job/timing.h"
#include "worker/job/writer.h"
#include "worker/metrics/statistics.h"
#include "worker/models/model_cache.h"

struct Run {
    ModelCache *models;
    const JobSpec *spec;
    const cJSON *submitted;
    Identity identity;
    JobPipeline pipeline; /* PT, TF or BOTH (worker/evaluate/pipeline.h) */
    int64_t images;       /* of a source: counted when it is opened */
    int64_t expected;     /* what a survey counted; 0: no survey */
    ImageSource *source;  /* evaluate, statistics; the model cache's */
    ShardNeeds keeps;     /* what a shard of this job holds */
    Inputs inputs;        /* sample */
    const Family *family; /* sample: how the model is run */
    Model *model;         /* the model cache's; NULL until run_load */
    ModelFiles files;
    Precision precision; /* of the model */
    int spare_batch;     /* what the cache's spare model has room for; 0 until it is wanted */
    MeasurePlan measure; /* net NULL: not wanted, or not loaded yet */
    bool loaded;
    int batch;
    Stopwatch watch;
    cJSON *warnings; /* array of sentences */
};

/* A sentence for the log and the report. */
void run_note(Run *run, const Hooks *hooks, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Makes room for batches of `wanted` images, or, with a note, of the largest half, quarter, ... that fits; sets
 * run->batch. */
bool run_reserve(Run *run, int wanted, const Hooks *hooks, Err *err);

/* What a shard must hold to be valid: `keeps`, but no pixels once samples.npz and the sheet exist. */
ShardNeeds run_needs(const Run *run);

/* The writer of this run's shards, for a folder that is claimed before the first batch is added; NULL on failure.
 * `side`: pixels of an image, 0 without. */
Writer *run_writer(Run *run, int side, Err *err);
/* Moves the seconds since the last call into a batch. */
void run_take_times(Run *run, WriterBatch *batch);

/* The name of image i in messages: its file, or its number. Caller frees. */
char *run_image_name(const Run *run, int64_t i);

/* Moves what was measured into the batch's arrays. */
void run_take_rows(MeasureRows *rows, WriterBatch *batch);

/* evaluate and statistics: features of the images lo..hi-1 of the source, in shards. */
bool run_measure(Run *run, int64_t lo, int64_t hi, const Hooks *hooks, int64_t *ret_upto, Err *err);
/* After all of the source was measured: checks that it has not changed and writes grid.png of its first images. */
bool run_close_source(Run *run, const Hooks *hooks, Err *err);

/* statistics with `register`: the reference that all hosts share. images_sha256: of all pixels. */
bool run_register(const Run *run, Statistics *stats, const char *images_sha256, Err *err);

#endif
