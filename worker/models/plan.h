/* The rules a SamplerPlan obeys, apart from any model's weights. docs/dev/models.md, "Plans". */
#ifndef WORKER_MODELS_PLAN_H
#define WORKER_MODELS_PLAN_H

#include "worker/models/sampler.h"

/* What the fields of a job say. A new field of SamplerPlan is read here. */
SamplerPlan plan_of_job(const JobSpec *spec);

/* student, teacher: whether the sampler has one. The error says which value, what it is and what it may be. */
bool plan_check(const SamplerPlan *plan, const ModelInfo *info, bool student, bool teacher, Err *err);

bool plan_uses_teacher(const SamplerPlan *plan);
/* The teacher alone, from the first token to the last, needs no student (and no noise). */
bool plan_uses_student(const SamplerPlan *plan, const ModelInfo *info);

#endif
