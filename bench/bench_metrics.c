/* The metrics at full size: features in memory, every number that a report takes from them.
 *
 *     build/release-with-tests/bin/bench_metrics [GENERATED [REFERENCE [SECTION ...]]]     50000 50000, all
 *     sections: fid fid_interval fid_inf kid kid_all is neighbours
 *
 * One line a metric: seconds, processor seconds of all threads, peak memory of the process so far and how much of it is
 * the rows. Rows are mixtures of 24 patterns with noise and a floor at 0, so that precision and recall lie between 0
 * and 1 as real ones do. docs/dev/speed.md records the results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "kernels/omp_env.h"
#include "tests/procedural.h"
#include "worker/metrics/metrics.h"

enum { WIDTH = 2048, PATTERNS = 24, CLASSES = 1008 };

typedef struct Sets {
    Features fake, real;
    Statistics *reference;
} Sets;

static void must(bool ok, const Err *err)
{
    if (!ok) {
        fprintf(stderr, "bench_metrics: %s\n", err->text);
        exit(EXIT_ERROR);
    }
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_mib(void)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kib = strtod(line + 6, NULL);
    if (file)
        fclose(file);
    return kib / 1024;
}

/* --- sets ---------------------------------------------------------------------------------------- */

static Features make(const char *key, int64_t count, double spread)
{
    float *rows = xmalloc(sizeof(float) * (size_t)count * WIDTH), *patterns = xmalloc(sizeof(float) * PATTERNS * WIDTH);
    uint64_t stream = stream_open(key), pattern = stream_open("patterns"), weight = stream_open("weights");
    for (int i = 0; i < PATTERNS * WIDTH; i++)
        patterns[i] = (float)(2 * stream_at(pattern, (uint64_t)i) - 1);
    weight ^= stream;
    for (int64_t i = 0; i < count; i++) {
        float *row = rows + i * WIDTH;
        for (int j = 0; j < WIDTH; j++)
            row[j] = (float)(0.3 + 0.1 * (stream_at(stream, (uint64_t)(i * WIDTH + j)) - 0.5));
        for (int r = 0; r < PATTERNS; r++) {
            float a = (float)(spread * 0.3 * (2 * stream_at(weight, (uint64_t)(i * PATTERNS + r)) - 1));
            for (int j = 0; j < WIDTH; j++)
                row[j] += a * patterns[r * WIDTH + j];
        }
        for (int j = 0; j < WIDTH; j++)
            row[j] = row[j] > 0 ? row[j] : 0;
    }
    free(patterns);
    return (Features){rows, count, WIDTH};
}

/* --- metrics ------------------------------------------------------------------------------------- */

static void show(const char *name, const Interval *interval)
{
    printf("    %-10s %12.6f  [%.6f, %.6f]\n", name, interval->value, interval->low, interval->high);
}

static void fid(const Sets *sets, bool interval)
{
    Err err = {0};
    Statistics *stats;
    Frechet f;
    Interval got = {0};
    must(features_statistics(&sets->fake, &stats, &err), &err);
    must(frechet_distance(stats, sets->reference, &f, &err), &err);
    if (interval)
        must(fid_interval(&sets->fake, sets->reference, f.raw, NULL, &got, &err), &err);
    else
        got = (Interval){f.raw, NAN, NAN};
    show("FID", &got);
    statistics_free(stats);
}

static void run_fid(const Sets *sets)
{
    fid(sets, false);
}

static void run_fid_interval(const Sets *sets)
{
    fid(sets, true);
}

static void run_fid_inf(const Sets *sets)
{
    Err err = {0};
    FidCurve curve;
    must(fid_infinity(&sets->fake, sets->reference, NULL, &curve, &err), &err);
    printf("    FID of %lld: %.6f, of %lld: %.6f, of infinitely many: %.6f\n", (long long)curve.count[0], curve.fid[0],
           (long long)curve.count[curve.points - 1], curve.fid[curve.points - 1], curve.infinity);
}

static void kid(const Sets *sets, bool all_pairs)
{
    Err err = {0};
    Kid got;
    KidPlan plan = {.subsets = KID_SUBSETS, .subset_size = KID_SUBSET_SIZE, .all_pairs = all_pairs};
    must(kid_measure(&sets->fake, &sets->real, &plan, &got, &err), &err);
    show("KID", &got.kid);
    printf("    deviation over subsets %.6f, over all pairs %.6f\n", got.std, got.all_pairs);
}

static void run_kid(const Sets *sets)
{
    kid(sets, false);
}

static void run_kid_all(const Sets *sets)
{
    kid(sets, true);
}

/* Logits: the first features, spread out. */
static bool read_logits(void *ctx, int64_t first, int64_t count, float *ret_logits, Err *err)
{
    (void)err;
    const Features *set = ctx;
    for (int64_t i = 0; i < count; i++)
        for (int c = 0; c < CLASSES; c++)
            ret_logits[i * CLASSES + c] = 8 * set->rows[(first + i) * WIDTH + c];
    return true;
}

static void run_is(const Sets *sets)
{
    Err err = {0};
    Score score;
    Features fake = sets->fake;
    Logits logits = {.count = fake.count, .classes = CLASSES, .read = read_logits, .ctx = &fake};
    must(score_measure(&logits, SCORE_PARTS, NULL, &score, &err), &err);
    show("IS", &score.score);
}

static void run_neighbours(const Sets *sets)
{
    Err err = {0};
    Neighbours n;
    must(neighbours_measure(NULL, &sets->fake, &sets->real, NEIGHBOURS_DEFAULT, NULL, &n, &err), &err);
    show("precision", &n.precision);
    show("recall", &n.recall);
    show("density", &n.density);
    show("coverage", &n.coverage);
    neighbours_free(&n);
}

static const struct {
    const char *name, *what;
    void (*run)(const Sets *sets);
} sections[] = {
    {"fid", "FID: sums, one distance", run_fid},
    {"fid_interval", "FID with its interval: 21 distances", run_fid_interval},
    {"fid_inf", "FID-infinity: 15 distances", run_fid_inf},
    {"kid", "KID: 100 subsets of 1000, interval", run_kid},
    {"kid_all", "KID: the same and over all pairs", run_kid_all},
    {"is", "Inception Score, interval", run_is},
    {"neighbours", "precision, recall, density, coverage", run_neighbours},
};

static bool wanted(const char *name, int argc, char **argv)
{
    for (int k = 3; k < argc; k++)
        if (strcmp(argv[k], name) == 0)
            return true;
    return argc <= 3;
}

int main(int argc, char **argv)
{
    omp_env_set(argv);
    Err err = {0};
    int64_t fakes = argc > 1 ? strtoll(argv[1], NULL, 10) : 50000,
            reals = argc > 2 ? strtoll(argv[2], NULL, 10) : 50000;
    Sets sets = {make("generated", fakes, 0.95), make("reference", reals, 1), NULL};
    must(features_statistics(&sets.real, &sets.reference, &err), &err);
    double rows = (double)(fakes + reals) * WIDTH * sizeof(float) / (1 << 20);
    printf("%lld generated, %lld reference, %d features\n", (long long)fakes, (long long)reals, WIDTH);
    for (size_t i = 0; i < countof(sections); i++) {
        if (!wanted(sections[i].name, argc, argv))
            continue;
        double start = mono_seconds(), cpu_start = cpu_seconds();
        sections[i].run(&sets);
        printf("%-40s %8.1f s, processor %8.1f s; peak %.0f MiB, of which rows %.0f\n", sections[i].what,
               mono_seconds() - start, cpu_seconds() - cpu_start, peak_mib(), rows);
        fflush(stdout);
    }
    return EXIT_OK;
}
