/* Philox 4x32-10: ten rounds of two 32x32->64 products and a key bump, then Box-Muller or plain uniforms.
 *
 * The counter is {block, stream, index low, index high} and the key {seed low, seed high}: two streams, two images or
 * two seeds never share a block, and block k of a stream holds its values 4k..4k+3. To add a stream, append it to
 * NoiseStream: the numbers of the others stay as they are. */
#include "core/philox.h"

#include <math.h>

enum { ROUNDS = 10 };

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t ret_words[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    ret_words[0] = c0, ret_words[1] = c1, ret_words[2] = c2, ret_words[3] = c3;
}

static void block_words(uint64_t seed, uint64_t index, NoiseStream stream, uint32_t block, uint32_t ret_words[4])
{
    const uint32_t counter[4] = {block, (uint32_t)stream, (uint32_t)index, (uint32_t)(index >> 32)};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    philox4x32(counter, key, ret_words);
}

/* Two words to two normals. The first uniform is in (0,1], so its logarithm is finite. */
static void box_muller(uint32_t a, uint32_t b, double ret_pair[2])
{
    double radius = sqrt(-2 * log(((double)a + 1) * 0x1p-32));
    double angle = 2 * 3.14159265358979323846 * ((double)b * 0x1p-32);
    ret_pair[0] = radius * cos(angle);
    ret_pair[1] = radius * sin(angle);
}

void noise_normal(uint64_t seed, uint64_t index, float *ret_values, int count)
{
    for (int i = 0; i < count; i += 4) {
        uint32_t words[4];
        double normals[4];
        block_words(seed, index, STREAM_LATENT, (uint32_t)i / 4, words);
        box_muller(words[0], words[1], normals);
        box_muller(words[2], words[3], normals + 2);
        for (int j = 0; j < 4 && i + j < count; j++)
            ret_values[i + j] = (float)normals[j];
    }
}

void noise_uniform(uint64_t seed, uint64_t index, float *ret_values, int count)
{
    for (int i = 0; i < count; i += 4) {
        uint32_t words[4];
        block_words(seed, index, STREAM_UNIFORM, (uint32_t)i / 4, words);
        for (int j = 0; j < 4 && i + j < count; j++)
            ret_values[i + j] = (float)(words[j] >> 8) * 0x1p-24f;
    }
}

int32_t noise_label(uint64_t seed, uint64_t index, int classes)
{
    uint32_t words[4];
    block_words(seed, index, STREAM_LABEL, 0, words);
    uint64_t draw = (uint64_t)words[1] << 32 | words[0]; /* the high half of draw * classes, in two 32-bit steps */
    uint64_t n = (uint64_t)classes;
    return (int32_t)(((draw >> 32) * n + ((draw & 0xffffffffu) * n >> 32)) >> 32);
}
