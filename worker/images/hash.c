/* Names for images and sets of images by what they show. */
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "worker/images/parts.h"

void image_hash(const Image *image, uint8_t ret_hash[IMAGE_HASH])
{
    char size[48];
    int len = snprintf(size, sizeof size, "%d %d\n", image->height, image->width);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    EVP_DigestUpdate(ctx, size, (size_t)len);
    EVP_DigestUpdate(ctx, image->rgb, (size_t)image->height * (size_t)image->width * 3);
    EVP_DigestFinal_ex(ctx, ret_hash, NULL);
    EVP_MD_CTX_free(ctx);
}

void image_set_hash(const uint8_t *hashes, int64_t count, char ret_hex[65])
{
    static const uint8_t none[IMAGE_HASH];
    uint8_t all[IMAGE_HASH];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    for (int64_t i = 0; i < count; i++)
        if (memcmp(hashes + i * IMAGE_HASH, none, IMAGE_HASH) != 0)
            EVP_DigestUpdate(ctx, hashes + i * IMAGE_HASH, IMAGE_HASH);
    EVP_DigestFinal_ex(ctx, all, NULL);
    EVP_MD_CTX_free(ctx);
    for (int i = 0; i < IMAGE_HASH; i++)
        snprintf(ret_hex + 2 * i, 3, "%02x", all[i]);
}
