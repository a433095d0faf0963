/* Nearest neighbours against plain loops in double: sets that cross tiles, ties, duplicates, sets that collapsed, sets
 * far from the origin; every array of the result, and intervals against leaving the blocks out for real. */
#include "tests/golden_arrays.h"

#include "kernels/cuda/host/driver.h"
#include "tests/metrics/sets.h"

/* --- plain loops --------------------------------------------------------------------------------- */

static double squared(const float *a, const float *b, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sum;
}

/* Squared radius of every row of a set among those with keep[] (NULL: all). */
static double *radii(const Features *set, const bool *keep, int k)
{
    double *radius = xmalloc(sizeof(double) * (size_t)set->count), least[NEIGHBOURS_MAX + 1];
    for (int64_t i = 0; i < set->count; i++) {
        for (int c = 0; c <= k; c++)
            least[c] = INFINITY;
        for (int64_t j = 0; j < set->count; j++) {
            if (j == i || (keep && !keep[j]))
                continue;
            int at = k; /* the last place is that of the newcomer */
            least[at] = squared(set->rows + i * set->dim, set->rows + j * set->dim, set->dim);
            for (; at > 0 && least[at - 1] > least[at]; at--) {
                double swap = least[at];
                least[at] = least[at - 1];
                least[at - 1] = swap;
            }
        }
        radius[i] = least[k - 1];
    }
    return radius;
}

typedef struct Plain {
    double precision, recall, density, coverage;
} Plain;

/* keep: the generated rows that are there. When `n` is given, its arrays are checked on the way. */
static Plain plain(const Features *fake, const Features *real, const bool *keep, int k, const Neighbours *n)
{
    double *fake_radius = radii(fake, keep, k), *real_radius = radii(real, NULL, k), kept = 0;
    bool *recalled = xcalloc((size_t)real->count, 1), *covered = xcalloc((size_t)real->count, 1);
    Plain sums = {0};
    for (int64_t i = 0; i < fake->count; i++) {
        if (keep && !keep[i])
            continue;
        int balls = 0, within = 0;
        double nearest = INFINITY;
        int64_t which = -1;
        for (int64_t j = 0; j < real->count; j++) {
            double d2 = squared(fake->rows + i * fake->dim, real->rows + j * fake->dim, fake->dim);
            within += d2 <= real_radius[j];
            balls += d2 < real_radius[j];
            recalled[j] = recalled[j] || d2 <= fake_radius[i];
            covered[j] = covered[j] || d2 < real_radius[j];
            if (d2 < nearest)
                nearest = d2, which = j;
        }
        kept++;
        sums.precision += within > 0;
        sums.density += balls;
        if (n) {
            assert_near(n->nearest[i], sqrt(nearest), 1e-12 * (1 + sqrt(nearest)), "nearest", i);
            assert_int_equal(n->nearest_real[i], which);
            assert_near(n->fake_radius[i], sqrt(fake_radius[i]), 1e-12 * (1 + sqrt(fake_radius[i])), "radius", i);
            assert_int_equal(n->in_manifold[i], within > 0);
            assert_int_equal(n->balls[i], balls);
        }
    }
    for (int64_t j = 0; j < real->count; j++) {
        sums.recall += recalled[j];
        sums.coverage += covered[j];
        if (n) {
            assert_near(n->real_radius[j], sqrt(real_radius[j]), 1e-12 * (1 + sqrt(real_radius[j])), "real radius", j);
            assert_int_equal(n->recalled[j], recalled[j]);
            assert_int_equal(n->covered[j], covered[j]);
        }
    }
    free(fake_radius);
    free(real_radius);
    free(recalled);
    free(covered);
    return (Plain){sums.precision / kept, sums.recall / (double)real->count, sums.density / (k * kept),
                   sums.coverage / (double)real->count};
}

/* --- sets ---------------------------------------------------------------------------------------- */

typedef enum Shape { NOISE, LATTICE, SAME, NEARLY_SAME, FAR, SHAPES } Shape;

/* Integers and small multiples of powers of two, so that the order of a sum cannot show in a tie. */
static float value(Shape shape, double u)
{
    switch (shape) {
    case LATTICE:
        return (float)floor(3 * u);
    case SAME:
        return 1.5f;
    case NEARLY_SAME:
        return 40 + (float)floor(8 * u) / 8192;
    case FAR:
        return 1000 + (float)floor(64 * u) / 16;
    default:
        return (float)floor(4096 * u) / 1024 - 1;
    }
}

static Features make(const char *key, Shape shape, int64_t count, int dim, double shift)
{
    float *rows = xmalloc(sizeof(float) * (size_t)(count * dim));
    uint64_t stream = stream_open(key);
    for (int64_t i = 0; i < count * dim; i++)
        rows[i] = value(shape, stream_at(stream, (uint64_t)i)) + (float)shift;
    return (Features){rows, count, dim};
}

static Backend *device; /* NULL: neighbours open the CPU themselves */

static void check(const Features *fake, const Features *real, int k)
{
    Err err = {0};
    Neighbours n;
    assert_ok(neighbours_measure(device, fake, real, k, NULL, &n, &err), err);
    Plain wanted = plain(fake, real, NULL, k, &n);
    assert_near(n.precision.value, wanted.precision, 1e-15, "precision", k);
    assert_near(n.recall.value, wanted.recall, 1e-15, "recall", k);
    assert_near(n.density.value, wanted.density, 1e-12, "density", k);
    assert_near(n.coverage.value, wanted.coverage, 1e-15, "coverage", k);
    neighbours_free(&n);
}

static void test_shapes(void **state)
{
    (void)state;
    static const struct {
        int64_t fakes, reals;
        int dim, k;
    } sizes[] = {{2, 2, 1, 1}, {65, 64, 7, 3}, {130, 201, 33, 5}, {101, 150, 20, 100}, {300, 3, 64, 2}};
    for (Shape shape = 0; shape < SHAPES; shape++)
        for (size_t i = 0; i < countof(sizes); i++)
            for (int shifted = 0; shifted < 2; shifted++) {
                Features fake = make("fake", shape, sizes[i].fakes, sizes[i].dim, shifted ? 0.25 : 0);
                Features real = make("real", shape, sizes[i].reals, sizes[i].dim, 0);
                check(&fake, &real, sizes[i].k);
                set_free(&fake);
                set_free(&real);
            }
}

/* More than one tile each way, and a last tile of one row. */
static void test_tiles(void **state)
{
    (void)state;
    Features fake = make("fake", NOISE, 2 * 2048 + 1, 6, 0.3), real = make("real", NOISE, 2048 + 70, 6, 0);
    check(&fake, &real, 3);
    set_free(&fake);
    set_free(&real);
}

/* --- intervals ----------------------------------------------------------------------------------- */

static void assert_interval(const Interval *got, const double *without, double most, const char *name)
{
    Interval wanted = interval_of(got->value, without, INTERVAL_BLOCKS, 0, most);
    assert_near(got->low, wanted.low, 1e-12, name, 0);
    assert_near(got->high, wanted.high, 1e-12, name, 1);
    assert_true(got->high > got->low);
}

static void test_intervals(void **state)
{
    (void)state;
    enum { FAKES = 470, DIM = 5 };
    Err err = {0};
    Features fake = make("fake", NOISE, FAKES, DIM, 0.4), real = make("real", NOISE, 300, DIM, 0);
    Neighbours n;
    assert_ok(neighbours_measure(NULL, &fake, &real, 3, NULL, &n, &err), err);
    double without[4][INTERVAL_BLOCKS];
    for (int b = 0; b < INTERVAL_BLOCKS; b++) {
        bool keep[FAKES];
        for (int i = 0; i < FAKES; i++)
            keep[i] = interval_block(i) != b;
        Plain left = plain(&fake, &real, keep, 3, NULL);
        without[0][b] = left.precision;
        without[1][b] = left.recall;
        without[2][b] = left.density;
        without[3][b] = left.coverage;
    }
    assert_interval(&n.precision, without[0], 1, "precision");
    assert_interval(&n.recall, without[1], 1, "recall");
    assert_interval(&n.density, without[2], INFINITY, "density");
    assert_interval(&n.coverage, without[3], 1, "coverage");
    neighbours_free(&n);
    set_free(&fake);
    set_free(&real);
}

/* --- what is refused, and stopping --------------------------------------------------------------- */

static void test_refuses(void **state)
{
    (void)state;
    Err err = {0};
    Neighbours n;
    Features fake = make("fake", NOISE, 50, 8, 0), real = make("real", NOISE, 40, 8, 0), narrow = {real.rows, 40, 7};
    float *rows = (float *)fake.rows;
    assert_err(neighbours_measure(NULL, &fake, &real, 0, NULL, &n, &err), err, "k is 0", "1 to 100");
    assert_err(neighbours_measure(NULL, &fake, &real, 40, NULL, &n, &err), err, "40 reference", "at least 41");
    assert_err(neighbours_measure(NULL, &fake, &narrow, 3, NULL, &n, &err), err, "8 features", "7");
    rows[17 * 8 + 2] = NAN;
    assert_err(neighbours_measure(NULL, &fake, &real, 3, NULL, &n, &err), err, "generated", "image 17",
               "feature 2 of 8");
    assert_int_equal(err.kind, ERR_NUMERIC);
    rows[17 * 8 + 2] = 1e30f;
    assert_err(neighbours_measure(NULL, &fake, &real, 3, NULL, &n, &err), err, "norm", "too large");
    rows[17 * 8 + 2] = 1;
    Watch watch = {.stop_after = 2};
    MetricHooks hooks = watch_hooks(&watch);
    assert_err(neighbours_measure(NULL, &fake, &real, 3, &hooks, &n, &err), err, "nearest neighbours", "stopped");
    assert_int_equal(err.kind, ERR_CANCELLED);
    watch = (Watch){0};
    assert_ok(neighbours_measure(NULL, &fake, &real, 3, &hooks, &n, &err), err);
    assert_true(watch.done == 1 && watch.steps == 3);
    assert_true(isnan(n.precision.low)); /* 50 images: no interval */
    neighbours_free(&n);
    Backend *be = backend_open("cpu", PREC_BF16, 1, &err);
    if (be)
        assert_err(neighbours_measure(be, &fake, &real, 3, NULL, &n, &err), err, "below float32");
    backend_close(be);
    set_free(&fake);
    set_free(&real);
}

/* test_neighbours --device NAME: the same counts from another backend's products. */
static int on_device(const char *name)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes)};
    Err err = {0};
    backend_register(&cuda_host_driver);
    device = backend_open(name, PREC_F32, 0, &err);
    if (!device) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    backend_close(device);
    return failed;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--device") == 0 && strcmp(argv[2], "cpu") != 0)
        return on_device(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
