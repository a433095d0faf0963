/* What a job is: the one table of its parameters. What is not in a field's row is in its type (jobfield.c); rules
 * between fields are in jobrules.c. A name may have several rows where kinds or forms differ, as long as no kind and
 * form sees two of them.
 *
 * To add a parameter: a member in jobspec.h, a row here with its role and traits (jobtraits.h), the line that uses it;
 * then print docs/jobspec.md anew. */
#include "spec/jobspec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/help.h"
#include "core/mem.h"
#include "spec/jobspec_parts.h"

#define AT(name)   offsetof(JobSpec, name), sizeof(((JobSpec *)0)->name)
#define SAMPLE     (1u << KIND_SAMPLE)
#define EVALUATE   (1u << KIND_EVALUATE)
#define STATISTICS (1u << KIND_STATISTICS)
#define ANY_KIND   (SAMPLE | EVALUATE | STATISTICS)
#define QUEUED     (1u << FORM_QUEUED)
#define EXEC       (1u << FORM_EXEC)
#define BOTH       (QUEUED | EXEC)
#define SAVE_ALL   (SAVE_PNG | SAVE_NPZ | SAVE_CODES | SAVE_VECTORS | SAVE_FEATURES)
#define SEED_MAX   99999999999999.0 /* fourteen digits, which all JSON writers keep (cJSON 15, Lua 14) */

static const char *const pick_words[] = {"sample", "argmax", NULL};
static const char *const classes_words[] = {"uniform", "balanced", NULL};
static const char *const precision_words[] = {"fp32", "tf32", "fp16", "bf16", NULL};
static const char *const save_words[] = {"png", "npz", "codes", "vectors", "features", NULL};
static const char *const pipeline_words[] = {"pt", "tf", "both", NULL};
static const char *const one_pipeline_words[] = {"pt", "tf", NULL};
static const char *const like_words[] = {"exact", "pytorch-fid", NULL};
static const char *const no_yes_words[] = {"no", "yes", NULL};

static const JobField fields[] = {
    {"kind", TYPE_WORD, AT(kind), ANY_KIND, BOTH, CHANGES_PIXELS, SUBMITTED, false, "sample", 0, 0, jobkind_words,
     "What to do: sample images, evaluate images against a reference, or compute the statistics of images."},
    {"name", TYPE_NAME, AT(name), ANY_KIND, BOTH, CHANGES_REPORT, KEEPS_PUBLISHED | SUBMITTED, false, NULL, 0, 0, NULL,
     "Name of the output folder and of the report. Default of a queued job: its id."},
    {"recipe", TYPE_TEXT, AT(recipe), ANY_KIND, BOTH, CHANGES_REPORT, KEEPS_PUBLISHED | KEPT_BY_THEN, false, NULL, 0, 0,
     NULL, "Recipe that this job came from; shown in the report."},
    {"changed", TYPE_TEXT, AT(changed), ANY_KIND, BOTH, CHANGES_REPORT, KEEPS_PUBLISHED | KEPT_BY_THEN, false, NULL, 0,
     0, NULL,
     "Fields that are not as in the recipe, with their values; `ddq submit` writes it. The report names them, and "
     "compares no published value where one of them changes what was measured."},
    {"model", TYPE_TEXT, AT(model), SAMPLE, QUEUED, CHANGES_REPORT, NAMES_OFFER | SUBMITTED, true, NULL, 0, 0, NULL,
     "Name of a [model] section of the daemon's configuration."},
    {"model", TYPE_TEXT, AT(model), SAMPLE, EXEC, CHANGES_REPORT, 0, false, NULL, 0, 0, NULL,
     "Name of the model; shown in the report."},
    {"family", TYPE_TEXT, AT(family), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, NULL, 0, 0, NULL,
     "Family of the model. Default: llamagen-dd."},
    {"student", TYPE_TEXT, AT(files[ROLE_STUDENT]), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, NULL, 0, 0, NULL,
     "Checkpoint of the student. Not needed when only the teacher runs (teacher_start_t 0, t_list 0,L)."},
    {"tokenizer", TYPE_TEXT, AT(files[ROLE_TOKENIZER]), SAMPLE, EXEC, CHANGES_PIXELS, 0, true, NULL, 0, 0, NULL,
     "Checkpoint of the tokenizer: codebook and decoder."},
    {"teacher", TYPE_TEXT, AT(files[ROLE_TEACHER]), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, NULL, 0, 0, NULL,
     "Checkpoint of the teacher. Required with teacher_start_t."},
    {"student_part", TYPE_TEXT, AT(parts[ROLE_STUDENT]), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, NULL, 0, 0, NULL,
     "Part of the student's file to read, such as model or state_dict.ema. Default: averaged weights before others."},
    {"tokenizer_part", TYPE_TEXT, AT(parts[ROLE_TOKENIZER]), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, NULL, 0, 0, NULL,
     "Part of the tokenizer's file to read."},
    {"teacher_part", TYPE_TEXT, AT(parts[ROLE_TEACHER]), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, NULL, 0, 0, NULL,
     "Part of the teacher's file to read."},
    {"heads", TYPE_INT, AT(heads), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, "0", 0, 256, NULL,
     "Number of attention heads of student and teacher. 0: that of the published size, else width / 64 with a warning; "
     "for widths over 2560 that were not published it is required."},
    {"grid", TYPE_INT, AT(grid), SAMPLE, EXEC, CHANGES_PIXELS, 0, false, "0", 0, 1024, NULL,
     "Tokens per side, which checkpoints do not contain. 0: from the noise file, else from the levels of the "
     "tokenizer; required for sizes that were published for 384 pixels (XL, XXL, 3B)."},
    {"t_list", TYPE_STEPS, AT(t_list), SAMPLE, BOTH, CHANGES_PIXELS, PACE, false, "0", 0, 65536, NULL,
     "Time steps of the student. With a teacher: 0 and the step at which the student takes over."},
    {"split_t", TYPE_INT, AT(split_t), SAMPLE, BOTH, CHANGES_PIXELS, PACE, false, NULL, 0, 65536, NULL,
     "Tokens before this one come from the codebook, the others from the continuous head. Required when the student "
     "runs."},
    {"teacher_start_t", TYPE_INT, AT(teacher_start_t), SAMPLE, BOTH, CHANGES_PIXELS, PACE | LOAD_IF_SET, false, NULL,
     -1, 65536, NULL, "First token that the teacher draws. Absent or -1: few-step sampling without a teacher."},
    {"cfg_scale", TYPE_REAL, AT(cfg_scale), SAMPLE, BOTH, CHANGES_PIXELS, PACE, false, "2.0", 0, 1000, NULL,
     "Classifier-free guidance scale for the teacher. 1 or less turns guidance off."},
    {"cfg_interval", TYPE_INT, AT(cfg_interval), SAMPLE, BOTH, CHANGES_PIXELS, 0, false, "-1", -1, 65536, NULL,
     "Last teacher token that is drawn with guidance. -1: all tokens."},
    {"top_k", TYPE_INT, AT(top_k), SAMPLE, BOTH, CHANGES_PIXELS, 0, false, "8000", 0, 16777216, NULL,
     "The teacher draws from the k most likely codes. 0: from all codes."},
    {"top_p", TYPE_REAL, AT(top_p), SAMPLE, BOTH, CHANGES_PIXELS, 0, false, "1.0", 0, 1, NULL,
     "The teacher draws from the most likely codes that together have this probability."},
    {"temperature", TYPE_REAL, AT(temperature), SAMPLE, BOTH, CHANGES_PIXELS, 0, false, "1.0", 0, 1000, NULL,
     "The logits of the teacher are divided by this number."},
    {"pick", TYPE_WORD, AT(pick), SAMPLE, BOTH, CHANGES_PIXELS, 0, false, "sample", 0, 0, pick_words,
     "How the teacher chooses a token: sample draws one, argmax takes the most likely one."},
    {"images", TYPE_INT, AT(images), SAMPLE, BOTH, CHANGES_PIXELS, SUBMITTED, true, NULL, 1, 1e9, NULL,
     "Number of images to make. For evaluate and statistics: a folder or zip of images, or an array."},
    {"images", TYPE_TEXT, AT(source), EVALUATE | STATISTICS, BOTH, CHANGES_PIXELS, LOCAL_FILE | READS_IMAGES, true,
     NULL, 0, 0, NULL,
     "Images to measure: a folder or zip of images, or an array [n,h,w,3] u8 (.npy, or arr_0 of an .npz)."},
    {"seed", TYPE_INT, AT(seed), SAMPLE, BOTH, CHANGES_PIXELS, KEEPS_PUBLISHED, false, "0", 0, SEED_MAX, NULL,
     "Seed of the random numbers. Image i depends only on the models, the parameters, the seed and i."},
    {"classes", TYPE_CLASSES, AT(classes), SAMPLE, BOTH, CHANGES_PIXELS, 0, false, "uniform", 0, 1000000, classes_words,
     "Label of image i: drawn from the seed and i (uniform), i modulo the number of classes (balanced), or the i-th "
     "of a list, which is repeated."},
    {"noise", TYPE_TEXT, AT(noise), SAMPLE, BOTH, CHANGES_PIXELS, LOCAL_FILE | READS_FILE, false, NULL, 0, 0, NULL,
     "An .npy file [n,L,C] f32 with noise that replaces the noise of the seed."},
    {"labels", TYPE_TEXT, AT(labels), SAMPLE, BOTH, CHANGES_PIXELS, LOCAL_FILE | READS_FILE, false, NULL, 0, 0, NULL,
     "An .npy file [n] of integers with labels that replace `classes`."},
    {"precision", TYPE_WORD, AT(precision), ANY_KIND, BOTH, CHANGES_PIXELS, KEEPS_PUBLISHED | PACE | LOAD, false, NULL,
     0, 0, precision_words,
     "Precision of matrix multiplications, which accumulate in fp32. Default: fp32 on the CPU, fp16 on CUDA; a batch "
     "that overflows fp16 is computed again in bf16. The FID network runs in fp32, or on CUDA in tf32 or better."},
    {"batch", TYPE_INT, AT(batch), ANY_KIND, BOTH, CHANGES_SPEED, KEEPS_PUBLISHED | LOAD, false, "0", 0, 4096, NULL,
     "Images per batch. Changes only the speed. 0: the worker chooses."},
    {"save", TYPE_SET, AT(save), SAMPLE, BOTH, CHANGES_PIXELS, KEEPS_PUBLISHED, false, "png", 0, SAVE_ALL, save_words,
     "Outputs to keep: images/*.png, samples.npz, codes.npy, vectors.npy, features.npy."},
    {"save", TYPE_SET, AT(save), EVALUATE, BOTH, CHANGES_PIXELS, KEEPS_PUBLISHED, false, "", 0, SAVE_FEATURES,
     save_words, "Outputs to keep besides the report: features.npy."},
    {"inception", TYPE_TEXT, AT(inception), SAMPLE, EXEC, CHANGES_PIXELS, READS_FILE, false, NULL, 0, 0, NULL,
     "Weights of the FID network. If given, features are computed while sampling."},
    {"inception", TYPE_TEXT, AT(inception), EVALUATE | STATISTICS, EXEC, CHANGES_PIXELS, READS_FILE, true, NULL, 0, 0,
     NULL, "Weights of the FID network."},
    {"reference", TYPE_TEXT, AT(reference), SAMPLE, QUEUED, CHANGES_REPORT, MOVED_BY_THEN | NAMES_OFFER, false, NULL, 0,
     0, NULL, "Name of a [reference] section of the daemon's configuration; the images are compared with it."},
    {"reference", TYPE_TEXT, AT(reference), EVALUATE, QUEUED, CHANGES_REPORT, MOVED_BY_THEN | NAMES_OFFER, false, NULL,
     0, 0, NULL,
     "Name of a [reference] section of the daemon's configuration; the images are compared with it. Not needed when "
     "`metrics` is only `is`."},
    {"reference", TYPE_TEXT, AT(reference), SAMPLE, EXEC, CHANGES_REPORT, MOVED_BY_THEN | READS_IMAGES, false, NULL, 0,
     0, NULL,
     "What to compare with: statistics (.npz or .pth), a folder of images, or an array of images (.npz, .npy)."},
    {"reference", TYPE_TEXT, AT(reference), EVALUATE, EXEC, CHANGES_REPORT, MOVED_BY_THEN | READS_IMAGES, false, NULL,
     0, 0, NULL,
     "What to compare with: statistics (.npz or .pth), a folder of images, or an array of images (.npz, .npy). Not "
     "needed when `metrics` is only `is`."},
    {"metrics", TYPE_SET, AT(metrics), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT, KEEPS_PUBLISHED | MOVED_BY_THEN, false,
     NULL, 0, METRICS_ALL, metric_words,
     "Metrics to compute; kid and prdc need a reference with images or features. Default: fid if there is a "
     "reference, else none."},
    {"pipeline", TYPE_WORD, AT(pipeline), SAMPLE | EVALUATE, BOTH, CHANGES_PIXELS, MOVED_BY_THEN | PACE, false, NULL, 0,
     0, pipeline_words,
     "How images are resized for the FID network: as pytorch-fid does (pt), as the ADM evaluator does (tf), or both. "
     "Default: the pipeline of the reference, else pt."},
    {"pipeline", TYPE_WORD, AT(pipeline), STATISTICS, BOTH, CHANGES_PIXELS, MOVED_BY_THEN | PACE, false, NULL, 0, 0,
     one_pipeline_words,
     "How images are resized for the FID network: as pytorch-fid does (pt) or as the ADM evaluator does (tf). "
     "Default: pt."},
    {"neighbours", TYPE_INT, AT(neighbours), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT, MOVED_BY_THEN, false, "3", 1, 100,
     NULL, "Number of nearest neighbours for precision, recall, density and coverage."},
    {"like", TYPE_WORD, AT(like), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT, KEEPS_PUBLISHED | MOVED_BY_THEN, false,
     "exact", 0, 0, like_words,
     "Matrix square root of the FID: exact, or as pytorch-fid, which adds 1e-6 to the diagonal of a singular product."},
    {"skip_bad", TYPE_WORD, AT(skip_bad), EVALUATE | STATISTICS, BOTH, CHANGES_REPORT, 0, false, "no", 0, 0,
     no_yes_words, "Images that cannot be read: no fails the job and names them, yes leaves them out with a warning."},
    {"register", TYPE_NAME, AT(register_as), STATISTICS, QUEUED, ADMINISTRATIVE, 0, false, NULL, 0, 0, NULL,
     "Registers the statistics as a reference with this name on all hosts; `ddq refs make` sets this field."},
    {"register", TYPE_TEXT, AT(register_as), STATISTICS, EXEC, ADMINISTRATIVE, 0, false, NULL, 0, 0, NULL,
     "Path under which the statistics are registered as a reference: FOLDER/NAME."},
    {"owner", TYPE_TEXT, AT(owner), STATISTICS, EXEC, ADMINISTRATIVE, 0, false, NULL, 0, 0, NULL,
     "User who will own that reference."},
    {"published_fid", TYPE_REAL, AT(published_fid), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT, PUBLISHED | MOVED_BY_THEN,
     false, NULL, 0, 1e6, NULL, "Published FID to show next to the measured value."},
    {"published_is", TYPE_REAL, AT(published_is), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT, PUBLISHED | MOVED_BY_THEN,
     false, NULL, 0, 1e6, NULL, "Published Inception score to show next to the measured value."},
    {"published_precision", TYPE_REAL, AT(published_precision), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT,
     PUBLISHED | MOVED_BY_THEN, false, NULL, 0, 1, NULL, "Published precision to show next to the measured value."},
    {"published_recall", TYPE_REAL, AT(published_recall), SAMPLE | EVALUATE, BOTH, CHANGES_REPORT,
     PUBLISHED | MOVED_BY_THEN, false, NULL, 0, 1, NULL, "Published recall to show next to the measured value."},
    {"device", TYPE_TEXT, AT(device), ANY_KIND, QUEUED, CHANGES_SPEED, KEEPS_PUBLISHED | KEPT_BY_THEN | SUBMITTED,
     false, NULL, 0, 0, NULL, "Where to run: cpu, cuda or the UUID of a GPU. Default: any free worker."},
    {"device", TYPE_TEXT, AT(device), ANY_KIND, EXEC, CHANGES_SPEED, KEEPS_PUBLISHED | KEPT_BY_THEN, false, "cpu", 0, 0,
     NULL, "Where to run: cpu, cuda or the UUID of a GPU."},
    {"output", TYPE_TEXT, AT(output), ANY_KIND, EXEC, ADMINISTRATIVE, 0, true, NULL, 0, 0, NULL,
     "Folder for all outputs."},
};

const JobField *jobspec_row(int i)
{
    return i >= 0 && (size_t)i < countof(fields) ? &fields[i] : NULL;
}

static bool row_fits(const JobField *field, JobKind kind, JobForm form)
{
    return field->kinds & 1u << kind && field->forms & 1u << form;
}

static const JobField *row_find(const char *name, JobKind kind, JobForm form)
{
    for (size_t i = 0; i < countof(fields); i++)
        if (strcmp(fields[i].name, name) == 0 && row_fits(&fields[i], kind, form))
            return &fields[i];
    return NULL;
}

/* --- parsing -------------------------------------------------------------------------------------- */

static const char *suggest(const char *name, JobKind kind, JobForm form)
{
    const char *names[countof(fields)];
    int count = 0;
    for (size_t i = 0; i < countof(fields); i++)
        if (row_fits(&fields[i], kind, form))
            names[count++] = fields[i].name;
    return nearest_name(name, names, count);
}

static bool refuse_field(const char *name, JobKind kind, JobForm form, Err *err)
{
    const char *what = jobkind_words[kind], *how = form == FORM_QUEUED ? "a queued" : "an exec";
    for (size_t i = 0; i < countof(fields); i++)
        if (strcmp(fields[i].name, name) == 0)
            return err_set(err, ERR_USAGE, "job field %s: not a field of %s %s job", name, how, what);
    const char *near = suggest(name, kind, form);
    return err_set(err, ERR_USAGE, "job field %.80s: unknown field%s%s%s", name, near ? ", did you mean " : "",
                   near ? near : "; `ddq-worker describe KIND` lists them", near ? "?" : "");
}

static bool check_names(const cJSON *object, JobKind kind, JobForm form, Err *err)
{
    bool seen[countof(fields)] = {false};
    const cJSON *item;
    cJSON_ArrayForEach(item, object)
    {
        const JobField *field = row_find(item->string, kind, form);
        if (!field)
            return refuse_field(item->string, kind, form, err);
        if (seen[field - fields])
            return err_set(err, ERR_USAGE, "job field %s: given twice", item->string);
        seen[field - fields] = true;
    }
    return true;
}

/* null counts as absent. */
static const cJSON *value_of(const cJSON *object, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNull(value) ? NULL : value;
}

static bool decode_row(const JobField *field, const cJSON *object, JobSpec *spec, Err *err)
{
    const cJSON *value = value_of(object, field->name);
    if (value)
        return jobfield_decode(field, value, spec, err);
    if (field->required)
        return err_set(err, ERR_USAGE, "job field %s: missing, and a %s job needs it. %s", field->name,
                       jobkind_words[spec->kind], field->help);
    if (!field->fallback)
        return true;
    cJSON *fallback = jobfield_from_text(field, field->fallback, err);
    bool done = fallback && jobfield_decode(field, fallback, spec, err);
    cJSON_Delete(fallback);
    return done;
}

static bool read_kind(const cJSON *object, JobForm form, JobSpec *spec, Err *err)
{
    const JobField *field = row_find("kind", KIND_SAMPLE, form);
    return decode_row(field, object, spec, err);
}

bool jobspec_parse(const cJSON *object, JobForm form, JobSpec **ret_spec, Err *err)
{
    if (!cJSON_IsObject(object))
        return err_set(err, ERR_USAGE, "job: not a JSON object; wanted {\"kind\": \"sample\", ...}");
    JobSpec *spec = xcalloc(1, sizeof *spec);
    spec->teacher_start_t = spec->split_t = -1;
    spec->published_fid = spec->published_is = spec->published_precision = spec->published_recall = NAN;
    spec->precision = PRECISION_AUTO;
    spec->pipeline = PIPELINE_AUTO;
    bool good = read_kind(object, form, spec, err) && check_names(object, spec->kind, form, err);
    for (size_t i = 0; good && i < countof(fields); i++)
        if (row_fits(&fields[i], spec->kind, form))
            good = decode_row(&fields[i], object, spec, err);
    if (good && !value_of(object, "metrics"))
        spec->metrics = jobrules_metrics(spec);
    if (!good || !jobrules_check(spec, form, err)) {
        jobspec_free(spec);
        return false;
    }
    *ret_spec = spec;
    return true;
}

bool jobspec_parse_text(const char *json, JobForm form, JobSpec **ret_spec, Err *err)
{
    const char *end = NULL;
    cJSON *object = cJSON_ParseWithOpts(json, &end, true);
    if (!object) {
        int line = 1;
        for (const char *c = json; end && c < end; c++)
            line += *c == '\n';
        return err_set(err, ERR_USAGE, "job: not JSON near line %d: \"%.40s\"", line, end ? end : "");
    }
    bool good = jobspec_parse(object, form, ret_spec, err);
    cJSON_Delete(object);
    return good;
}

/* --- the other directions ------------------------------------------------------------------------- */

cJSON *jobspec_to_json(const JobSpec *spec, JobForm form)
{
    cJSON *object = cJSON_CreateObject();
    for (size_t i = 0; i < countof(fields); i++) {
        if (!row_fits(&fields[i], spec->kind, form))
            continue;
        cJSON *value = jobfield_encode(&fields[i], spec);
        if (value)
            cJSON_AddItemToObject(object, fields[i].name, value);
    }
    return object;
}

bool jobspec_needs_network(const JobSpec *spec)
{
    return jobkind_of(spec->kind)->needs_network || spec->metrics || (spec->save & SAVE_FEATURES);
}

void jobspec_free(JobSpec *spec)
{
    if (!spec)
        return;
    for (size_t i = 0; i < countof(fields); i++)
        if (fields[i].type == TYPE_TEXT || fields[i].type == TYPE_NAME) {
            char **text = (char **)((char *)spec + fields[i].offset);
            free(*text);
            *text = NULL; /* a member may have two rows */
        }
    free(spec->t_list);
    free(spec->class_list);
    free(spec);
}

static void set_value(cJSON *object, const char *field, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, field);
    cJSON_AddItemToObject(object, field, value);
}

static unsigned kinds_of(const cJSON *object)
{
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(object, "kind");
    for (int i = 0; i < JOB_KINDS; i++)
        if (cJSON_IsString(kind) && strcmp(kind->valuestring, jobkind_words[i]) == 0)
            return 1u << i;
    return ANY_KIND;
}

/* Rows of one name differ by kind: those of the object's kind are tried first, then all. */
bool jobspec_set_text(cJSON *object, const char *field, const char *text, Err *err)
{
    const unsigned passes[] = {kinds_of(object), ANY_KIND};
    for (size_t pass = 0; pass < countof(passes); pass++) {
        bool known = false;
        for (size_t i = 0; i < countof(fields); i++) {
            if (strcmp(fields[i].name, field) != 0 || !(fields[i].kinds & passes[pass]))
                continue;
            known = true;
            cJSON *value = jobfield_from_text(&fields[i], text, err);
            if (value) {
                set_value(object, field, value);
                return true;
            }
        }
        if (known)
            return false;
    }
    const char *near = NULL;
    for (int kind = 0; kind < JOB_KINDS && !near; kind++)
        near = suggest(field, (JobKind)kind, FORM_QUEUED);
    return err_set(err, ERR_USAGE, "job field %.80s: unknown field%s%s%s", field, near ? ", did you mean " : "",
                   near ? near : "", near ? "?" : "");
}

const char *jobspec_kind_name(JobKind kind)
{
    return jobkind_words[kind];
}

/* --- help ----------------------------------------------------------------------------------------- */

/* The i-th row whose name no earlier row has. */
static const JobField *distinct(int i)
{
    for (size_t row = 0; row < countof(fields); row++) {
        bool first = true;
        for (size_t before = 0; before < row && first; before++)
            first = strcmp(fields[before].name, fields[row].name) != 0;
        if (first && i-- == 0)
            return &fields[row];
    }
    return NULL;
}

const char *jobspec_field_name(int i)
{
    const JobField *field = distinct(i);
    return field ? field->name : NULL;
}

static char *fallback_text(const JobField *field)
{
    if (field->required)
        return xstrdup("required");
    if (!field->fallback)
        return xstrdup("optional");
    return xasprintf("default %s", *field->fallback ? field->fallback : "nothing");
}

char *jobspec_describe(JobKind kind, JobForm form)
{
    Buf buf = {0};
    for (size_t i = 0; i < countof(fields); i++) {
        if (!row_fits(&fields[i], kind, form))
            continue;
        char *may_be = jobfield_may_be(&fields[i]), *fallback = fallback_text(&fields[i]);
        buf_printf(&buf, "%-16s %s (%s; %s)\n", fields[i].name, fields[i].help, may_be, fallback);
        free(may_be);
        free(fallback);
    }
    return buf.data;
}

char *jobspec_print(void)
{
    Buf buf = {0};
    buf_printf(&buf,
               "# Job fields\n\n"
               "A job is one flat JSON object. It has two forms: *queued*, for `ddq submit`, with names of models\n"
               "and references of the configuration; and *exec*, for `ddq-worker exec`, with paths of files. This\n"
               "page is printed by `ddq-worker describe --markdown`.\n");
    for (int kind = 0; kind < JOB_KINDS; kind++) {
        buf_printf(&buf, "\n## %s\n\n", jobkind_words[kind]);
        for (size_t i = 0; i < countof(fields); i++) {
            const JobField *field = &fields[i];
            if (!(field->kinds & 1u << kind))
                continue;
            char *may_be = jobfield_may_be(field), *fallback = fallback_text(field);
            const char *form = field->forms == BOTH ? "" : field->forms & EXEC ? "exec only; " : "queued only; ";
            char *item = xasprintf("`%s` (%s%s; %s): %s", field->name, form, may_be, fallback, field->help);
            help_item(&buf, item);
            free(item);
            free(may_be);
            free(fallback);
        }
    }
    metrics_print(&buf);
    return buf.data;
}
