/* Rules between the fields of a job; what a field may be by itself is in its row (jobspec.c) and type (jobfield.c). */
#ifndef CORE_JOBRULES_H
#define CORE_JOBRULES_H

#include "core/jobspec.h"

/* The metrics of a job that does not name any: fid where something is compared, else none. An evaluate job always
 * compares unless it says otherwise, so that one without a reference is told that the reference is missing. */
unsigned jobrules_metrics(const JobSpec *spec);

/* All fields are decoded and defaults are in place; `metrics` too. The sentence names the field that has to change. */
bool jobrules_check(const JobSpec *spec, JobForm form, Err *err);

#endif
