/* Plans, made of a job and checked. A new field of SamplerPlan is filled, and gets its range and its message, here. */
#include "worker/models/plan.h"

#include <math.h>

SamplerPlan plan_of_job(const JobSpec *spec)
{
    return (SamplerPlan){
        .t_list = spec->t_list,
        .t_count = spec->t_count,
        .split_t = spec->split_t < 0 ? 0 : spec->split_t,
        .teacher_start_t = spec->teacher_start_t,
        .cfg_scale = (float)spec->cfg_scale,
        .cfg_interval = spec->cfg_interval,
        .top_k = spec->top_k,
        .top_p = (float)spec->top_p,
        .temperature = (float)spec->temperature,
        .argmax = spec->pick == PICK_ARGMAX,
    };
}

bool plan_uses_teacher(const SamplerPlan *plan)
{
    return plan->teacher_start_t >= 0;
}

bool plan_uses_student(const SamplerPlan *plan, const ModelInfo *info)
{
    return !plan_uses_teacher(plan) || plan->teacher_start_t > 0 || plan->t_list[plan->t_count - 1] < info->tokens;
}

static bool check_t_list(const SamplerPlan *plan, const ModelInfo *info, Err *err)
{
    const int *t = plan->t_list;
    bool teacher = plan_uses_teacher(plan);
    if (plan->t_count < 1 || t[0] != 0)
        return err_set(err, ERR_USAGE, "t_list: it starts with %d, wanted 0 (all tokens are noise at the first step)",
                       plan->t_count < 1 ? -1 : t[0]);
    for (int i = 1; i < plan->t_count; i++)
        if (t[i] <= t[i - 1])
            return err_set(err, ERR_USAGE, "t_list: %d comes after %d, wanted strictly increasing values", t[i],
                           t[i - 1]);
    int last = t[plan->t_count - 1], most = teacher ? info->tokens : info->tokens - 1;
    if (last > most)
        return err_set(err, ERR_USAGE,
                       "t_list: %d is past the end, this model has %d tokens, so the last value may be %d", last,
                       info->tokens, most);
    if (teacher && plan->t_count != 2)
        return err_set(err, ERR_USAGE,
                       "t_list: %d values, wanted 2 with a teacher: 0 and the token where the teacher stops",
                       plan->t_count);
    if (teacher && plan->teacher_start_t >= t[1])
        return err_set(err, ERR_USAGE, "teacher_start_t: it is %d and the teacher stops at %d (t_list), wanted 0 to %d",
                       plan->teacher_start_t, t[1], t[1] - 1);
    return true;
}

static bool check_choice(const SamplerPlan *plan, Err *err)
{
    if (!isfinite(plan->cfg_scale) || plan->cfg_scale < 0)
        return err_set(err, ERR_USAGE, "cfg_scale: it is %g, wanted a finite number >= 0 (1 or less: no guidance)",
                       (double)plan->cfg_scale);
    if (plan->cfg_interval < -1)
        return err_set(err, ERR_USAGE, "cfg_interval: it is %d, wanted -1 (guide all tokens) or more",
                       plan->cfg_interval);
    if (plan->top_k < 0)
        return err_set(err, ERR_USAGE, "top_k: it is %d, wanted 0 (off) or more", plan->top_k);
    if (!(plan->top_p > 0 && plan->top_p <= 1))
        return err_set(err, ERR_USAGE, "top_p: it is %g, wanted more than 0 and at most 1 (1: off)",
                       (double)plan->top_p);
    if (!isfinite(plan->temperature) || plan->temperature < 0)
        return err_set(err, ERR_USAGE, "temperature: it is %g, wanted a finite number >= 0", (double)plan->temperature);
    return true;
}

bool plan_check(const SamplerPlan *plan, const ModelInfo *info, bool student, bool teacher, Err *err)
{
    if (plan->teacher_start_t < -1)
        return err_set(err, ERR_USAGE, "teacher_start_t: it is %d, wanted -1 (no teacher) or 0 to %d",
                       plan->teacher_start_t, info->tokens - 1);
    if (!check_t_list(plan, info, err))
        return false;
    if (plan->split_t < 0 || plan->split_t > info->tokens)
        return err_set(err, ERR_USAGE, "split_t: it is %d, wanted 0 to %d, the number of tokens of this model",
                       plan->split_t, info->tokens);
    if (plan_uses_teacher(plan) && !teacher)
        return err_set(err, ERR_USAGE, "teacher: teacher_start_t is %d, so this job needs a teacher and has none",
                       plan->teacher_start_t);
    if (plan_uses_student(plan, info) && !student)
        return err_set(err, ERR_USAGE,
                       "student: this job needs a student and has none (the teacher alone is teacher_start_t 0 with "
                       "t_list 0,%d)",
                       info->tokens);
    return check_choice(plan, err);
}
