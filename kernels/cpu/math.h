/* Scalar mathematics that compilers turn into vector code: no branches, no calls, no tables. */
#ifndef KERNELS_CPU_MATH_H
#define KERNELS_CPU_MATH_H

#include <stdint.h>
#include <string.h>

/* The ends of exp_f32's range, -87.3 and 88.7. In another file on purpose: a compiler that knows them splits the loop
 * into cases, computes all of them, and meets subnormal quotients, which are ten times slower. */
extern const float exp_least, exp_most;

/* e^x within 2 ulp for -87.3 <= x <= 88.7; beyond, the value at that end (1.2e-38, 3.4e38), never 0 or infinity. NaN
 * stays NaN. x = n ln 2 + r with |r| <= ln 2 / 2, e^r by a minimax polynomial of degree 6 (3e-9), then n is added to
 * the exponent bits; rounding to n by the 1.5 * 2^23 trick leaves n in the low bits of z. */
static inline float exp_f32(float x)
{
    x = x < exp_least ? exp_least : x;
    x = x > exp_most ? exp_most : x;
    float z = x * 0x1.715476p+0f + 0x1.8p+23f;
    float n = z - 0x1.8p+23f;
    float r = x - n * 0x1.63p-1f; /* ln 2, the upper 9 bits: n times this is exact */
    r = r + n * 0x1.bd0106p-13f;  /* and what is missing of it */
    float p = 0x1.6a23dp-10f;
    p = p * r + 0x1.123a2p-7f;
    p = p * r + 0x1.5558f2p-5f;
    p = p * r + 0x1.555492p-3f;
    p = p * r + 0x1.fffffcp-2f;
    p = p * (r * r) + r + 1.0f;
    uint32_t bits, exponent;
    memcpy(&bits, &p, sizeof(bits));
    memcpy(&exponent, &z, sizeof(exponent));
    bits += exponent << 23;
    memcpy(&p, &bits, sizeof(p));
    return p;
}

static inline float silu_f32(float x)
{
    return x / (1.0f + exp_f32(-x));
}

#endif
