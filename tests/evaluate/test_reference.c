/* References: every container of statistics, images that are measured once and cached, and what is refused. */
#include "core/json.h"
#include "tests/models/network.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "spec/references.h"
#include "worker/evaluate/reference_register.h"
#include "worker/files/map.h"
#include "worker/images/images.h"
#include "worker/metrics/fid.h"

#define W16   INCEPTION_GOLDEN("net/inception_w16_legacy.pth")
#define SET_B INCEPTION_GOLDEN("e2e/set_b.npy")
#define STATS INCEPTION_GOLDEN("stats/")

/* A cache folder of its own, a model cache, and hooks that count what is measured. */
typedef struct Desk {
    char *folder, *cache;
    ModelCache *models;
    Hooks hooks;
    ReferenceOptions options;
    int measured; /* images, by all passes */
    bool stop;
    int first, stop_at;  /* images at the first progress; stop when so many are measured, 0: never */
    int asked, spoil_at; /* calls of `stop`; at which of them `spoil` is called, 0: never */
    void (*spoil)(const char *folder);
} Desk;

static void on_progress(void *ctx, int64_t upto, double rate, const char *stage)
{
    (void)rate;
    Desk *desk = ctx;
    if (strcmp(stage, "reference") == 0) {
        desk->measured = (int)upto;
        desk->first = desk->first ? desk->first : (int)upto;
        desk->stop = desk->stop || (desk->stop_at && upto >= desk->stop_at);
    }
    if (strcmp(stage, "reference") != 0)
        assert_string_equal(stage, "reading");
}

static bool on_stop(void *ctx)
{
    Desk *desk = ctx;
    if (++desk->asked == desk->spoil_at)
        desk->spoil(desk->folder);
    return desk->stop;
}

static int open_desk(void **state)
{
    Desk *desk = xcalloc(1, sizeof *desk);
    desk->folder = test_folder();
    desk->cache = xasprintf("%s/deep/cache", desk->folder);
    desk->models = model_cache_new("cpu", 1);
    desk->hooks = (Hooks){.ctx = desk, .progress = on_progress, .stop = on_stop};
    desk->options =
        (ReferenceOptions){.models = desk->models, .inception = W16, .cache = desk->cache, .hooks = &desk->hooks};
    *state = desk;
    return 0;
}

static int close_desk(void **state)
{
    Desk *desk = *state;
    model_cache_free(desk->models);
    test_folder_remove(desk->folder);
    free(desk->cache);
    free(desk);
    return 0;
}

static Reference open_ok(Desk *desk, const char *path, Resize pipeline, unsigned wants)
{
    Err err = {0};
    Reference reference;
    desk->measured = 0;
    assert_ok(reference_open(path, pipeline, wants, &desk->options, &reference, &err), err);
    return reference;
}

/* --- statistics ------------------------------------------------------------------------------------- */

static void test_containers(void **state)
{
    Desk *desk = *state;
    static const struct {
        const char *path, *file, *pipeline;
    } files[] = {
        {STATS "dd/statistic.pth", STATS "dd/statistic.pth", NULL},
        {STATS "dd", STATS "dd/statistic.pth", NULL},
        {STATS "statistic_f64.pth", STATS "statistic_f64.pth", NULL},
        {STATS "statistic_legacy.pth", STATS "statistic_legacy.pth", NULL},
        {STATS "statistic_tensors.pth", STATS "statistic_tensors.pth", NULL},
        {STATS "statistic_numpy2.pth", STATS "statistic_numpy2.pth", NULL},
        {STATS "stats_savez.npz", STATS "stats_savez.npz", NULL},
        {STATS "stats_savez_compressed.npz", STATS "stats_savez_compressed.npz", NULL},
        {STATS "adm_style_ref.npz", STATS "adm_style_ref.npz", "tf"},
    };
    for (size_t i = 0; i < countof(files); i++) {
        Reference reference = open_ok(desk, files[i].path, RESIZE_TF, 0);
        char sha256[65];
        Err err = {0};
        assert_ok(file_sha256(files[i].file, sha256, &err), err);
        assert_int_equal(reference.kind, REFERENCE_STATISTICS);
        assert_string_equal(reference.sha256, sha256);
        assert_int_equal(reference.stats->dim, 64);
        assert_near(reference.stats->mu[0], 0.5777308940887451, 3e-7, files[i].path, 0);
        assert_true(files[i].pipeline ? strcmp(reference.pipeline, files[i].pipeline) == 0 : !reference.pipeline);
        char *caveat = reference_caveat(&reference, RESIZE_TF);
        assert_true((caveat && strstr(caveat, "does not say")) == !files[i].pipeline);
        free(caveat);
        reference_close(&reference);
    }
}

/* Its sigma is not symmetric: read correctly (test_statistics.c), but no covariance. */
static void test_refuses_statistics(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    Reference none;
    const ReferenceOptions *options = &desk->options;
    assert_err(reference_open(STATS "statistic_fortran.pth", RESIZE_PT, 0, options, &none, &err), err, "not symmetric");
    assert_err(reference_open(STATS "adm_style_ref.npz", RESIZE_PT, 0, options, &none, &err), err, "tf pipeline",
               "pt is asked for");
    assert_err(reference_open(STATS "stats_savez.npz", RESIZE_PT, REFERENCE_FEATURES, options, &none, &err), err,
               "statistics alone", "kid and prdc", "folder of images");
    assert_err(reference_open(STATS "stats_savez.npz", RESIZE_PT, REFERENCE_SPATIAL, options, &none, &err), err, "mu_s",
               "sfid");
    assert_err(reference_open(INCEPTION_GOLDEN("frechet/frechet_cases.npz"), RESIZE_PT, 0, options, &none, &err), err,
               "neither mu and sigma", "arr_0");
    assert_err(reference_open(W16, RESIZE_PT, 0, options, &none, &err), err, "neither mu and sigma");
    assert_err(reference_open(INCEPTION_GOLDEN("README.md"), RESIZE_PT, 0, options, &none, &err), err, "README.md");
    assert_err(reference_open("/nonexistent/ref.npz", RESIZE_PT, 0, options, &none, &err), err, "/nonexistent/ref.npz");
    assert_int_equal(err.kind, ERR_NOT_FOUND);
    assert_err(reference_open(INCEPTION_GOLDEN("e2e/pool3_a_pt.npy"), RESIZE_PT, 0, options, &none, &err), err,
               "[192,128] f32", "[n,height,width,3] u8");
}

/* The error for a reference of another network has both widths. */
static void test_width(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    Frechet f;
    Reference a = open_ok(desk, STATS "stats_savez.npz", RESIZE_PT, 0);
    Reference b = open_ok(desk, INCEPTION_GOLDEN("e2e/stats_b_pt.npz"), RESIZE_PT, 0);
    assert_err(frechet_distance(a.stats, b.stats, &f, &err), err, "64", "128");
    reference_close(&a);
    reference_close(&b);
}

/* --- images ----------------------------------------------------------------------------------------- */

static void check_against(const Reference *reference, const char *golden)
{
    Err err = {0};
    Statistics *stats;
    Frechet f;
    assert_ok(statistics_load(golden, &stats, &err), err);
    assert_ok(frechet_distance(reference->stats, stats, &f, &err), err);
    assert_near(f.fid, 0, 5e-5, golden, 0);
    statistics_free(stats);
}

static void test_array(void **state)
{
    Desk *desk = *state;
    Reference first = open_ok(desk, SET_B, RESIZE_PT, 0);
    assert_int_equal(desk->measured, 160);
    assert_int_equal(first.kind, REFERENCE_ARRAY);
    assert_int_equal(first.images, 160);
    assert_string_equal(first.pipeline, "pt");
    assert_null(first.features.rows);
    check_against(&first, INCEPTION_GOLDEN("e2e/stats_b_pt.npz"));
    Reference again = open_ok(desk, SET_B, RESIZE_PT, 0);
    assert_int_equal(desk->measured, 0); /* remembered */
    assert_string_equal(again.sha256, first.sha256);
    assert_memory_equal(again.stats->sigma, first.stats->sigma, 128 * 128 * sizeof(double));
    Reference other = open_ok(desk, SET_B, RESIZE_TF, 0);
    assert_int_equal(desk->measured, 160); /* another pipeline is another measurement */
    check_against(&other, INCEPTION_GOLDEN("e2e/stats_b_tf.npz"));
    reference_close(&first);
    reference_close(&again);
    reference_close(&other);
}

static void test_features(void **state)
{
    Desk *desk = *state;
    NpyArray golden = golden_npy(INCEPTION_GOLDEN("e2e/pool3_b_pt.npy"));
    reference_close(&(Reference){0});
    for (int pass = 0; pass < 2; pass++) {
        Reference reference = open_ok(desk, SET_B, RESIZE_PT, REFERENCE_FEATURES | REFERENCE_SPATIAL);
        assert_int_equal(desk->measured, pass ? 0 : 160);
        assert_int_equal(reference.features.count, 160);
        assert_int_equal(reference.features.dim, 128);
        for (int64_t i = 0; i < 160 * 128; i++)
            assert_near((double)reference.features.rows[i], npy_at(&golden, i), 2e-4, "pool3", i);
        assert_int_equal(reference.spatial->dim, INCEPTION_SPATIAL);
        reference_close(&reference);
    }
    npy_free(&golden);
}

/* ADM's batch: its own statistics, and the features of its images. */
static void test_adm(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    Reference none;
    ReferenceOptions no_weights = {.models = desk->models, .cache = desk->cache};
    assert_err(reference_open(STATS "adm_style_ref.npz", RESIZE_TF, REFERENCE_FEATURES, &no_weights, &none, &err), err,
               "no Inception weights", "arr_0");
    assert_err(reference_open(STATS "adm_style_ref.npz", RESIZE_TF, REFERENCE_FEATURES, &desk->options, &none, &err),
               err, "64 features", "gives 128"); /* the golden batch is of another network */
    assert_err(reference_open(SET_B, RESIZE_TF, 0, NULL, &none, &err), err, "no Inception weights");
    Reference batch = open_ok(desk, STATS "adm_style_ref.npz", RESIZE_TF, REFERENCE_SPATIAL);
    assert_non_null(batch.spatial); /* mu_s, sigma_s */
    reference_close(&batch);
    Reference images = open_ok(desk, STATS "adm_style_samples.npz", RESIZE_TF, 0);
    assert_int_equal(images.kind, REFERENCE_ARRAY);
    assert_int_equal(images.images, 8);
    char *caveat = reference_caveat(&images, RESIZE_TF);
    assert_non_null(strstr(caveat, "8 images for 128 features"));
    free(caveat);
    reference_close(&images);
}

static void test_levels(void **state)
{
    Desk *desk = *state;
    static const int dims[INCEPTION_LEVELS] = {128, 48, 12, 4};
    for (int level = 0; level < INCEPTION_LEVELS; level++) {
        desk->options.level = (InceptionLevel)level;
        Reference reference = open_ok(desk, STATS "adm_style_samples.npz", RESIZE_PT, 0);
        assert_int_equal(reference.stats->dim, dims[level]);
        assert_int_equal(desk->measured, 8);
        reference_close(&reference);
    }
}

/* --- folders ---------------------------------------------------------------------------------------- */

/* FOLDER/i.png: images first.. of set_b. */
static void write_images(const char *folder, int first, int count)
{
    Err err = {0};
    NpyArray set = golden_npy(SET_B);
    mkdir(folder, 0777);
    for (int i = 0; i < count; i++) {
        char *path = xasprintf("%s/%d.png", folder, i);
        assert_ok(image_write_png(path, (const uint8_t *)set.data + (first + i) * 3072, 32, 32, false, &err), err);
        free(path);
    }
    npy_free(&set);
}

static void test_folder_images(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    char *folder = xasprintf("%s/images", desk->folder), *npy = xasprintf("%s/images.npy", desk->folder);
    write_images(folder, 0, 12);
    Reference reference = open_ok(desk, folder, RESIZE_PT, 0);
    assert_int_equal(reference.kind, REFERENCE_FOLDER);
    assert_int_equal(reference.images, 12);
    assert_int_equal(desk->measured, 12);
    NpyArray set = golden_npy(SET_B);
    assert_ok(npy_write(npy, DTYPE_U8, 4, (int64_t[]){12, 32, 32, 3}, set.data, &err), err);
    npy_free(&set);
    Reference same = open_ok(desk, npy, RESIZE_PT, 0); /* the same pixels in another file */
    assert_int_equal(desk->measured, 0);
    assert_string_equal(same.sha256, reference.sha256);
    reference_close(&reference);
    reference_close(&same);
    free(folder);
    free(npy);
}

static void hang(const char *folder, const char *name, const char *target)
{
    char *path = xasprintf("%s/%s", folder, name);
    unlink(path);
    assert_int_equal(symlink(target, path), 0);
    free(path);
}

/* Files that are old enough for their listing to be cached. */
static void test_changed_folder(void **state)
{
    Desk *desk = *state;
    char *old = xasprintf("%s/old", desk->folder), *folder = xasprintf("%s/links", desk->folder);
    write_images(old, 0, 4);
    char *a = xasprintf("%s/0.png", old), *b = xasprintf("%s/1.png", old), *c = xasprintf("%s/2.png", old);
    sleep(3);
    mkdir(folder, 0777);
    hang(folder, "0.png", a);
    hang(folder, "1.png", b);
    Reference first = open_ok(desk, folder, RESIZE_PT, 0);
    char *seen = xasprintf("ls %s/references/seen-*.json >/dev/null 2>&1", desk->cache);
    assert_int_equal(system(seen), 0);
    Reference again = open_ok(desk, folder, RESIZE_PT, 0);
    assert_int_equal(desk->measured, 0);
    hang(folder, "1.png", c);
    Reference changed = open_ok(desk, folder, RESIZE_PT, 0);
    assert_int_equal(desk->measured, 2);
    assert_string_equal(again.sha256, first.sha256);
    assert_string_not_equal(changed.sha256, first.sha256);
    reference_close(&first);
    reference_close(&again);
    reference_close(&changed);

    /* The same name, size and time of modification, and other pixels. */
    struct stat st;
    write_images(old, 100, 1);
    assert_int_equal(stat(a, &st), 0);
    Reference touched = open_ok(desk, folder, RESIZE_PT, 0);
    assert_int_equal(desk->measured, 2);
    reference_close(&touched);
    free(old);
    free(folder);
    free(a);
    free(b);
    free(c);
    free(seen);
}

static void replace_first(const char *folder)
{
    char *images = xasprintf("%s/moving", folder);
    write_images(images, 100, 1);
    free(images);
}

/* Other pixels between the hash and the measurement: neither is cached. */
static void test_moving_folder(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    Reference none;
    char *folder = xasprintf("%s/moving", desk->folder), *cached = xasprintf("ls %s/references/*.np*", desk->cache);
    write_images(folder, 0, 12);
    desk->spoil = replace_first;
    desk->spoil_at = 12; /* the last image of the first reading */
    assert_err(reference_open(folder, RESIZE_PT, REFERENCE_FEATURES, &desk->options, &none, &err), err, folder,
               "changed while they were measured");
    assert_int_not_equal(system(cached), 0);
    Reference reference = open_ok(desk, folder, RESIZE_PT, REFERENCE_FEATURES);
    assert_int_equal(desk->measured, 12);
    reference_close(&reference);
    free(folder);
    free(cached);
}

static void test_refuses_images(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    Reference none;
    char *folder = xasprintf("%s/few", desk->folder), *image = xasprintf("%s/0.png", folder),
         *broken = xasprintf("%s/1.png", folder);
    mkdir(folder, 0777);
    assert_err(reference_open(folder, RESIZE_PT, 0, &desk->options, &none, &err), err, folder, "no images");
    write_images(folder, 0, 1);
    assert_err(reference_open(folder, RESIZE_PT, 0, &desk->options, &none, &err), err, folder, "at least 2");
    write_images(folder, 0, 2);
    assert_int_equal(truncate(broken, 200), 0);
    assert_err(reference_open(folder, RESIZE_PT, 0, &desk->options, &none, &err), err, broken);
    write_images(folder, 0, 2);
    desk->options.inception = STATS "statistic_tensors.pth";
    assert_err(reference_open(folder, RESIZE_PT, 0, &desk->options, &none, &err), err, "FID Inception");
    desk->options.inception = W16;
    desk->stop = true;
    assert_err(reference_open(folder, RESIZE_PT, 0, &desk->options, &none, &err), err, "stopped");
    assert_int_equal(err.kind, ERR_CANCELLED);
    free(folder);
    free(image);
    free(broken);
}

/* --- the cache -------------------------------------------------------------------------------------- */

/* A damaged file is measured again, never used. */
static void test_damage(void **state)
{
    Desk *desk = *state;
    Reference reference = open_ok(desk, STATS "adm_style_samples.npz", RESIZE_PT, REFERENCE_FEATURES);
    double trace = reference.stats->sigma[0];
    reference_close(&reference);
    static const char *const spoil[] = {"*.npz", "*-features.npy"};
    for (size_t i = 0; i < countof(spoil); i++) {
        char *command =
            xasprintf("for f in %s/references/%s; do head -c 300 $f > $f.x; mv $f.x $f; done", desk->cache, spoil[i]);
        assert_int_equal(system(command), 0);
        free(command);
        reference = open_ok(desk, STATS "adm_style_samples.npz", RESIZE_PT, REFERENCE_FEATURES);
        assert_int_equal(desk->measured, 8);
        assert_true(reference.stats->sigma[0] == trace);
        reference_close(&reference);
    }
}

/* A pass that ended early resumes: existing shards are not measured again, and the bits are the same. */
static void test_resume(void **state)
{
    Desk *desk = *state;
    enum { IMAGES = 352, STOP = 300, BLOCK = 256 };
    Err err = {0};
    Reference none;
    char *npy = xasprintf("%s/both.npy", desk->folder), *other = xasprintf("%s/other", desk->folder);
    uint8_t *pixels = xmalloc((size_t)IMAGES * 3072);
    NpyArray b = golden_npy(SET_B), a;
    Npz *npz = npz_open(INCEPTION_GOLDEN("e2e/set_a_adm.npz"), &err);
    assert_ok(npz && npz_read(npz, "arr_0", SIZE_MAX, &a, &err), err);
    memcpy(pixels, a.data, (size_t)192 * 3072);
    memcpy(pixels + (size_t)192 * 3072, b.data, (size_t)160 * 3072);
    assert_ok(npy_write(npy, DTYPE_U8, 4, (int64_t[]){IMAGES, 32, 32, 3}, pixels, &err), err);
    desk->stop_at = STOP;
    assert_err(reference_open(npy, RESIZE_PT, REFERENCE_FEATURES, &desk->options, &none, &err), err, "stopped");
    desk->stop = false;
    desk->stop_at = desk->first = 0;
    Reference resumed = open_ok(desk, npy, RESIZE_PT, REFERENCE_FEATURES);
    assert_int_equal(desk->first, BLOCK + 4); /* the first batch behind what was done */
    desk->options.cache = other;
    Reference whole = open_ok(desk, npy, RESIZE_PT, REFERENCE_FEATURES);
    assert_string_equal(resumed.sha256, whole.sha256);
    assert_memory_equal(resumed.stats->sigma, whole.stats->sigma, 128 * 128 * sizeof(double));
    assert_memory_equal(resumed.features.rows, whole.features.rows, (size_t)IMAGES * 128 * sizeof(float));
    char *left = xasprintf("ls -d %s/references/*.work %s/references/*.work 2>/dev/null", desk->cache, other);
    assert_int_not_equal(system(left), 0);
    reference_close(&resumed);
    reference_close(&whole);
    npz_close(npz);
    npy_free(&a);
    npy_free(&b);
    free(pixels);
    free(left);
    free(other);
    free(npy);
}

static void test_together(void **state)
{
    Desk *desk = *state;
    enum { PROCESSES = 4 };
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
        if ((pids[i] = fork()) == 0) {
            Reference reference;
            Err err = {0};
            bool good = reference_open(SET_B, RESIZE_PT, REFERENCE_FEATURES, &desk->options, &reference, &err);
            _exit(!good ? 100 : desk->measured ? 1 : 0);
        }
    int measured = 0;
    for (int i = 0; i < PROCESSES; i++) {
        int status = 0;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        measured += WEXITSTATUS(status);
    }
    assert_int_equal(measured, 1); /* the others waited and found it */
}

static void test_save(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    char *path = xasprintf("%s/saved.npz", desk->folder), weights[65];
    Reference reference = open_ok(desk, SET_B, RESIZE_TF, 0);
    assert_ok(reference_save(path, &reference, &err), err);
    Reference back = open_ok(desk, path, RESIZE_TF, 0), none;
    assert_int_equal(back.kind, REFERENCE_STATISTICS);
    assert_int_equal(back.images, 160);
    assert_string_equal(back.pipeline, "tf");
    assert_ok(file_sha256(W16, weights, &err), err);
    assert_string_equal(back.weights, weights);
    assert_memory_equal(back.stats->sigma, reference.stats->sigma, 128 * 128 * sizeof(double));
    assert_err(reference_open(path, RESIZE_PT, 0, NULL, &none, &err), err, "tf pipeline");
    reference_close(&reference);
    reference_close(&back);
    free(path);
}

/* --- registering ------------------------------------------------------------------------------------ */

static void test_register(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    char *folder = xasprintf("%s/references", desk->folder);
    Registration ada = {.folder = folder, .name = "b", .user = "ada"}, bob = ada, bad = ada;
    bob.user = "bob";
    bad.name = "../b";
    Reference b = open_ok(desk, SET_B, RESIZE_PT, 0), tf = open_ok(desk, SET_B, RESIZE_TF, 0);
    cJSON *entry;
    assert_ok(reference_register_copy(&ada, &b, SET_B, &entry, &err), err);
    assert_string_equal(json_text(entry, "path", ""), "b.npz");
    assert_string_equal(json_text(entry, "pipeline", ""), "pt");
    assert_string_equal(json_text(entry, "source_sha256", ""), b.sha256);
    cJSON_Delete(entry);
    assert_ok(reference_register_copy(&ada, &b, SET_B, NULL, &err), err); /* the same again */
    assert_err(reference_register_copy(&ada, &tf, SET_B, NULL, &err), err, "other content", "--replace");
    assert_err(reference_register_copy(&bob, &b, SET_B, NULL, &err), err, "ada registered this name");
    assert_int_equal(err.kind, ERR_PERMISSION);
    bob.replace = true;
    assert_err(reference_register_copy(&bob, &b, SET_B, NULL, &err), err, "ada registered this name");
    assert_err(reference_register_copy(&bad, &b, SET_B, NULL, &err), err, "cannot be the name of a reference");
    assert_ok(references_read(folder, "b", &entry, &err), err);
    Reference back = open_ok(desk, json_text(entry, "path", ""), RESIZE_PT, 0);
    assert_string_equal(back.sha256, json_text(entry, "sha256", ""));
    assert_memory_equal(back.stats->sigma, b.stats->sigma, 128 * 128 * sizeof(double));
    reference_close(&back);
    cJSON_Delete(entry);
    ada.replace = true;
    assert_ok(reference_register_copy(&ada, &tf, SET_B, &entry, &err), err);
    assert_string_equal(json_text(entry, "pipeline", ""), "tf");
    cJSON_Delete(entry);
    reference_close(&b);
    reference_close(&tf);
    char *listing = xasprintf("cd %s && test \"$(ls -A | tr '\\n' ' ')\" = '.lock b.json b.npz '", folder);
    assert_int_equal(system(listing), 0); /* no partial file remains */
    free(listing);
    free(folder);
}

static void test_register_path(void **state)
{
    Desk *desk = *state;
    Err err = {0};
    char *folder = xasprintf("%s/references", desk->folder), *link = xasprintf("%s/link.npy", desk->folder);
    Registration ada = {.folder = folder, .name = "images", .user = "ada"};
    ReferenceProbe probe;
    cJSON *entry;
    ReferenceImages images;
    assert_int_equal(symlink(SET_B, link), 0);
    assert_ok(reference_probe(link, &probe, &err), err);
    assert_ok(reference_name_images(link, desk->cache, NULL, &images, &err), err);
    const char *hex = images.sha256;
    assert_int_equal(images.images, 160);
    assert_int_equal(images.left_out, 0);
    assert_null(images.caveat);
    assert_ok(reference_register_path(&ada, link, &probe, hex, NULL, "", NULL, &err), err);
    assert_ok(references_read(folder, "images", &entry, &err), err);
    assert_string_equal(json_text(entry, "path", ""), SET_B); /* links are followed once, here */
    assert_string_equal(json_text(entry, "kind", ""), "array");
    assert_string_equal(json_text(entry, "sha256", ""), hex);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(entry, "features")));
    cJSON_Delete(entry);
    char *none = xasprintf("%s/none", desk->folder);
    assert_err(reference_register_path(&ada, none, &probe, hex, NULL, "", NULL, &err), err, none);
    free(none);
    free(folder);
    free(link);
}

#define ON_DESK(test) cmocka_unit_test_setup_teardown(test, open_desk, close_desk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* first: a child that is forked after the parent had OpenMP threads waits for them for ever */
        ON_DESK(test_together),       ON_DESK(test_resume),
        ON_DESK(test_containers),     ON_DESK(test_refuses_statistics),
        ON_DESK(test_width),          ON_DESK(test_array),
        ON_DESK(test_features),       ON_DESK(test_adm),
        ON_DESK(test_levels),         ON_DESK(test_folder_images),
        ON_DESK(test_changed_folder), ON_DESK(test_moving_folder),
        ON_DESK(test_refuses_images), ON_DESK(test_damage),
        ON_DESK(test_save),           ON_DESK(test_register),
        ON_DESK(test_register_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
