/* The published recipes as the benchmarks run them, and the lower bound of the time on the hardware: the fewest
 * floating-point operations that give the same result, at the measured peak. */
#ifndef BENCH_RECIPES_H
#define BENCH_RECIPES_H

typedef struct BenchRecipe {
    const char *name;
    int size; /* SIZE_B, SIZE_L */
    int t_count, t_list[2], split_t, teacher_start_t;
    double floor_cpu;  /* seconds an image on two Zen 4 cores, fp32 */
    double floor_h200; /* images a second at 16 bits, 790 TFLOP/s */
} BenchRecipe;

static const BenchRecipe BENCH_RECIPES[] = {
    {"b-1step", 0, 1, {0}, 80, -1, 0.69, 2782},          {"b-2step", 0, 2, {0, 80}, 80, -1, 0.75, 2636},
    {"l-1step", 1, 1, {0}, 130, -1, 1.23, 1900},         {"l-2step", 1, 2, {0, 80}, 130, -1, 1.44, 1675},
    {"l-teacher-22", 1, 2, {0, 80}, 180, 60, 1.7, 1302}, {"l-teacher-42", 1, 2, {0, 80}, 180, 40, 1.7, 1254},
    {"l-teacher-81", 1, 2, {0, 80}, 220, 0, 1.8, 1246},
};

#endif
