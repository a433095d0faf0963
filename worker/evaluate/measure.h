/* Measuring: images of a source through the network, rows of features out. Jobs that evaluate and references that are
 * folders both go through here, so the same images have the same features to the last bit wherever they are measured.
 *
 *     MeasurePlan plan = {.net = net, .pipeline = PIPELINE_PT, .level = INCEPTION_2048, .batch = 4};
 *     MeasureSink sink = {.ctx = mine, .rows = on_rows};
 *     measure_source(source, 0, image_source_count(source), &plan, &sink, hooks, err);
 *
 * Images are decoded ahead by threads and arrive in order; those of one size are measured together. Neither batch nor
 * range nor threads change a bit of a row. Memory: one batch, and the images that are decoded ahead. */
#ifndef WORKER_EVALUATE_MEASURE_H
#define WORKER_EVALUATE_MEASURE_H

#include "worker/evaluate/hooks.h"
#include "spec/jobspec.h"
#include "worker/images/images.h"
#include "worker/models/inception.h"

const char *pipeline_name(Resize pipeline); /* "pt", "tf" */

typedef struct MeasurePlan {
    Inception *net;
    JobPipeline pipeline; /* PT, TF or BOTH */
    InceptionLevel level; /* zero is INCEPTION_64; metrics are defined on INCEPTION_2048 */
    bool spatial;         /* sFID rows as well: of tf where that is measured, else of pt; with INCEPTION_2048 alone */
    int batch;            /* images at a time; halved here, with a note, where memory does not suffice */
    bool skip_bad;        /* unreadable images go to the sink's `bad` and get no row; else the first one is the error */
} MeasurePlan;

/* Rows of the images first..first+count-1, malloc'd; a sink may take an array over by setting it NULL here. */
typedef struct MeasureRows {
    int64_t first;
    int count, height, width; /* of the images: one size */
    float *features;          /* [count,features wide], of pt if that is measured */
    float *features_tf;       /* [count,features wide] with PIPELINE_BOTH, else NULL */
    float *spatial;           /* [count,2023] or NULL */
    uint8_t *hashes;          /* [count,32]: image_hash of each */
    ImageTally tally;         /* of their files; empty for pixels */
} MeasureRows;
void measure_rows_free(MeasureRows *rows);

typedef struct MeasureSink {
    void *ctx;
    bool (*rows)(void *ctx, MeasureRows *rows, Err *err);             /* in order; false ends it */
    bool (*bad)(void *ctx, int64_t index, const char *why, Err *err); /* in order too; NULL without skip_bad */
} MeasureSink;

/* Images lo..hi-1. Stops between batches with ERR_CANCELLED. A NaN is ERR_NUMERIC and names the image. */
bool measure_source(ImageSource *source, int64_t lo, int64_t hi, MeasurePlan *plan, const MeasureSink *sink,
                    const Hooks *hooks, Err *err);

/* The same for images that are in memory, u8 [count,h,w,3]: what a sampler just made. On failure *ret_rows is
 * untouched. */
bool measure_pixels(const uint8_t *pixels, int64_t first, int count, int h, int w, MeasurePlan *plan,
                    const Hooks *hooks, MeasureRows *ret_rows, Err *err);

#endif
