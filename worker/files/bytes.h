/* Little-endian numbers at any address, as file formats have them. */
#ifndef WORKER_FILES_BYTES_H
#define WORKER_FILES_BYTES_H

#include <stdint.h>

static inline uint64_t bytes_get(const uint8_t *at, int width)
{
    uint64_t value = 0;
    for (int i = width; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

static inline void bytes_put(uint8_t *at, int width, uint64_t value)
{
    for (int i = 0; i < width; i++, value >>= 8)
        at[i] = (uint8_t)value;
}

#endif
