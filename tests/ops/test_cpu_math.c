/* The CPU backend's own exponential over its whole range, in units of the last place. */
#include "tests/test.h"

#include <math.h>

#include "kernels/cpu/math.h"

static double ulps(float got, double want)
{
    return fabs(got - want) / (double)(nextafterf((float)want, INFINITY) - (float)want);
}

static void test_exp(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = -87.2; x < 88.7; x += 0.0001237)
        worst = fmax(worst, ulps(exp_f32((float)x), exp((double)(float)x)));
    for (float x = 1e-30f; x < 1; x *= 1.37f)
        worst = fmax(worst, fmax(ulps(exp_f32(x), exp((double)x)), ulps(exp_f32(-x), exp(-(double)x))));
    printf("         exp: at most %.2f ulp\n", worst);
    assert_true(worst <= 2);
}

static void test_exp_ends(void **state)
{
    (void)state;
    assert_true(exp_f32(0) == 1);
    assert_true(exp_f32(-1000) > 0 && exp_f32(-1000) < 2e-38f);
    assert_true(exp_f32(-INFINITY) < 2e-38f);
    assert_true(exp_f32(1000) > 3e38f && isfinite(exp_f32(1000)));
    assert_true(isnan(exp_f32(NAN)));
}

static void test_silu(void **state)
{
    (void)state;
    double worst = 0;
    for (double x = -80; x < 80; x += 0.001013)
        worst = fmax(worst, ulps(silu_f32((float)x), (float)x / (1 + exp(-(double)(float)x))));
    printf("         silu: at most %.2f ulp\n", worst);
    assert_true(worst <= 4); /* exp 2, the sum 1/2, the quotient 1/2, and room for one more */
    assert_true(fabsf(silu_f32(-1000)) < 1e-34f && silu_f32(1000) == 1000 && isnan(silu_f32(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_exp), cmocka_unit_test(test_exp_ends),
                                       cmocka_unit_test(test_silu)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
