/* One job, from a spec in EXEC form to files in its output folder. Uses no network and no daemon.
 *
 *     run_open(spec)                      checks the spec and the folder; models are kept warm between jobs
 *     run_images(run, lo, hi, hooks)      images lo..hi-1: sampled, decoded, written, features taken
 *     run_report(run, hooks)              everything that needs all images: arrays, statistics, FID, grid, report
 *
 *     run_survey(run, &images)            evaluate and statistics: how many images there are
 *
 * `ddq-worker exec` calls the phases on 0..n; `ddq-worker serve` calls them for the daemon's work messages.
 *
 * The output folder is the only state: blocks/LO-HI.json (a manifest: range, identity of the images, sizes and
 * checksums) is written after all files of LO..HI-1 are safely on disk, so a range whose manifests are valid is
 * skipped. */
#ifndef WORKER_JOB_RUN_H
#define WORKER_JOB_RUN_H

#include <stdint.h>

#include "core/err.h"
#include "worker/evaluate/hooks.h"
#include "spec/jobspec.h"
#include "worker/models/model_cache.h"

typedef struct Run Run;
/* The spec must live as long as the run. Hashes the inputs and checks the folder; models are loaded when they are first
 * needed, so a report or a finished job does not wait for them. */
Run *run_open(ModelCache *models, const JobSpec *spec, Err *err);
/* The job as it was submitted to a queue, for job.json, from which `ddq adopt` submits it again. NULL: no queue. Must
 * live as long as the run. */
void run_submitted(Run *run, const cJSON *submitted);
cJSON *run_files(const Run *run);                      /* identity_files; caller owns it */
void run_close(Run *run);                              /* NULL is fine */
bool run_load(Run *run, const Hooks *hooks, Err *err); /* loads the models now */
/* True when the folder holds all of this job already; *ret_fid as run_report gives it. */
bool run_finished(const Run *run, double *ret_fid);
/* Counts the images of an evaluation's source, and checks what is not checked image by image. */
bool run_survey(Run *run, int64_t *ret_images, Err *err);
/* What the survey counted: a different count from now on is an error. */
void run_expect(Run *run, int64_t images);
/* *ret_upto is set in any case. */
bool run_images(Run *run, int64_t lo, int64_t hi, const Hooks *hooks, int64_t *ret_upto, Err *err);
bool run_report(Run *run, const Hooks *hooks, double *ret_fid, Err *err); /* *ret_fid NaN when it was not asked for */
/* After the report: its figures (spec/report/figure.h) as one flat object of numbers, those of a second pipeline with
 * tf_ in front; NULL when there is no figure. The caller owns it. */
cJSON *run_figures(const Run *run);

#endif
