/* The part of zlib that ddq uses; the struct is laid out as in the package. See bare/README.md. */
#ifndef BARE_ZLIB_H
#define BARE_ZLIB_H

typedef unsigned char Byte, Bytef;
typedef unsigned int uInt;
typedef unsigned long uLong;
typedef void *voidpf;

struct internal_state;

typedef struct z_stream_s {
    const Bytef *next_in;
    uInt avail_in;
    uLong total_in;
    Bytef *next_out;
    uInt avail_out;
    uLong total_out;
    const char *msg;
    struct internal_state *state;
    voidpf (*zalloc)(voidpf, uInt, uInt);
    void (*zfree)(voidpf, voidpf);
    voidpf opaque;
    int data_type;
    uLong adler, reserved;
} z_stream;

#define MAX_WBITS      15
#define Z_NO_FLUSH     0
#define Z_FINISH       4
#define Z_OK           0
#define Z_STREAM_END   1
#define Z_NEED_DICT    2
#define Z_STREAM_ERROR (-2)
#define Z_DATA_ERROR   (-3)
#define Z_MEM_ERROR    (-4)
#define Z_BUF_ERROR    (-5)
#define ZLIB_VERSION   "1.2.13"

/* bits: 15 for a zlib stream, -15 for a raw one. */
int inflateInit2_(z_stream *z, int bits, const char *version, int size);
#define inflateInit2(z, bits) inflateInit2_((z), (bits), ZLIB_VERSION, (int)sizeof(z_stream))
#define inflateInit(z)        inflateInit2((z), MAX_WBITS)
/* Z_OK with what there was; Z_STREAM_END at the end; Z_BUF_ERROR: no progress without more input or more room. */
int inflate(z_stream *z, int flush);
int inflateEnd(z_stream *z);

#endif
