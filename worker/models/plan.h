/* The rules of a SamplerPlan that do not depend on a model's weights. docs/dev/models.md, "Plans". */
#ifndef WORKER_MODELS_PLAN_H
#define WORKER_MODELS_PLAN_H

#include "worker/models/family.h"

/* What to sample: plan_of_job makes it of a job, sampler_check checks it before any work. */
typedef struct SamplerPlan {
    const int *t_list;
    int t_count;
    int split_t;
    int teacher_start_t; /* -1: few-step */
    float cfg_scale;
    int cfg_interval, top_k;
    float top_p, temperature;
    bool argmax;
} SamplerPlan;

/* The plan of a job's fields. A new field of SamplerPlan is read here. */
SamplerPlan plan_of_job(const JobSpec *spec);

/* student, teacher: whether the sampler has one. The error says which value, what it is and what it may be. */
bool plan_check(const SamplerPlan *plan, const ModelInfo *info, bool student, bool teacher, Err *err);

bool plan_uses_teacher(const SamplerPlan *plan);
/* The teacher alone, from the first token to the last, needs no student (and no noise). */
bool plan_uses_student(const SamplerPlan *plan, const ModelInfo *info);

#endif
