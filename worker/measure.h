/* Measuring: images of a source through the network, rows of features out. Jobs that evaluate and references that are
 * folders both go through here, so the same images have the same features to the last bit wherever they are measured.
 *
 *     MeasurePlan plan = {.net = net, .pipeline = PIPELINE_PT, .lo = 0, .hi = image_source_count(source), .batch = 4};
 *     MeasureSink sink = {.ctx = mine, .rows = on_rows};
 *     measure_source(source, &plan, &sink, hooks, err);
 *
 * Images are decoded ahead by threads and arrive in order; those of one size are measured together. Neither batch nor
 * range nor threads change a bit of a row. Memory: one batch, and the images that are decoded ahead. */
#ifndef WORKER_MEASURE_H
#define WORKER_MEASURE_H

#include "core/jobspec.h"
#include "worker/images.h"
#include "worker/inception.h"
#include "worker/run.h"

enum { IMAGE_HASH = 32 }; /* bytes */

typedef struct MeasurePlan {
    Inception *net;
    JobPipeline pipeline; /* PT, TF or BOTH */
    InceptionLevel level; /* INCEPTION_64 is 0: say INCEPTION_2048 for what every metric takes */
    bool spatial;         /* sFID rows as well: of tf where that is measured, else of pt; with INCEPTION_2048 alone */
    int64_t lo, hi;       /* the range of the source */
    int batch;            /* images at a time; halved, with a note, where memory does not suffice */
    bool skip_bad;        /* unreadable images are told to the sink and get no row; else the first one is the error */
} MeasurePlan;

/* Rows of the images first..first+count-1, malloc'd; a sink may take an array over by setting it NULL here. */
typedef struct MeasureRows {
    int64_t first;
    int count;
    float *features;    /* [count,width], of pt if that is measured */
    float *features_tf; /* [count,width] with PIPELINE_BOTH, else NULL */
    float *spatial;     /* [count,2023] or NULL */
    uint8_t *hashes;    /* [count,32]: image_hash of each */
    double seconds;     /* since the last call */
} MeasureRows;

typedef struct MeasureSink {
    void *ctx;
    bool (*rows)(void *ctx, MeasureRows *rows, Err *err);        /* in order; false ends it */
    void (*bad)(void *ctx, int64_t index, const char *text);     /* NULL without skip_bad */
    void (*image)(void *ctx, int64_t index, const Image *image); /* each as it is read, before its row; may be NULL */
} MeasureSink;

/* Stops with ERR_CANCELLED after the batch in work was given to the sink. A NaN is ERR_NUMERIC and names the image. */
bool measure_source(ImageSource *source, const MeasurePlan *plan, const MeasureSink *sink, const RunHooks *hooks,
                    Err *err);

/* sha256 of "HEIGHT WIDTH\n" and the pixels: two images of the same hash are the same image. */
void image_hash(const Image *image, uint8_t ret_hash[IMAGE_HASH]);
/* The hash of a set: sha256 over the hashes of its images in order, so it does not depend on how the set was split. */
typedef struct SetHash {
    void *ctx;
    int64_t images;
} SetHash; /* starts as {0} */
void set_hash_add(SetHash *hash, const uint8_t *hashes, int64_t count);
void set_hash_finish(SetHash *hash, char ret_hex[65]); /* ret_hex NULL: only frees */

#endif
