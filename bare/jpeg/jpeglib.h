/* The part of libjpeg that ddq names. There is no decoder behind it: every JPEG is refused with a sentence. See
 * bare/README.md. */
#ifndef BARE_JPEGLIB_H
#define BARE_JPEGLIB_H

#include <stddef.h>

typedef int boolean;
#define TRUE            1
#define JMSG_LENGTH_MAX 200

typedef enum { JCS_UNKNOWN, JCS_GRAYSCALE, JCS_RGB, JCS_YCbCr, JCS_CMYK } J_COLOR_SPACE;
typedef struct jpeg_common_struct *j_common_ptr;
typedef struct jpeg_decompress_struct *j_decompress_ptr;

struct jpeg_error_mgr { /* begins as libjpeg's does */
    void (*error_exit)(j_common_ptr jpeg);
    void (*emit_message)(j_common_ptr jpeg, int level);
    void (*output_message)(j_common_ptr jpeg);
    void (*format_message)(j_common_ptr jpeg, char *buffer);
    void (*reset_error_mgr)(j_common_ptr jpeg);
    int msg_code;
};

struct jpeg_progress_mgr {
    void (*progress_monitor)(j_common_ptr jpeg);
};

#define BARE_JPEG_COMMON                                                                                               \
    struct jpeg_error_mgr *err;                                                                                        \
    void *mem;                                                                                                         \
    struct jpeg_progress_mgr *progress;                                                                                \
    void *client_data;                                                                                                 \
    boolean is_decompressor;                                                                                           \
    int global_state

struct jpeg_common_struct {
    BARE_JPEG_COMMON;
};

struct jpeg_decompress_struct {
    BARE_JPEG_COMMON;
    unsigned image_width, image_height;
    int num_components, input_scan_number;
    J_COLOR_SPACE out_color_space;
    boolean arith_code;
};

struct jpeg_error_mgr *jpeg_std_error(struct jpeg_error_mgr *errors);
void jpeg_CreateDecompress(j_decompress_ptr jpeg, int version, size_t size);
#define jpeg_create_decompress(jpeg) jpeg_CreateDecompress((jpeg), 62, sizeof(struct jpeg_decompress_struct))
void jpeg_mem_src(j_decompress_ptr jpeg, const unsigned char *data, unsigned long size);
int jpeg_read_header(j_decompress_ptr jpeg, boolean wants_image); /* leaves by error_exit */
boolean jpeg_start_decompress(j_decompress_ptr jpeg);
unsigned jpeg_read_scanlines(j_decompress_ptr jpeg, unsigned char **rows, unsigned count);
boolean jpeg_finish_decompress(j_decompress_ptr jpeg);
void jpeg_destroy_decompress(j_decompress_ptr jpeg);

#endif
