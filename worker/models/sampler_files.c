/* A sampler from checkpoints: opens the files, and afterwards says what was made of them. */
#include "core/mem.h"
#include "worker/weights/kind.h"
#include "worker/models/sampler_parts.h"

/* One of the files; path NULL: there is none, which is fine. */
typedef struct File {
    const char *path, *part, *choose;
    NetworkKind kind;
    Ckpt *ckpt;
    Weights weights;
} File;

static bool open_file(File *file, Err *err)
{
    if (!file->path)
        return true;
    file->ckpt = ckpt_open_part(file->path, file->part, err);
    if (file->ckpt)
        file->weights = weights_of_ckpt(file->ckpt);
    return file->ckpt || err_wrap(err, "%s", network_name(file->kind));
}

static void note_heads(Built *built, const File *file, const Transformer *tf)
{
    const PublishedSize *near = published_size(tf->width, 0);
    if (!tf->heads_assumed)
        return;
    built_note(built,
               "%s %s: a model of width %d with %d layer%s has no published size%s%s%s, so %d attention heads of 64 "
               "channels were "
               "assumed; set heads to be sure",
               network_name(file->kind), file->path, tf->width, tf->layers, tf->layers == 1 ? "" : "s",
               near ? " (" : "", near ? near->name : "",
               near ? " of this width has another number of layers; is the file whole?)" : "", tf->heads);
}

static bool report_transformer(Built *built, const File *file, const Transformer *tf, Err *err)
{
    cJSON *network = file->ckpt ? built_add(built, file->kind, file->ckpt, file->choose, err) : NULL;
    if (!network)
        return !file->ckpt;
    built_size(network, "layers", tf->layers);
    built_size(network, "width", tf->width);
    built_size(network, "hidden", tf->hidden);
    built_choice(network, "heads", &(SizeChoice){tf->heads, tf->heads_from, tf->heads_assumed});
    built_size(network, "codes", tf->codes);
    built_size(network, "classes", tf->classes);
    note_heads(built, file, tf);
    return true;
}

static bool report_tokenizer(Sampler *s, const File *file, Err *err)
{
    cJSON *network = built_add(&s->built, file->kind, file->ckpt, file->choose, err);
    if (!network)
        return false;
    built_size(network, "codes", s->book.codes);
    built_size(network, "channels", s->book.channels);
    built_size(network, "levels", s->decoder.levels);
    built_choice(network, "grid", &s->grid);
    built_size(network, "image_size", s->decoder.image_size);
    if (s->grid.assumed)
        built_note(
            &s->built,
            "tokenizer %s: no file has the number of tokens per side, so %d (images of %d pixels) was assumed by "
            "its %d levels; set grid to be sure",
            file->path, s->grid.value, s->decoder.image_size, s->decoder.levels);
    return true;
}

Sampler *sampler_open(const SamplerFiles *files, Backend *be, Err *err)
{
    File student = {files->student, files->student_part, "student_part", NETWORK_STUDENT, NULL, {0}};
    File teacher = {files->teacher, files->teacher_part, "teacher_part", NETWORK_TEACHER, NULL, {0}};
    File tokenizer = {files->tokenizer, files->tokenizer_part, "tokenizer_part", NETWORK_TOKENIZER, NULL, {0}};
    Sampler *s = NULL;
    if (!files->tokenizer)
        err_set(err, ERR_USAGE, "tokenizer: none was given; every sampler needs one");
    else if (open_file(&student, err) && open_file(&teacher, err) && open_file(&tokenizer, err))
        s = sampler_open_weights(student.ckpt ? &student.weights : NULL, teacher.ckpt ? &teacher.weights : NULL,
                                 &tokenizer.weights, files->heads, files->grid, be, err);
    if (s && !(report_transformer(&s->built, &student, &s->student.tf, err) &&
               report_transformer(&s->built, &teacher, &s->teacher.tf, err) && report_tokenizer(s, &tokenizer, err))) {
        sampler_close(s);
        s = NULL;
    }
    ckpt_close(student.ckpt);
    ckpt_close(teacher.ckpt);
    ckpt_close(tokenizer.ckpt);
    return s;
}

bool sampler_sizes(const SamplerFiles *files, ModelInfo *ret_info, Err *err)
{
    File student = {files->student, files->student_part, "student_part", NETWORK_STUDENT, NULL, {0}};
    File teacher = {files->teacher, files->teacher_part, "teacher_part", NETWORK_TEACHER, NULL, {0}};
    File tokenizer = {files->tokenizer, files->tokenizer_part, "tokenizer_part", NETWORK_TOKENIZER, NULL, {0}};
    bool ok = files->tokenizer || err_set(err, ERR_USAGE, "tokenizer: none was given; every sampler needs one");
    ok = ok && open_file(&student, err) && open_file(&teacher, err) && open_file(&tokenizer, err) &&
         sampler_sizes_weights(student.ckpt ? &student.weights : NULL, teacher.ckpt ? &teacher.weights : NULL,
                               &tokenizer.weights, files->heads, files->grid, ret_info, err);
    ckpt_close(student.ckpt);
    ckpt_close(teacher.ckpt);
    ckpt_close(tokenizer.ckpt);
    return ok;
}

const Built *sampler_built(const Sampler *sampler)
{
    return &sampler->built;
}
