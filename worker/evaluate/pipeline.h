/* Which pipeline a job measures with, and whether its reference can answer what is asked of it: said before anything is
 * made, so that nobody samples for a day to learn that a file holds statistics alone. */
#ifndef WORKER_EVALUATE_PIPELINE_H
#define WORKER_EVALUATE_PIPELINE_H

#include "core/err.h"
#include "core/jobspec.h"

/* PT, TF or BOTH: what the job says; else what its reference says of itself; else PT. A reference that is not there,
 * was made with another pipeline, or lacks what a metric compares is an error that says what would do. */
bool pipeline_choose(const JobSpec *spec, JobPipeline *ret_pipeline, Err *err);

const char *job_pipeline_name(JobPipeline pipeline); /* "pt", "tf", "both" */

#endif
