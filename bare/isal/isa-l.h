/* The part of ISA-L that ddq uses. See bare/README.md. */
#ifndef BARE_ISAL_H
#define BARE_ISAL_H

#include <stdint.h>

#include "isa-l/crc.h"

#define COMP_OK               0
#define STATELESS_OVERFLOW    (-1)
#define IGZIP_DEFLATE         0
#define IGZIP_ZLIB            3
#define ISAL_DEF_LVL3_DEFAULT 1

enum isal_zstate_state { ZSTATE_NEW_HDR, ZSTATE_END = 11 };

struct isal_zstate {
    uint32_t unused[5];
    enum isal_zstate_state state;
};

struct isal_zstream {
    uint8_t *next_in;
    uint32_t avail_in, total_in;
    uint8_t *next_out;
    uint32_t avail_out, total_out;
    void *hufftables;
    uint32_t level, level_buf_size;
    uint8_t *level_buf;
    uint16_t end_of_stream, flush, gzip_flag, hist_bits;
    struct isal_zstate internal_state;
};

void isal_deflate_init(struct isal_zstream *z);
/* All input at once, end_of_stream set: the whole stream, or STATELESS_OVERFLOW where it does not fit. */
int isal_deflate(struct isal_zstream *z);

#endif
