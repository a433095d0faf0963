/* Halves on a machine that need not have instructions for them. */
#include "kernels/cuda/host/types.h"

#include <math.h>

/* To nearest, ties to even: the magic addition rounds the mantissa in the float's own adder. */
__half __float2half_rn(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    uint32_t sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u)
        return {0x7fff};
    if (rest >= 0x477ff000u) /* 65520 and more round to infinity */
        return {static_cast<uint16_t>(sign | 0x7c00u)};
    if (rest < 0x38800000u) { /* below 2^-14: in units of 2^-24, the last place of a subnormal */
        float units = fabsf(x) * 16777216.0f;
        return {static_cast<uint16_t>(sign | static_cast<uint32_t>(nearbyintf(units)))};
    }
    rest += 0xfffu + (rest >> 13 & 1u);
    return {static_cast<uint16_t>(sign | ((rest - 0x38000000u) >> 13))};
}

static float half_value(uint32_t bits)
{
    uint32_t exponent = bits >> 10 & 31u, mantissa = bits & 1023u;
    float size = exponent == 31 ? (mantissa ? NAN : INFINITY)
                 : exponent     ? ldexpf(static_cast<float>(1024 + mantissa), static_cast<int>(exponent) - 25)
                                : ldexpf(static_cast<float>(mantissa), -24);
    return bits & 0x8000u ? -size : size;
}

static const float *fill_halves()
{
    static float values[65536];
    for (uint32_t i = 0; i < 65536; i++)
        values[i] = half_value(i);
    return values;
}

const float *const gpu_host_halves = fill_halves();
