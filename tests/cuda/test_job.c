/* A whole job of the tiny model with the CUDA backend's kernels on the host: the same images as the CPU's, and a batch
 * that fp16 has no room for. */
#include "tests/models/golden.h"

#include <cjson/cJSON.h>

#include "kernels/cuda/host/driver.h"
#include "worker/checkpoints/checkpoint.h"
#include "worker/images/images.h"
#include "worker/job/run.h"

enum { IMAGES = 6, TOKENS = 16, BYTES = 16 * 16 * 3, FEATURE_IMAGES = 2, FEATURES = 128 };

#define TINY(file) MADE("llamagen/tiny/" file)

typedef struct Made {
    int32_t codes[IMAGES][TOKENS];
    uint8_t pixels[IMAGES][BYTES];
    cJSON *report;
} Made;

static char notes[1024];

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    strncat(notes, text, sizeof notes - strlen(notes) - 2);
    strcat(notes, "\n");
}

static void read_images(const char *folder, Made *ret_made)
{
    Err err = {0};
    NpyArray codes;
    char *path = xasprintf("%s/codes.npy", folder);
    assert_ok(npy_open(path, &codes, &err), err);
    memcpy(ret_made->codes, codes.data, sizeof ret_made->codes);
    npy_free(&codes);
    free(path);
    for (int i = 0; i < IMAGES; i++) {
        Image image = {0};
        path = xasprintf("%s/images/%06d.png", folder, i);
        assert_ok(image_read(path, &image, &err), err);
        assert_int_equal(image.width * image.height * 3, BYTES);
        memcpy(ret_made->pixels[i], image.rgb, BYTES);
        image_free(&image);
        free(path);
    }
}

/* From a job's text to the files in its folder. */
static bool run_text(const char *device, const char *text, Err *ret_err)
{
    JobSpec *spec = NULL;
    Err err = {0};
    assert_ok(jobspec_parse_text(text, FORM_EXEC, &spec, &err), err);
    Hooks hooks = {.note = on_note};
    ModelCache *models = model_cache_new(device, 1);
    Run *run = run_open(models, spec, ret_err);
    int64_t upto = 0;
    double fid = 0;
    notes[0] = 0;
    bool good =
        run && run_images(run, 0, spec->images, &hooks, &upto, ret_err) && run_report(run, &hooks, &fid, ret_err);
    run_close(run);
    model_cache_free(models);
    jobspec_free(spec);
    return good;
}

static cJSON *read_report(const char *out)
{
    static char json[1 << 16];
    char *path = xasprintf("%s/report.json", out);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    json[fread(json, 1, sizeof json - 1, file)] = 0;
    fclose(file);
    free(path);
    return cJSON_Parse(json);
}

/* Runs a job in a folder of its own; "" for the precision is the device's default. */
static Made *run_job(const char *device, const char *precision, const char *student, Err *ret_err)
{
    char *folder = test_folder(), *quoted = *precision ? xasprintf("\"precision\":\"%s\",", precision) : xstrdup("");
    char *out = xasprintf("%s/out", folder);
    char *text = xasprintf(
        "{\"kind\":\"sample\",\"student\":\"%s\",\"tokenizer\":\"%s\",\"grid\":4,\"heads\":2,\"t_list\":[0,5],"
        "\"split_t\":10,\"images\":%d,\"batch\":4,\"seed\":3,\"save\":[\"png\",\"codes\"],%s\"device\":\"%s\","
        "\"output\":\"%s\"}",
        student, TINY("vq.safetensors"), IMAGES, quoted, device, out);
    Made *made = NULL;
    if (run_text(device, text, ret_err)) {
        made = xcalloc(1, sizeof *made);
        read_images(out, made);
        made->report = read_report(out);
    }
    free(text);
    free(out);
    free(quoted);
    test_folder_remove(folder);
    return made;
}

static void made_free(Made *made)
{
    cJSON_Delete(made->report);
    free(made);
}

static const char *said(const Made *made, int row, const char *field)
{
    const cJSON *one = cJSON_GetArrayItem(cJSON_GetObjectItem(made->report, "made"), row);
    return cJSON_GetStringValue(cJSON_GetObjectItem(one, field));
}

/* The same seed is the same noise and the same labels, so equal codes are equal images but for rounding. */
static void test_like_the_cpu(void **state)
{
    (void)state;
    Err err = {0};
    static const char *const precisions[] = {"fp32", ""};
    Made *cpu = run_job("cpu", "fp32", TINY("student.safetensors"), &err);
    assert_ok(cpu, err);
    for (size_t p = 0; p < countof(precisions); p++) {
        Made *cuda = run_job("cuda-host", precisions[p], TINY("student.safetensors"), &err);
        assert_ok(cuda, err);
        assert_string_equal(said(cuda, 0, "precision"), p ? "fp16" : "fp32");
        int flips = 0, images = 0;
        size_t off = 0;
        for (int i = 0; i < IMAGES; i++) {
            int before = flips;
            for (int j = 0; j < TOKENS; j++)
                flips += cpu->codes[i][j] != cuda->codes[i][j];
            for (int j = 0; j < BYTES && flips == before; j++)
                off += abs((int)cpu->pixels[i][j] - (int)cuda->pixels[i][j]) > 1;
            images += flips == before;
        }
        print_message("%s: %d of %d codes flipped, %zu of %d bytes off by more than 1\n", said(cuda, 0, "precision"),
                      flips, IMAGES * TOKENS, off, images * BYTES);
        assert_true(flips <= (p ? 2 : 0)); /* fp16: 99% of the argmaxes, rounded up */
        assert_int_equal(off, 0);
        assert_string_equal(notes, "");
        made_free(cuda);
    }
    made_free(cpu);
}

static void take_features(const char *device, const char *precision, float *ret_features, char ret_precision[8])
{
    Err err = {0};
    char *folder = test_folder(), *out = xasprintf("%s/out", folder), *path = xasprintf("%s/features.npy", out);
    char *quoted = *precision ? xasprintf("\"precision\":\"%s\",", precision) : xstrdup("");
    char *text =
        xasprintf("{\"kind\":\"sample\",\"student\":\"%s\",\"tokenizer\":\"%s\",\"grid\":4,\"heads\":2,\"t_list\":[0],"
                  "\"split_t\":10,\"images\":%d,\"inception\":\"%s\",\"save\":[\"features\"],%s\"device\":\"%s\","
                  "\"output\":\"%s\"}",
                  TINY("student.safetensors"), TINY("vq.safetensors"), FEATURE_IMAGES,
                  GOLDEN("inception/net/inception_w16.pth"), quoted, device, out);
    assert_ok(run_text(device, text, &err), err);
    NpyArray features;
    assert_ok(npy_open(path, &features, &err), err);
    memcpy(ret_features, features.data, sizeof(float) * FEATURE_IMAGES * FEATURES);
    npy_free(&features);
    cJSON *report = read_report(out);
    const cJSON *made = cJSON_GetArrayItem(cJSON_GetObjectItem(report, "made"), 0);
    snprintf(ret_precision, 8, "%s", cJSON_GetStringValue(cJSON_GetObjectItem(made, "feature_precision")));
    cJSON_Delete(report);
    free(text), free(quoted), free(path), free(out);
    test_folder_remove(folder);
}

/* Features of the bytes that were just made: in fp32 the CPU's; by default in tf32, of images made in fp16, of which
 * some bytes are one off. tf32 alone is 0.0045 off on the average (test_inception_cuda.c), 1% of these features; the
 * bytes add as much again in a network of random weights. */
static void test_features(void **state)
{
    (void)state;
    static const struct {
        const char *precision, *features;
        double l2;
    } rows[] = {{"fp32", "fp32", 1e-4}, {"", "tf32", 0.04}};
    float cpu[FEATURE_IMAGES * FEATURES], cuda[FEATURE_IMAGES * FEATURES];
    char found[8];
    take_features("cpu", "", cpu, found);
    assert_string_equal(found, "fp32");
    for (size_t i = 0; i < countof(rows); i++) {
        take_features("cuda-host", rows[i].precision, cuda, found);
        assert_string_equal(found, rows[i].features);
        double l2 = golden_relative_l2(cuda, cpu, countof(cpu));
        print_message("features in %s: relative L2 %.2g of %.2g\n", found, l2, rows[i].l2);
        assert_true(l2 <= rows[i].l2);
    }
}

/* --- the sentinel ---------------------------------------------------------------------------------- */

/* A copy of the student as safetensors in which one product's result is 2^power times as large and the next takes that
 * back: a power of two, so the model is the same to the last bit wherever the range allows it. */
static float factor_of(const char *name, int power)
{
    if (strstr(name, "layers.0.feed_forward.w3."))
        return exp2f((float)power);
    return strstr(name, "layers.0.feed_forward.w2.") ? exp2f((float)-power) : 1;
}

static void write_overflowing(const char *path, int power)
{
    Err err = {0};
    Ckpt *ckpt = ckpt_open(TINY("student.safetensors"), &err);
    assert_ok(ckpt, err);
    Buf header = {0}, data = {0};
    int changed = 0;
    for (int i = 0; i < ckpt_count(ckpt); i++) {
        const CkptTensor *t = ckpt_at(ckpt, i);
        int64_t count = 1, from = (int64_t)data.len;
        buf_printf(&header, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "{", t->name);
        for (int k = 0; k < t->ndim; k++) {
            buf_printf(&header, "%s%lld", k ? "," : "", (long long)t->shape[k]);
            count *= t->shape[k];
        }
        float *values = xcalloc((size_t)count, sizeof *values);
        assert_ok(ckpt_read(ckpt, t->name, t->ndim, t->shape, values, &err), err);
        for (int64_t k = 0; k < count; k++)
            values[k] *= factor_of(t->name, power);
        changed += factor_of(t->name, power) != 1;
        buf_add(&data, (const char *)values, (size_t)count * sizeof *values);
        buf_printf(&header, "],\"data_offsets\":[%lld,%zu]}", (long long)from, data.len);
        free(values);
    }
    buf_printf(&header, "}");
    assert_int_equal(changed, 2);
    uint64_t size = header.len;
    FILE *file = fopen(path, "wb");
    fwrite(&size, sizeof size, 1, file);
    fwrite(header.data, 1, header.len, file);
    fwrite(data.data, 1, data.len, file);
    assert_int_equal(fclose(file), 0);
    buf_free(&header);
    buf_free(&data);
    ckpt_close(ckpt);
}

/* power 15: only what the product gives is too large. 20: the weights are. Either way all is made in bf16. */
static void check_overflow(int power, const Made *bf16, const char *note)
{
    Err err = {0};
    char *folder = test_folder(), *student = xasprintf("%s/student.safetensors", folder);
    write_overflowing(student, power);
    Made *again = run_job("cuda-host", "fp16", student, &err);
    assert_ok(again, err);
    assert_non_null(strstr(notes, note));
    assert_non_null(strstr(notes, "6 of 6 images were made in bf16"));
    assert_string_equal(said(again, 0, "precision"), "bf16");
    assert_string_equal(said(again, 0, "instead_of"), "fp16");
    char *warnings = cJSON_Print(cJSON_GetObjectItem(again->report, "warnings"));
    assert_non_null(strstr(warnings, "6 of 6 images were made in bf16"));
    cJSON_free(warnings);
    assert_memory_equal(again->codes, bf16->codes, sizeof bf16->codes);
    assert_memory_equal(again->pixels, bf16->pixels, sizeof bf16->pixels);
    made_free(again);
    free(student);
    test_folder_remove(folder);
}

static void test_made_again_in_bf16(void **state)
{
    (void)state;
    Err err = {0};
    Made *bf16 = run_job("cuda-host", "bf16", TINY("student.safetensors"), &err);
    assert_ok(bf16, err);
    assert_string_equal(notes, "");
    check_overflow(15, bf16, "does not fit into fp16, which ends at 65504; such batches are made again in bf16");
    check_overflow(20, bf16, "does not fit into fp16, which ends at 65504; the model is taken in bf16");
    made_free(bf16);
}

/* --- devices that fail under a job ----------------------------------------------------------------- */

static void test_device_fails(void **state)
{
    (void)state;
    Err err = {0};
    cuda_host_break("cudaErrorECCUncorrectable", 300);
    assert_null(run_job("cuda-host", "", TINY("student.safetensors"), &err));
    assert_int_equal(err.kind, ERR_DEVICE_ECC);
    assert_non_null(strstr(err.text, "cudaErrorECCUncorrectable"));
    cuda_host_break(NULL, 0);
}

/* With as little memory as there may be (256 MiB are left to the ops) the batch becomes smaller, and the images are the
 * same. */
static void test_little_memory(void **state)
{
    (void)state;
    enum { STEP = 256 };
    Err err = {0};
    Made *roomy = run_job("cuda-host", "", TINY("student.safetensors"), &err);
    assert_ok(roomy, err);
    size_t fails = 256 << 10, works = 260 << 10; /* KiB */
    while (works - fails > STEP) {
        size_t middle = (works + fails) / 2;
        cuda_host_memory(middle << 10);
        Made *made = run_job("cuda-host", "", TINY("student.safetensors"), &err);
        if (made) {
            assert_memory_equal(made->codes, roomy->codes, sizeof made->codes);
            assert_memory_equal(made->pixels, roomy->pixels, sizeof made->pixels);
            made_free(made);
            works = middle;
        } else {
            assert_int_equal(err.kind, ERR_MEMORY);
            assert_non_null(
                strstr(err.text, "not even one image fits beside the model on the device CUDA kernels on the host"));
            fails = middle;
        }
    }
    cuda_host_memory(works << 10);
    Made *made = run_job("cuda-host", "", TINY("student.safetensors"), &err);
    print_message("%zu KiB are enough: %s", works, notes);
    assert_ok(made, err);
    assert_non_null(strstr(notes, "went on with"));
    made_free(made);
    made_free(roomy);
    cuda_host_memory(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like_the_cpu),       cmocka_unit_test(test_features),
        cmocka_unit_test(test_made_again_in_bf16), cmocka_unit_test(test_device_fails),
        cmocka_unit_test(test_little_memory),
    };
    backend_register(&cuda_host_driver);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
