/* The shapes of the published models, op by op, as bench_ops times them: included by it alone. A part is what one image
 * needs of it: its rows, with their counts. To add a model: its rows, and its name in `parts`. */
#ifndef BENCH_OPS_SHAPES_H
#define BENCH_OPS_SHAPES_H

typedef enum Kind {
    CONV,
    GROUP_NORM,
    PIXEL_ATTENTION,
    TO_U8,
    LINEAR,
    RMS_NORM,
    SWIGLU,
    ROPE,
    ATTENTION,
    ARGMAX,
    NEAREST,
    PICK,
    RESIZE,
    POOL_3
} Kind;

enum { UP = 1, SUM = 2, SILU = 4, RELU = 8 };

/* a,b,c,d by kind: CONV side, c_in, c_out, kernel*10+kernel; norms side or rows, width; LINEAR rows, n, k. */
typedef struct Row {
    const char *part;
    Kind kind;
    int a, b, c, d, flags;
    int images;   /* images per call */
    double count; /* calls an image needs */
} Row;

static const Row rows[] = {
    {"decoder", CONV, 16, 8, 256, 11, 0, 1, 1},
    {"decoder", CONV, 16, 256, 512, 33, 0, 1, 1},
    {"decoder", CONV, 16, 512, 512, 33, 0, 1, 5},
    {"decoder", CONV, 16, 512, 512, 33, SUM, 1, 5},
    {"decoder", CONV, 16, 512, 512, 11, 0, 1, 16},
    {"decoder", CONV, 16, 512, 512, 33, UP, 1, 1},
    {"decoder", CONV, 32, 512, 256, 33, 0, 1, 1},
    {"decoder", CONV, 32, 512, 256, 11, 0, 1, 1},
    {"decoder", CONV, 32, 256, 256, 33, 0, 1, 2},
    {"decoder", CONV, 32, 256, 256, 33, SUM, 1, 3},
    {"decoder", CONV, 32, 256, 256, 33, UP, 1, 1},
    {"decoder", CONV, 64, 256, 256, 33, 0, 1, 3},
    {"decoder", CONV, 64, 256, 256, 33, SUM, 1, 3},
    {"decoder", CONV, 64, 256, 256, 33, UP, 1, 1},
    {"decoder", CONV, 128, 256, 128, 33, 0, 1, 1},
    {"decoder", CONV, 128, 256, 128, 11, 0, 1, 1},
    {"decoder", CONV, 128, 128, 128, 33, 0, 1, 2},
    {"decoder", CONV, 128, 128, 128, 33, SUM, 1, 3},
    {"decoder", CONV, 128, 128, 128, 33, UP, 1, 1},
    {"decoder", CONV, 256, 128, 128, 33, 0, 1, 3},
    {"decoder", CONV, 256, 128, 128, 33, SUM, 1, 3},
    {"decoder", CONV, 256, 128, 3, 33, 0, 1, 1},
    {"decoder", GROUP_NORM, 16, 512, 0, 0, SILU, 1, 14},
    {"decoder", GROUP_NORM, 32, 512, 0, 0, SILU, 1, 1},
    {"decoder", GROUP_NORM, 32, 256, 0, 0, SILU, 1, 5},
    {"decoder", GROUP_NORM, 64, 256, 0, 0, SILU, 1, 6},
    {"decoder", GROUP_NORM, 128, 256, 0, 0, SILU, 1, 1},
    {"decoder", GROUP_NORM, 128, 128, 0, 0, SILU, 1, 5},
    {"decoder", GROUP_NORM, 256, 128, 0, 0, SILU, 1, 7},
    {"decoder", PIXEL_ATTENTION, 16, 512, 0, 0, 0, 1, 4},
    {"decoder", TO_U8, 256, 0, 0, 0, 0, 1, 1},

    {"student-b", LINEAR, 256, 2304, 768, 0, 0, 1, 12},
    {"student-b", LINEAR, 256, 768, 768, 0, SUM, 1, 12},
    {"student-b", LINEAR, 256, 4096, 768, 0, 0, 1, 12},
    {"student-b", LINEAR, 256, 768, 2048, 0, SUM, 1, 12},
    {"student-b", RMS_NORM, 256, 768, 0, 0, 0, 1, 25},
    {"student-b", SWIGLU, 256, 2048, 0, 0, 0, 1, 12},
    {"student-b", ROPE, 256, 12, 0, 0, 0, 1, 12},
    {"student-b", ATTENTION, 256, 12, 256, 0, 0, 1, 12},
    {"student-b", ARGMAX, 80, 16384, 768, 0, 0, 1, 1},

    {"student-l", LINEAR, 256, 3072, 1024, 0, 0, 1, 24},
    {"student-l", LINEAR, 256, 1024, 1024, 0, SUM, 1, 24},
    {"student-l", LINEAR, 256, 5632, 1024, 0, 0, 1, 24},
    {"student-l", LINEAR, 256, 1024, 2816, 0, SUM, 1, 24},
    {"student-l", RMS_NORM, 256, 1024, 0, 0, 0, 1, 49},
    {"student-l", SWIGLU, 256, 2816, 0, 0, 0, 1, 24},
    {"student-l", ROPE, 256, 16, 0, 0, 0, 1, 24},
    {"student-l", ATTENTION, 256, 16, 256, 0, 0, 1, 24},
    {"student-l", ARGMAX, 130, 16384, 1024, 0, 0, 1, 1},

    /* 16 guided images, one token each at position 128; counts are for one token of one image */
    {"teacher-l", LINEAR, 32, 3072, 1024, 0, 0, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 32, 1024, 1024, 0, SUM, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 32, 5632, 1024, 0, 0, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 32, 1024, 2816, 0, SUM, 16, 24 / 16.0},
    {"teacher-l", LINEAR, 16, 16384, 1024, 0, 0, 16, 1 / 16.0},
    {"teacher-l", ATTENTION, 1, 16, 256, 128, 0, 32, 24 / 16.0},
    {"teacher-l", PICK, 16, 16384, 0, 0, 0, 16, 1 / 16.0},

    {"codes", NEAREST, 256, 16384, 8, 0, 0, 1, 1},

    {"features", RESIZE, 256, 0, 0, 0, 0, 1, 1},
    {"features", CONV, 299, 3, 32, 33, RELU, 1, 1},
    {"features", CONV, 149, 32, 32, 33, RELU, 1, 1},
    {"features", CONV, 147, 32, 64, 33, RELU, 1, 1},
    {"features", CONV, 73, 80, 192, 33, RELU, 1, 1},
    {"features", CONV, 35, 192, 64, 11, RELU, 1, 9},
    {"features", CONV, 35, 48, 64, 55, RELU, 1, 3},
    {"features", CONV, 35, 96, 96, 33, RELU, 1, 7},
    {"features", CONV, 17, 768, 192, 11, RELU, 1, 12},
    {"features", CONV, 17, 160, 160, 17, RELU, 1, 12},
    {"features", CONV, 17, 160, 192, 71, RELU, 1, 12},
    {"features", CONV, 8, 1280, 448, 11, RELU, 1, 8},
    {"features", CONV, 8, 448, 384, 33, RELU, 1, 2},
    {"features", CONV, 8, 384, 384, 13, RELU, 1, 8},
    {"features", POOL_3, 35, 288, 0, 0, 0, 1, 3},
};

static const char *const parts[] = {"decoder", "student-b", "student-l", "teacher-l", "codes", "features"};

#endif
