/* The part of OpenSSL's one-call digests that ddq uses. See bare/README.md. */
#ifndef BARE_SHA_H
#define BARE_SHA_H

#include <stddef.h>

#define SHA256_DIGEST_LENGTH 32

unsigned char *SHA256(const unsigned char *data, size_t size, unsigned char *digest); /* digest [32], not NULL */

#endif
