/* What the readers of image files and the kinds of sources share. */
#include "worker/images/parts.h"

#include <string.h>
#include <strings.h>

#include "core/json.h"

bool image_size_check(const char *name, int64_t width, int64_t height, Err *err)
{
    if (width >= 1 && height >= 1 && width <= IMAGE_MAX_SIDE && height <= IMAGE_MAX_SIDE &&
        width * height <= IMAGE_MAX_PIXELS)
        return true;
    return err_set(err, ERR_FORMAT, "image %s: %lldx%lld pixels; a side may be 1 to %d and the area at most %d", name,
                   (long long)width, (long long)height, IMAGE_MAX_SIDE, IMAGE_MAX_PIXELS);
}

bool image_has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

bool image_has_image_suffix(const char *name)
{
    static const char *const suffixes[] = {".png",  ".jpg", ".jpeg", ".webp", ".bmp", ".tif",
                                           ".tiff", ".ppm", ".pgm",  ".pbm",  ".pnm"};
    for (size_t i = 0; i < countof(suffixes); i++)
        if (image_has_suffix(name, suffixes[i]))
            return true;
    return false;
}

static uint8_t times(uint8_t a, uint8_t b) /* a * b / 255, rounded as Pillow rounds */
{
    int product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

void image_ink_to_rgb(const uint8_t *cmyk, uint8_t *rgb)
{
    const uint8_t white = (uint8_t)(255 - cmyk[3]);
    for (int c = 0; c < 3; c++) {
        int value = white - times(cmyk[c], white);
        rgb[c] = (uint8_t)(value < 0 ? 0 : value);
    }
}

/* --- traits ----------------------------------------------------------------------------------------- */

void image_tally_add(ImageTally *tally, unsigned traits)
{
    tally->jpegs += (traits & IMAGE_JPEG) != 0;
    tally->webps += (traits & IMAGE_LOSSY_WEBP) != 0;
    tally->greys += (traits & IMAGE_GREY16) != 0;
}

void image_tally_sum(ImageTally *tally, const ImageTally *more)
{
    tally->jpegs += more->jpegs;
    tally->webps += more->webps;
    tally->greys += more->greys;
}

cJSON *image_tally_json(const ImageTally *tally)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "jpegs", (double)tally->jpegs);
    cJSON_AddNumberToObject(json, "webps", (double)tally->webps);
    cJSON_AddNumberToObject(json, "greys", (double)tally->greys);
    return json;
}

bool image_tally_read(ImageTally *tally, const cJSON *json)
{
    const ImageTally more = {(int64_t)json_number(json, "jpegs", -1), (int64_t)json_number(json, "webps", -1),
                             (int64_t)json_number(json, "greys", -1)};
    if (more.jpegs < 0 || more.webps < 0 || more.greys < 0)
        return false;
    image_tally_sum(tally, &more);
    return true;
}

char *image_tally_caveat(const ImageTally *tally, int64_t images)
{
    Buf text = {0};
    const int64_t lossy = tally->jpegs + tally->webps;
    if (lossy)
        buf_printf(&text, "%lld of the %lld images are %s%s%s files: %s compression changes the FID", (long long)lossy,
                   (long long)images, tally->jpegs ? "JPEG" : "", tally->jpegs && tally->webps ? " or " : "",
                   tally->webps ? "lossy WebP" : "", tally->webps ? "lossy" : "JPEG");
    if (tally->greys)
        buf_printf(
            &text,
            "%s%lld of the %lld images are grey with 16 bits: ddq takes the high byte of each pixel, Pillow (and "
            "so pytorch-fid) clips it at 255, and the FID is another one; convert them to 8 bits",
            text.len ? "; " : "", (long long)tally->greys, (long long)images);
    return text.data;
}
