/* What the tests of the network share: the golden images and a backend. */
#ifndef TESTS_MODELS_NETWORK_H
#define TESTS_MODELS_NETWORK_H

#include "kernels/cuda/host/driver.h"
#include "tests/golden_arrays.h"
#include "worker/models/inception.h"
#include "worker/models/inception_table.h"

/* --- golden images ------------------------------------------------------------------------------- */

typedef struct GoldenImage {
    const char *name;
    int h, w;
    const uint8_t *rgb;
} GoldenImage;

enum { GOLDEN_IMAGES = 8 };

typedef struct GoldenImages {
    NpyArray arrays[3];
    GoldenImage items[GOLDEN_IMAGES];
} GoldenImages;

static inline void golden_images_open(GoldenImages *images)
{
    static const char *const names[] = {"img0_256", "img1_256", "img2_256", "img3_256",
                                        "img4_256", "img5_256", "img6_64",  "img7_300x200"};
    images->arrays[0] = golden_npy(INCEPTION_GOLDEN("images/images_256.npy"));
    images->arrays[1] = golden_npy(INCEPTION_GOLDEN("images/image_64.npy"));
    images->arrays[2] = golden_npy(INCEPTION_GOLDEN("images/image_300x200.npy"));
    for (int i = 0; i < 6; i++)
        images->items[i] =
            (GoldenImage){names[i], 256, 256, (const uint8_t *)images->arrays[0].data + i * 256 * 256 * 3};
    images->items[6] = (GoldenImage){names[6], 64, 64, images->arrays[1].data};
    images->items[7] = (GoldenImage){names[7], 300, 200, images->arrays[2].data};
}

static inline void golden_images_close(GoldenImages *images)
{
    for (int i = 0; i < 3; i++)
        npy_free(&images->arrays[i]);
}

/* The two pipelines, and what float32 may differ by from their golden outputs. */
static const struct {
    const char *name;
    Resize resize;
    double pool3, logits, spatial;
} pipelines[] = {{"pt", RESIZE_PT, 2e-4, 4e-4, 5e-4}, {"tf", RESIZE_TF, 5e-4, 6e-4, 1e-3}};

/* Compares values with row `image` of net/NAME.npy, which has `images` rows; returns the mean of the differences. */
static inline double golden_row(const char *name, int images, int image, const float *values, double tolerance)
{
    char *path = xasprintf(INCEPTION_GOLDEN("net/%s.npy"), name);
    NpyArray golden = golden_npy(path);
    int64_t width = npy_count(&golden) / images;
    double sum = 0;
    for (int64_t k = 0; k < width; k++) {
        double wanted = npy_at(&golden, image * width + k);
        assert_near((double)values[k], wanted, tolerance, path, k);
        sum += fabs((double)values[k] - wanted);
    }
    npy_free(&golden);
    free(path);
    return sum / (double)width;
}

/* The same of NAME_PIPELINE.npy for the golden images. */
static inline double golden_row_of(const char *name, int pipeline, int image, const float *values, double tolerance)
{
    char *whole = xasprintf("%s_%s", name, pipelines[pipeline].name);
    double difference = golden_row(whole, GOLDEN_IMAGES, image, values, tolerance);
    free(whole);
    return difference;
}

/* `--device cuda` runs the tests of the network there, in fp32 as on the CPU. */
static const char *network_device = "cpu";

static inline void network_options(int argc, char **argv)
{
    backend_register(&cuda_host_driver);
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--device") == 0)
            network_device = argv[i + 1];
}

/* One thread: the maps are small, and on a busy machine threads that wait for each other take minutes. */
static inline Backend *network_backend(void)
{
    Err err = {0};
    Backend *be = backend_open(network_device, PREC_F32, 1, &err);
    assert_ok(be != NULL, err);
    return be;
}

#endif
