/* Which pipeline a job measures with, and whether its reference holds what the metrics compare. Checked before any
 * image is made, so that a job does not fail after a day of sampling because a file holds statistics alone. */
#ifndef WORKER_EVALUATE_PIPELINE_H
#define WORKER_EVALUATE_PIPELINE_H

#include "core/err.h"
#include "spec/jobspec.h"

/* PT, TF or BOTH: the job's; else the one that its reference states; else PT. A reference that does not exist, was made
 * with another pipeline, or lacks what a metric compares is an error that names what would be accepted. */
bool pipeline_choose(const JobSpec *spec, JobPipeline *ret_pipeline, Err *err);

const char *job_pipeline_name(JobPipeline pipeline); /* "pt", "tf", "both" */

#endif
