/* The teacher: the plain LlamaGen model, token by token with a K/V cache. docs/dev/models.md, "Teacher".
 *
 *     teacher_draw(&teacher, &work, &draw, &result, err)      tokens start..end-1 after a prefix 0..start-1
 *
 * With guidance the batch is doubled: rows 0..b-1 see their class, rows b..2b-1 the null class. */
#ifndef WORKER_MODELS_TEACHER_H
#define WORKER_MODELS_TEACHER_H

#include "worker/models/transformer.h"

typedef struct Teacher {
    Transformer tf;
    Tensor embed; /* [V,D] */
} Teacher;

typedef struct TeacherWork {
    int b;
    TransformerWork tf;
    Tensor prefix;               /* [2B*L] i32 */
    Tensor picks;                /* [L,2B] i32: what was drawn, once a sequence */
    Tensor uniform;              /* [L,B] */
    Tensor margin;               /* [L,B] */
    Tensor cond, uncond, guided; /* [B,D] normed hidden states */
    Tensor logits;               /* [B,V] */
    int32_t *labels, *ids;       /* host, [2B] and [2B*L]; teacher_work_close */
    float *numbers;              /* host, [L,B] */
} TeacherWork;

typedef struct TeacherDraw {
    int b, start, end;     /* 0 <= start < end <= L */
    const int32_t *labels; /* [b] */
    const int32_t *prefix; /* [b,start] */
    float cfg_scale;       /* <= 1: no guidance */
    int cfg_interval;      /* -1: always; else tokens past start+1+interval see their class alone */
    int top_k;
    float top_p, temperature;
    const float *uniform; /* [b,L], token i uses [.,i]; NULL: argmax */
} TeacherDraw;

/* Host memory. margin is written with argmax only. logits (tests): of the last token drawn, or NULL. */
typedef struct TeacherResult {
    int32_t *ids;  /* [b,end-start] */
    float *margin; /* [b,end-start] */
    float *logits; /* [b,V] */
} TeacherResult;

bool teacher_load(Teacher *ret_teacher, const Weights *weights, Backend *be, int heads, int grid, Err *err);
void teacher_free(Teacher *teacher); /* a zeroed one is fine */
void teacher_layout(const Teacher *teacher, Workspace *workspace, int b, TeacherWork *work);
void teacher_work_open(const Teacher *teacher, int b, TeacherWork *work); /* the host part */
void teacher_work_close(TeacherWork *work);

bool teacher_draw(Teacher *teacher, TeacherWork *work, const TeacherDraw *draw, const TeacherResult *result, Err *err);

#endif
