/* Golden files for the tests of the evaluator: arrays as doubles, JSON by name, comparisons that print both values. */
#ifndef TESTS_GOLDEN_ARRAYS_H
#define TESTS_GOLDEN_ARRAYS_H

#include <cjson/cJSON.h>
#include <math.h>

#include "tests/procedural.h"
#include "tests/test.h"
#include "worker/arrays/npy.h"
#include "worker/metrics/statistics.h"

#define INCEPTION_GOLDEN(path) GOLDEN("inception/" path)

/* --- files --------------------------------------------------------------------------------------- */

static inline cJSON *golden_json(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s is missing", path);
    fseek(file, 0, SEEK_END);
    long size = ftell(file);
    rewind(file);
    char *text = xcalloc(1, (size_t)size + 1);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    free(text);
    return json;
}

static inline const cJSON *golden_get(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!item)
        fail_msg("the golden file has no %s", name);
    return item;
}

static inline double golden_number(const cJSON *object, const char *name)
{
    return golden_get(object, name)->valuedouble;
}

static inline NpyArray golden_npy(const char *path)
{
    Err err = {0};
    NpyArray array;
    assert_ok(npy_open(path, &array, &err), err);
    return array;
}

static inline double npy_at(const NpyArray *array, int64_t i)
{
    return array->dtype == DTYPE_F64 ? ((const double *)array->data)[i] : (double)((const float *)array->data)[i];
}

static inline int64_t npy_count(const NpyArray *array)
{
    int64_t count = 1;
    for (int i = 0; i < array->ndim; i++)
        count *= array->shape[i];
    return count;
}

static inline void assert_near(double value, double wanted, double tolerance, const char *what, long long index)
{
    if (!(fabs(value - wanted) <= tolerance))
        fail_msg("%s [%lld]: %.12g, wanted %.12g, off by %.3g of %.3g allowed", what, index, value, wanted,
                 fabs(value - wanted), tolerance);
}

#endif
