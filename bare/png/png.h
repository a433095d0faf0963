/* The part of libpng that ddq uses: reading. See bare/README.md. */
#ifndef BARE_PNG_H
#define BARE_PNG_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#define PNG_LIBPNG_VER_STRING     "1.6.39"
#define PNG_UINT_31_MAX           0x7fffffffL
#define PNG_HANDLE_CHUNK_NEVER    1
#define PNG_COLOR_TYPE_GRAY       0
#define PNG_COLOR_TYPE_RGB        2
#define PNG_COLOR_TYPE_PALETTE    3
#define PNG_COLOR_TYPE_GRAY_ALPHA 4
#define PNG_COLOR_TYPE_RGB_ALPHA  6

typedef struct png_struct_def png_struct, *png_structp, **png_structpp;
typedef struct png_info_def png_info, *png_infop, **png_infopp;
typedef unsigned char png_byte, *png_bytep, **png_bytepp;
typedef const unsigned char *png_const_bytep;
typedef const char *png_const_charp;
typedef uint32_t png_uint_32;
typedef void *png_voidp;
typedef void (*png_error_ptr)(png_structp, png_const_charp);
typedef void (*png_rw_ptr)(png_structp, png_bytep, size_t);
typedef void (*png_longjmp_ptr)(jmp_buf, int);

int png_sig_cmp(png_const_bytep bytes, size_t start, size_t count); /* 0: a PNG */
png_structp png_create_read_struct(png_const_charp version, png_voidp error_ctx, png_error_ptr on_error,
                                   png_error_ptr on_warning);
png_infop png_create_info_struct(png_structp png);
void png_destroy_read_struct(png_structpp png, png_infopp info, png_infopp end);
png_voidp png_get_error_ptr(const png_struct *png);
void png_error(png_structp png, png_const_charp text) __attribute__((noreturn));
jmp_buf *png_set_longjmp_fn(png_structp png, png_longjmp_ptr jump, size_t size);
#define png_jmpbuf(png) (*png_set_longjmp_fn((png), longjmp, sizeof(jmp_buf)))
void png_longjmp(const png_struct *png, int value) __attribute__((noreturn));
void png_set_read_fn(png_structp png, png_voidp ctx, png_rw_ptr read);
png_voidp png_get_io_ptr(const png_struct *png);
void png_set_user_limits(png_structp png, png_uint_32 width, png_uint_32 height);
void png_set_keep_unknown_chunks(png_structp png, int keep, png_const_bytep names, int count);

void png_read_info(png_structp png, png_infop info);
png_uint_32 png_get_image_width(const png_struct *png, const png_info *info);
png_uint_32 png_get_image_height(const png_struct *png, const png_info *info);
png_byte png_get_color_type(const png_struct *png, const png_info *info);
/* Of the file's rows before png_read_update_info, of the rows handed out after it. */
size_t png_get_rowbytes(const png_struct *png, const png_info *info);
/* What ddq wants always: 8-bit RGB. Each is remembered as asked for; png_read_update_info insists on all of them. */
void png_set_expand(png_structp png);
void png_set_strip_16(png_structp png);
void png_set_strip_alpha(png_structp png);
void png_set_gray_to_rgb(png_structp png);
int png_set_interlace_handling(png_structp png);
void png_read_update_info(png_structp png, png_infop info);
void png_read_image(png_structp png, png_bytepp rows);
void png_read_end(png_structp png, png_infop info);

#endif
