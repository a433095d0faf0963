/* The part of ISA-L's checksums that ddq uses. See bare/README.md. */
#ifndef BARE_CRC_H
#define BARE_CRC_H

#include <stdint.h>

uint32_t crc32_gzip_refl(uint32_t crc, const unsigned char *data, uint64_t size); /* as zlib's crc32 */

#endif
