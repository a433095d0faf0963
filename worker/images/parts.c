/* What the readers of image files and the kinds of sources share. */
#include "worker/images/parts.h"

#include <string.h>
#include <strings.h>

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
