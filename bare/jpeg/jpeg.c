/* libjpeg without a decoder: a bare machine measures PNGs and arrays, and says so where it meets a JPEG. */
#include <stdlib.h>
#include <string.h>

#include "jpeglib.h"

static void format_message(j_common_ptr jpeg, char *buffer)
{
    (void)jpeg;
    strcpy(buffer, "this worker was built without libjpeg; convert the images to PNG, or build it with libjpeg");
}

struct jpeg_error_mgr *jpeg_std_error(struct jpeg_error_mgr *errors)
{
    errors->format_message = format_message;
    return errors;
}

void jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size)
{
    (void)version;
    struct jpeg_error_mgr *errors = jpeg->err;
    void *ctx = jpeg->client_data;
    memset(jpeg, 0, size);
    jpeg->err = errors;
    jpeg->client_data = ctx;
}

void jpeg_mem_src(j_decompress_ptr jpeg, const unsigned char *data, unsigned long size)
{
    (void)jpeg, (void)data, (void)size;
}

int jpeg_read_header(j_decompress_ptr jpeg, boolean wants_image)
{
    (void)wants_image;
    jpeg->err->error_exit((j_common_ptr)jpeg);
    abort(); /* error_exit does not come back */
}

boolean jpeg_start_decompress(j_decompress_ptr jpeg)
{
    return jpeg_read_header(jpeg, TRUE);
}

unsigned jpeg_read_scanlines(j_decompress_ptr jpeg, unsigned char **rows, unsigned count)
{
    (void)rows, (void)count;
    return (unsigned)jpeg_read_header(jpeg, TRUE);
}

boolean jpeg_finish_decompress(j_decompress_ptr jpeg)
{
    return jpeg_read_header(jpeg, TRUE);
}

void jpeg_destroy_decompress(j_decompress_ptr jpeg)
{
    (void)jpeg;
}
