/* The Distilled Decoding student: one pass turns noise into codes and vectors. docs/dev/models.md, "Student".
 *
 *     student_step(&student, &work, &step, &result, err)
 *
 * A step at time t sees tokens 0..end-1: the first t are data, the others noise. Token i gets a code (argmax of the
 * logits) when t <= i < split and a vector (the continuous head) when max(t, split) <= i; what a token does not get is
 * not computed. */
#ifndef WORKER_MODELS_STUDENT_H
#define WORKER_MODELS_STUDENT_H

#include "worker/models/transformer.h"

typedef struct Student {
    Transformer tf;
    int channels;        /* C */
    Tensor embed, bias;  /* [D,C], [D] */
    Tensor noise_data;   /* [2,D]: added to noise, to data */
    Tensor shift_scale;  /* [classes+1,2D]: the class's shift, then its scale */
    Linear *vector_head; /* [C,D] */
} Student;

typedef struct StudentWork {
    TransformerWork tf;
    Tensor latents;       /* [B,L,C] */
    Tensor modulation;    /* [B,2D] */
    Tensor codes, margin; /* [B*L] */
    Tensor vectors;       /* [B*L,C] */
} StudentWork;

typedef struct StudentStep {
    int b, t, split, end;
    const int32_t *labels; /* [b] */
    const float *latents;  /* [b,end,C]: data for i < t, noise after */
} StudentStep;

/* Host memory, filled by a step. n = min(split,end) - t codes and m = end - max(t,split) vectors a sequence (none if <
 * 0). */
typedef struct StudentResult {
    int32_t *codes; /* [b,n] */
    float *margin;  /* [b,n] top-1 minus top-2 logit */
    float *vectors; /* [b,m,C] */
} StudentResult;

bool student_load(Student *ret_student, const Weights *weights, Backend *be, int heads, int grid, Err *err);
void student_free(Student *student); /* a zeroed one is fine */
void student_layout(const Student *student, Workspace *workspace, int b, StudentWork *work);

int student_codes(const StudentStep *step);   /* n */
int student_vectors(const StudentStep *step); /* m */
bool student_step(Student *student, StudentWork *work, const StudentStep *step, const StudentResult *result, Err *err);

#endif
