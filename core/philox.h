/* Randomness by image index: Philox 4x32-10 (Salmon et al., SC'11) keyed by the seed, counted by (image, stream,
 * block). So image i gets the same numbers whatever batch, device or restart it meets. Host only: the same bits on any
 * backend. */
#ifndef CORE_PHILOX_H
#define CORE_PHILOX_H

#include <stdint.h>

typedef enum NoiseStream { STREAM_LATENT, STREAM_UNIFORM, STREAM_LABEL } NoiseStream;

/* Four 32-bit words for one counter; exported for its known-answer test. */
void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_words[4]);

/* count standard normals of image `index` (Box-Muller on 32-bit uniforms, in double, stored float). */
void noise_normal(uint64_t seed, uint64_t index, float *ret_values, int count);

/* count uniforms in [0,1), 24 bits. */
void noise_uniform(uint64_t seed, uint64_t index, float *ret_values, int count);

/* The label of image `index`: uniform over 0..classes-1 without modulo bias beyond 2^-64. */
int32_t noise_label(uint64_t seed, uint64_t index, int classes);

#endif
