/* WebP in, as 8-bit RGB: the colours of libwebp, alpha dropped; of an animation the first frame on its canvas, as
 * Pillow reads it. The only file that includes libwebp. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "worker/images/parts.h"

static const char *status_text(VP8StatusCode status)
{
    static const char *const texts[] = {
        "",          "no memory", "invalid parameter",      "its bytes are no WebP", "an unsupported feature",
        "suspended", "stopped",   "the file ends too early"};
    return (size_t)status < countof(texts) ? texts[status] : "unknown";
}

static bool decode_still(const uint8_t *data, size_t size, const char *name, Image *image, Err *err)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return err_set(err, ERR_INTERNAL, "image %s: libwebp is another version than it was built with", name);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = image->rgb;
    config.output.u.RGBA.stride = 3 * image->width;
    config.output.u.RGBA.size = (size_t)image->width * (size_t)image->height * 3;
    VP8StatusCode status = WebPDecode(data, size, &config);
    WebPFreeDecBuffer(&config.output);
    return status == VP8_STATUS_OK || err_set(err, ERR_FORMAT, "image %s: damaged WebP: %s", name, status_text(status));
}

static bool decode_first_frame(const uint8_t *data, size_t size, const char *name, Image *image, Err *err)
{
    WebPData file = {data, size};
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&file, NULL);
    WebPAnimInfo info;
    uint8_t *canvas = NULL;
    int time = 0;
    bool good = decoder && WebPAnimDecoderGetInfo(decoder, &info) && info.canvas_width == (uint32_t)image->width &&
                info.canvas_height == (uint32_t)image->height && WebPAnimDecoderGetNext(decoder, &canvas, &time);
    for (size_t i = 0; good && i < (size_t)image->width * (size_t)image->height; i++)
        memcpy(image->rgb + 3 * i, canvas + 4 * i, 3);
    WebPAnimDecoderDelete(decoder);
    return good || err_set(err, ERR_FORMAT, "image %s: damaged WebP: its first frame cannot be read", name);
}

bool image_decode_webp(const uint8_t *data, size_t size, const char *name, Image *ret_image, Err *err)
{
    WebPBitstreamFeatures features;
    VP8StatusCode status = WebPGetFeatures(data, size, &features);
    if (status != VP8_STATUS_OK)
        return err_set(err, ERR_FORMAT, "image %s: damaged WebP: %s", name, status_text(status));
    if (!image_size_check(name, features.width, features.height, err))
        return false;
    enum { LOSSLESS = 2 };
    Image image = {features.width, features.height, NULL, features.format == LOSSLESS ? 0 : IMAGE_LOSSY_WEBP};
    image.rgb = malloc((size_t)image.width * (size_t)image.height * 3);
    bool good =
        image.rgb || err_set(err, ERR_MEMORY, "image %s: no memory for %dx%d pixels", name, image.width, image.height);
    good = good && (features.has_animation ? decode_first_frame(data, size, name, &image, err)
                                           : decode_still(data, size, name, &image, err));
    if (good)
        *ret_image = image;
    else
        image_free(&image);
    return good;
}
