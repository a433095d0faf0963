/* The family LlamaGen-DD: the row of worker/models/family.h over the samplers (sampler.h). What a job's fields mean for
 * them is plan_of_job (plan.h): a new way to choose tokens, or another solver, starts there. */
#include <stdlib.h>

#include "core/mem.h"
#include "worker/models/family.h"
#include "worker/models/plan.h"
#include "worker/models/sampler.h"

typedef struct LlamagenDd {
    Model model;
    Sampler *sampler;
} LlamagenDd;

static Sampler *sampler_of(const Model *model)
{
    return ((const LlamagenDd *)model)->sampler;
}

static SamplerFiles named_files(const ModelFiles *files)
{
    return (SamplerFiles){.student = files->files[ROLE_STUDENT],
                          .teacher = files->files[ROLE_TEACHER],
                          .tokenizer = files->files[ROLE_TOKENIZER],
                          .student_part = files->parts[ROLE_STUDENT],
                          .teacher_part = files->parts[ROLE_TEACHER],
                          .tokenizer_part = files->parts[ROLE_TOKENIZER],
                          .heads = files->heads,
                          .grid = files->grid};
}

static bool sizes(const ModelFiles *files, ModelInfo *ret_info, Err *err)
{
    const SamplerFiles named = named_files(files);
    return sampler_sizes(&named, ret_info, err);
}

static Model *open_files(const ModelFiles *files, Backend *be, Err *err)
{
    const SamplerFiles named = named_files(files);
    Sampler *sampler = sampler_open(&named, be, err);
    if (!sampler)
        return NULL;
    LlamagenDd *made = xcalloc(1, sizeof *made);
    *made = (LlamagenDd){{&family_llamagen_dd, *sampler_info(sampler), sampler_built(sampler)}, sampler};
    return &made->model;
}

static void close_model(Model *model)
{
    sampler_close(sampler_of(model));
    free(model);
}

static bool check(const Model *model, const JobSpec *spec, Err *err)
{
    SamplerPlan plan = plan_of_job(spec);
    const ModelSizes sizes = {model->info.tokens, model->info.classes, model->info.image_size};
    return model_family(family_llamagen_dd.name)->fits(spec, &sizes, err) &&
           sampler_check(sampler_of(model), &plan, err);
}

static bool draws(const JobSpec *spec)
{
    SamplerPlan plan = plan_of_job(spec);
    return plan_uses_teacher(&plan) && !plan.argmax;
}

static bool reserve(Model *model, int count, Err *err)
{
    return sampler_reserve(sampler_of(model), count, err);
}

static bool run(Model *model, const JobSpec *spec, ModelBatch *batch, const Stages *stages, Err *err)
{
    SamplerPlan plan = plan_of_job(spec);
    return sampler_run(sampler_of(model), &plan, batch, stages->call, stages->ctx, err);
}

const Family family_llamagen_dd = {.name = "llamagen-dd",
                                   .open = open_files,
                                   .close = close_model,
                                   .sizes = sizes,
                                   .check = check,
                                   .draws = draws,
                                   .reserve = reserve,
                                   .run = run};
