/* Philox against the known answers of its authors, and the properties of the streams. */
#include "tests/test.h"

#include <math.h>

#include "core/philox.h"

static void test_known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } rows[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < countof(rows); i++) {
        uint32_t words[4];
        philox4x32(rows[i].counter, rows[i].key, words);
        for (int j = 0; j < 4; j++)
            assert_int_equal(words[j], rows[i].words[j]);
    }
}

static void test_normals_are_normal(void **state)
{
    (void)state;
    enum { IMAGES = 100, COUNT = 2048 };
    double sum = 0, squares = 0, fourth = 0, lag = 0;
    for (uint64_t i = 0; i < IMAGES; i++) {
        float z[COUNT];
        noise_normal(7, i, z, COUNT);
        for (int j = 0; j < COUNT; j++) {
            assert_true(isfinite(z[j]));
            double v = (double)z[j];
            sum += v, squares += v * v, fourth += v * v * v * v;
            lag += j ? v * (double)z[j - 1] : 0;
        }
    }
    double n = (double)IMAGES * COUNT; /* bounds: five standard errors */
    assert_true(fabs(sum / n) < 5 / sqrt(n));
    assert_true(fabs(squares / n - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(fourth / n - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(lag / n) < 5 / sqrt(n));
}

static void test_a_prefix_is_a_prefix(void **state)
{
    (void)state;
    float whole[64], part[64];
    noise_normal(3, 9, whole, 64);
    for (int count = 0; count < 64; count++) {
        memset(part, 0, sizeof part);
        noise_normal(3, 9, part, count);
        assert_memory_equal(whole, part, (size_t)count * sizeof(float));
        for (int j = count; j < 64; j++)
            assert_true(part[j] == 0);
    }
}

static void test_seeds_images_and_streams_differ(void **state)
{
    (void)state;
    static const uint64_t pairs[][2] = {{0, 0}, {1, 0}, {0, 1}, {1ull << 32, 0}, {0, 1ull << 32}, {~0ull, ~0ull}};
    float first[countof(pairs)], uniform[4];
    for (size_t i = 0; i < countof(pairs); i++) {
        float z[4];
        noise_normal(pairs[i][0], pairs[i][1], z, 4);
        first[i] = z[0];
        for (size_t j = 0; j < i; j++)
            assert_true(first[i] != first[j]);
    }
    noise_uniform(0, 0, uniform, 4);
    for (int j = 0; j < 4; j++)
        assert_true(uniform[j] >= 0 && uniform[j] < 1);
}

static void test_uniforms_are_uniform(void **state)
{
    (void)state;
    enum { COUNT = 4096, BINS = 16 };
    int bins[BINS] = {0};
    for (uint64_t i = 0; i < 16; i++) {
        float u[COUNT];
        noise_uniform(11, i, u, COUNT);
        for (int j = 0; j < COUNT; j++) {
            assert_true(u[j] >= 0 && u[j] < 1);
            bins[(int)(u[j] * BINS)]++;
        }
    }
    double chi = 0, want = 16.0 * COUNT / BINS;
    for (int j = 0; j < BINS; j++)
        chi += (bins[j] - want) * (bins[j] - want) / want;
    assert_true(chi < 44.3); /* 15 degrees of freedom, p = 1e-4 */
}

static void test_labels_cover_the_classes(void **state)
{
    (void)state;
    static const int sizes[] = {1, 2, 10, 1000};
    for (size_t s = 0; s < countof(sizes); s++) {
        int classes = sizes[s], draws = 200 * classes;
        int *seen = xcalloc((size_t)classes, sizeof(int));
        for (int i = 0; i < draws; i++) {
            int32_t label = noise_label(0, (uint64_t)i, classes);
            assert_in_range(label, 0, classes - 1);
            seen[label]++;
        }
        for (int c = 0; c < classes; c++)
            assert_in_range(seen[c], 120, 280); /* 200 expected, standard deviation 14 */
        free(seen);
    }
}

/* Fixed values, so that no change of the code changes the images of a seed. */
static void test_numbers_stay(void **state)
{
    (void)state;
    float z[4], u[2];
    noise_normal(42, 7, z, 4);
    noise_uniform(42, 7, u, 2);
    static const double normals[4] = {1.06515088, -0.81752472, -0.658450371, 1.13286574},
                        uniforms[2] = {0.998734593, 0.656026244};
    for (int j = 0; j < 4; j++)
        assert_float_equal(z[j], normals[j], 1e-6);
    for (int j = 0; j < 2; j++)
        assert_float_equal(u[j], uniforms[j], 1e-7);
    assert_int_equal(noise_label(42, 7, 1000), 695);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),        cmocka_unit_test(test_normals_are_normal),
        cmocka_unit_test(test_a_prefix_is_a_prefix), cmocka_unit_test(test_seeds_images_and_streams_differ),
        cmocka_unit_test(test_uniforms_are_uniform), cmocka_unit_test(test_labels_cover_the_classes),
        cmocka_unit_test(test_numbers_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
