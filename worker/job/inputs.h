/* What goes into image i: its label, its noise, its uniforms. By rule from the seed, or from .npy files.
 *
 *     inputs_open(spec, &inputs, err)        maps the files, checks what can be checked without a model
 *     inputs_fit(&inputs, info, err)         shapes and labels against the model
 *     inputs_fill(&inputs, lo, count, labels, noise, uniform, err)
 */
#ifndef WORKER_JOB_INPUTS_H
#define WORKER_JOB_INPUTS_H

#include "core/err.h"
#include "spec/jobspec.h"
#include "worker/arrays/npy.h"
#include "worker/models/family.h"

typedef struct Inputs {     /* starts as {0} */
    const JobSpec *spec;    /* must live as long */
    NpyArray noise, labels; /* data NULL: by rule */
    ModelInfo info;         /* since inputs_fit */
} Inputs;

bool inputs_open(const JobSpec *spec, Inputs *ret_inputs, Err *err);
void inputs_close(Inputs *inputs);

/* Tokens a side as the noise file has them; 0 when there is none. */
int inputs_grid(const Inputs *inputs);

bool inputs_fit(Inputs *inputs, const ModelInfo *info, Err *err);

/* The label of image i for a model of so many classes; needs no inputs_fit. */
int64_t inputs_label(const Inputs *inputs, int64_t i, int classes);

/* Images lo..lo+count-1: labels [count], noise [count,L,C], uniform [count,L] (NULL: not wanted). Noise that is not
 * finite is an error that names the image. */
bool inputs_fill(const Inputs *inputs, int64_t lo, int count, int32_t *labels, float *noise, float *uniform, Err *err);

#endif
