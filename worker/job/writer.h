/* Writer: writes batches of images to disk while the next ones are sampled.
 *
 *     Writer *writer = writer_open(&plan, err);
 *     writer_add(writer, batch, err)          takes ownership of the batch; threads encode its PNGs
 *     writer_safe(writer, lo)                 the first index of this run that is not yet safely on disk
 *     writer_finish(writer, err)              closes the open shard and waits
 *     writer_close(writer)
 *
 * A shard is closed at a batch boundary, when it holds SHARD_IMAGES images or is older than SHARD_SECONDS, or where the
 * indices jump. A thread then flushes its images, writes its arrays and last its manifest. Shards become safe in the
 * order they were added. The first failure is kept and every later call reports it. */
#ifndef WORKER_JOB_WRITER_H
#define WORKER_JOB_WRITER_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "worker/images/images.h"
#include "worker/job/shards.h"
#include "worker/job/timing.h"

#define SHARD_IMAGES  256
#define SHARD_SECONDS 1.0

typedef struct WriterPlan {
    const char *output;          /* images/ and blocks/ are there */
    ShardNeeds keeps;            /* which arrays and whether PNGs; the identity */
    int side;                    /* pixels of a PNG a side; 0: none */
    ShardRow rows[SHARD_ARRAYS]; /* the shape of one image in each array that is kept */
    const cJSON *made;           /* how: device, precision, version; copied into each manifest */
    int threads;                 /* that encode PNGs, at least 1 */
    double shard_seconds;        /* 0: SHARD_SECONDS */
} WriterPlan;

/* One batch; the arrays are malloc'd, NULL where the plan does not keep them (pixels: needed for PNGs as well). */
typedef struct WriterBatch {
    int64_t lo;
    int count;
    void *arrays[SHARD_ARRAYS];
    double seconds[STAGES]; /* seconds it took to make */
    const char *precision;  /* if it is not that of the plan's `made`, else NULL; all batches of a shard agree */
    int height, width;      /* of its images; 0: unknown */
    ImageTally tally;       /* of the files they were read from */
    char *bad;              /* why the only image of this batch cannot be read; NULL: it can. malloc'd */
} WriterBatch;
void writer_batch_free(WriterBatch *batch); /* what it holds and the batch; NULL is fine */

typedef struct Writer Writer;
Writer *writer_open(const WriterPlan *plan, Err *err);
bool writer_add(Writer *writer, WriterBatch *batch,
                Err *err); /* may wait for the disk; consumes the batch in any case */
int64_t writer_safe(Writer *writer,
                    int64_t fallback); /* the end of the last closed shard; fallback while there is none */
bool writer_finish(Writer *writer, Err *err);
void writer_close(Writer *writer); /* drops what is not safe; NULL is fine */

#endif
