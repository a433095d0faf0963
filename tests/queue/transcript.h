/* Tests of the queue as transcripts: send this line, expect that one.
 *
 *     claim("a", "phase=images; lo=0; hi=8");
 *     say(QUEUE_FINISH, "{'token':'$a','upto':8,'ms':800}", "state=queued");
 *     say(QUEUE_SHOW, "{'id':'k3f'}", "job.done=8; job.reason~waits for");
 *
 * In a sent line ' means " and $a the token that worker a claimed last. What is expected is a list, by "; ", of
 * path=value (the whole value as text) and path~words (the value holds them); status=ok is expected where no status is
 * named. A path goes through objects and, by number, lists; `path.#` is a list's length. After every line the queue's
 * invariants are checked (invariants.lua). */
#ifndef TESTS_QUEUE_TRANSCRIPT_H
#define TESTS_QUEUE_TRANSCRIPT_H

#include "tests/test.h"

#include "tests/queue/redis.h"

extern Redis *redis; /* the test program's server */

int transcript_start(void **state); /* cmocka: group setup, group teardown, setup of a test (an empty queue) */
int transcript_stop(void **state);
int transcript_clear(void **state);

/* The answer stays valid until the next test. */
cJSON *say(QueueFn fn, const char *args, const char *expected);
cJSON *say_f(QueueFn fn, const char *expected, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* claim by worker NAME of host h with one CPU, which offers model:digits and reference:digits, ranges of 1 s. */
cJSON *claim(const char *worker, const char *expected);
/* submit of a job for model digits; rest: more fields, "'images':16,'priority':3", or "". */
cJSON *submit(const char *id, const char *user, int images, const char *rest);

/* All that an evaluation of 2 images needs, done by this worker: survey, images, report. The job is id's, and next. */
void do_evaluation(const char *worker, const char *id);

double number_at(const cJSON *answer, const char *path);
const char *text_at(const cJSON *answer, const char *path);

/* Expires all leases and the delays of waiting ranges. */
void time_passes(void);
void check_invariants(const char *after);

#endif
