/* The worker protocol: newline-delimited JSON objects over one socketpair, fd 3 in the worker.
 *
 *   daemon -> worker
 *     work      {token, job, phase, lo, hi, n, spec, submitted?}
 *     yield     {token}      stop at the next batch
 *     cancel    {token}      stop at the next batch: the job is over
 *     stop      {}           finish the batch, then exit
 *     look      {models, references, networks, paths, output_root, input_roots}    to `ddq-worker look` alone
 *
 *   worker -> daemon
 *     hello     {version, pid, device, name, memory_mib}
 *     loaded    {job, seconds, warm}               weights are in memory; warm: the model files that are
 *     progress  {token, upto, rate, stage}
 *     finished  {token, upto, ms, fid?, metrics?, images?, peak_mib?, files?}   upto == hi; images: counted by a
 *                                                  survey; metrics: the report's figures (spec/report/figure.h);
 * peak_mib: device memory that it used; files: field -> hash of each file that the range was made from
 * (worker/job/identity.h) yielded   {token, upto}                      after yield, cancel or stop failed    {token,
 * upto, kind, policy, text, ends?}                ends: the worker exits now log       {level, text} alive {free_mib?}
 * at least every 5 s, from a thread of its own; free_mib: device memory that it could use, including what it holds seen
 * {models, references, networks, paths}     the answer to look (worker/commands/look.h)
 *
 * phase is "survey" (count the images of the source), "images" (make or measure images lo..hi-1) or "report"
 * (everything that needs all images). n is how many images the job has, 0 before its survey. upto is the first index
 * that is not safely on disk. spec is a job spec in EXEC form; submitted is the job as it was submitted, for job.json.
 * EOF means that the other side has ended. If any message changes, raise PROTO_VERSION; the daemon refuses a worker of
 * another version. A line is at most PROTO_LINE_MAX bytes. The traffic can be read in a terminal and typed by hand. */
#ifndef SPEC_PROTO_H
#define SPEC_PROTO_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "core/mem.h"

#define PROTO_VERSION  4
#define PROTO_LINE_MAX (1 << 20)
#define PROTO_FD       3

typedef enum ProtoType {
    PROTO_WORK,
    PROTO_YIELD,
    PROTO_CANCEL,
    PROTO_STOP,
    PROTO_LOOK,
    PROTO_HELLO,
    PROTO_LOADED,
    PROTO_PROGRESS,
    PROTO_FINISHED,
    PROTO_YIELDED,
    PROTO_FAILED,
    PROTO_LOG,
    PROTO_ALIVE,
    PROTO_SEEN,
    PROTO_TYPES
} ProtoType;

const char *proto_name(ProtoType type);

/* One line, newline included, for a message {"type": name, ...fields}. `fields` may be NULL; it is consumed.
 * The caller frees the text. */
char *proto_encode(ProtoType type, cJSON *fields);

/* A decoder fed with whatever bytes arrive. */
typedef struct ProtoReader { /* starts as {0} */
    Buf line;                /* what came after the last newline */
    bool dead;               /* a line was refused */
} ProtoReader;

/* Feeds bytes; calls on_message for each whole line in order. The reader owns the message and frees it after
 * the call. Returns false at the first line that is too long, not JSON, of unknown type, or that lacks a field its
 * type needs or has one of the wrong JSON type; the reader is then dead. */
bool proto_feed(ProtoReader *reader, const char *bytes, size_t len,
                void (*on_message)(ProtoType type, const cJSON *message, void *ctx), void *ctx, Err *err);
void proto_reader_free(ProtoReader *reader);

#endif
