/* What a sampler is made of, for the files behind sampler.h: sampler.c runs it, sampler_files.c opens it. */
#ifndef WORKER_MODELS_SAMPLER_PARTS_H
#define WORKER_MODELS_SAMPLER_PARTS_H

#include "worker/models/codebook.h"
#include "worker/models/decoder.h"
#include "worker/models/sampler.h"
#include "worker/weights/sizes.h"
#include "worker/models/student.h"
#include "worker/models/teacher.h"

struct Sampler {
    Backend *be;
    ModelInfo info;
    Built built;
    SizeChoice grid;
    Codebook book;
    Decoder decoder;
    Student student; /* tf.be NULL: there is none */
    Teacher teacher; /* likewise */
    int reserved;    /* B of what follows */
    Workspace workspace;
    StudentWork student_work;
    TeacherWork teacher_work;
    DecoderWork decoder_work;
    /* host, one batch */
    float *vectors, *latents, *margin; /* [B,L,C], [B,L,C], [B,L] */
    int32_t *codes, *prefix;           /* [B,L] */
    StudentResult found;               /* as large as [B,L] */
    TeacherResult drawn;
};

/* As sampler_sizes, of open files. */
bool sampler_sizes_weights(const Weights *student, const Weights *teacher, const Weights *tokenizer, int heads,
                           int grid, ModelInfo *ret_info, Err *err);

#endif
