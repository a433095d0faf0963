/* One OpTest an op, named after it: in op_rows.c and op_maps.c. A missing one is a link error. */
#ifndef TESTS_OPS_OP_TESTS_H
#define TESTS_OPS_OP_TESTS_H

#include "tests/ops/rig.h"

#define DECLARE_TEST(name) extern const OpTest name##_test;
BACKEND_OPS(DECLARE_TEST)
#undef DECLARE_TEST

/* The last number of a convolution's row. */
enum { BIAS = 1, RESIDUAL = 2, RELU = 4, UPSAMPLE = 8, IN_PLACE = 16, OTHER_HINT = 32 };

#endif
