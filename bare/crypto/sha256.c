/* SHA-256 (FIPS 180-4). The constants are the first 32 bits of the fractional parts of cube and square roots of the
 * first primes, computed here rather than listed. */
#include <math.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64, ROUNDS = 64 };

struct evp_md_ctx_st {
    uint32_t state[8], k[ROUNDS];
    uint64_t size;
    unsigned char block[BLOCK];
};

const EVP_MD *EVP_sha256(void)
{
    return NULL; /* there is no other */
}

EVP_MD_CTX *EVP_MD_CTX_new(void)
{
    return calloc(1, sizeof(EVP_MD_CTX));
}

void EVP_MD_CTX_free(EVP_MD_CTX *ctx)
{
    free(ctx);
}

static uint32_t fraction(long double root)
{
    return (uint32_t)((root - floorl(root)) * 4294967296.0L);
}

int EVP_DigestInit_ex(EVP_MD_CTX *ctx, const EVP_MD *type, ENGINE *engine)
{
    (void)type, (void)engine;
    int found = 0;
    for (int n = 2; found < ROUNDS; n++) {
        int prime = 1;
        for (int d = 2; d * d <= n; d++)
            prime = prime && n % d != 0;
        if (!prime)
            continue;
        if (found < 8)
            ctx->state[found] = fraction(sqrtl((long double)n));
        ctx->k[found++] = fraction(cbrtl((long double)n));
    }
    ctx->size = 0;
    return 1;
}

static uint32_t turn(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void add_block(EVP_MD_CTX *ctx, const unsigned char *p)
{
    uint32_t w[ROUNDS], s[8];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < ROUNDS; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) + w[i - 7] + (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    memcpy(s, ctx->state, sizeof s);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]), most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
        uint32_t t1 = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) + choice + ctx->k[i] + w[i];
        uint32_t t2 = (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + most;
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        ctx->state[i] += s[i];
}

int EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *data, size_t size)
{
    const unsigned char *p = data;
    size_t held = ctx->size % BLOCK;
    ctx->size += size;
    if (held + size < BLOCK) {
        if (size)
            memcpy(ctx->block + held, p, size);
        return 1;
    }
    if (held) {
        memcpy(ctx->block + held, p, BLOCK - held);
        add_block(ctx, ctx->block);
        p += BLOCK - held;
        size -= BLOCK - held;
    }
    for (; size >= BLOCK; p += BLOCK, size -= BLOCK)
        add_block(ctx, p);
    if (size)
        memcpy(ctx->block, p, size);
    return 1;
}

int EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *digest, unsigned int *ret_size)
{
    uint64_t bits = ctx->size * 8;
    unsigned char end[2 * BLOCK] = {0x80};
    size_t held = ctx->size % BLOCK, size = (held < 56 ? 56 : 120) - held;
    for (int i = 0; i < 8; i++)
        end[size + (size_t)i] = (unsigned char)(bits >> (56 - 8 * i));
    EVP_DigestUpdate(ctx, end, size + 8);
    for (int i = 0; i < 32; i++)
        digest[i] = (unsigned char)(ctx->state[i / 4] >> (24 - i % 4 * 8));
    if (ret_size)
        *ret_size = 32;
    return 1;
}

unsigned char *SHA256(const unsigned char *data, size_t size, unsigned char *digest)
{
    EVP_MD_CTX ctx;
    EVP_DigestInit_ex(&ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(&ctx, data, size);
    EVP_DigestFinal_ex(&ctx, digest, NULL);
    return digest;
}
