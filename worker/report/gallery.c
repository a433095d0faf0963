/* Pictures of the page: the images nearest to the reference and farthest from it, and some of each class. Each is read
 * from where it is, made small, and embedded in the page as a PNG. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "worker/evaluate/evaluation.h"
#include "worker/images/images.h"
#include "worker/report/parts.h"

enum { SIDE = 160 /* pixels a picture has at most */, CLASSES = 8, OF_A_CLASS = 4, LOOKED_AT = 20000 };

typedef struct Wanted {
    int64_t image;
    char *caption;
} Wanted;

/* --- reading ---------------------------------------------------------------------------------------- */

typedef struct Reader {
    const Reporting *r;
    ImageSource *source; /* of measured images; NULL: sampled ones */
} Reader;

static bool take_pixels(const void *rows, int64_t count, const ShardRow *row, void *ctx, Err *err)
{
    (void)count, (void)err;
    Image *image = ctx;
    *image = (Image){(int)row->shape[1], (int)row->shape[0], xmalloc(row->bytes), 0};
    memcpy(image->rgb, rows, row->bytes);
    return true;
}

/* False where it is not available: its file is gone, or an earlier report moved the pixels into samples.npz. */
static bool read_image(const Reader *reader, int64_t index, Image *ret_image)
{
    const Run *run = reader->r->run;
    if (reader->source)
        return image_source_read(reader->source, index, ret_image, NULL);
    if (run->keeps.png) {
        char *path = shard_image_path(run->spec->output, index);
        bool good = image_read(path, ret_image, NULL);
        free(path);
        return good;
    }
    return run->keeps.arrays[ARRAY_PIXELS] && index < run->keeps.pixels_below &&
           shards_read(&reader->r->shards, ARRAY_PIXELS, index, index + 1, take_pixels, ret_image, NULL);
}

/* Means over squares of whole pixels: at most SIDE a side. Consumes the image. */
static Image shrunk(Image image)
{
    const int longer = image.width > image.height ? image.width : image.height, f = (longer + SIDE - 1) / SIDE;
    if (f <= 1)
        return image;
    Image small = {image.width / f ? image.width / f : 1, image.height / f ? image.height / f : 1, NULL, 0};
    const int fx = image.width / f ? f : image.width, fy = image.height / f ? f : image.height;
    small.rgb = xmalloc((size_t)small.width * (size_t)small.height * 3);
    for (int y = 0; y < small.height; y++)
        for (int x = 0; x < small.width; x++)
            for (int c = 0; c < 3; c++) {
                long sum = 0;
                for (int dy = 0; dy < fy; dy++)
                    for (int dx = 0; dx < fx; dx++)
                        sum += image.rgb[((size_t)(y * fy + dy) * (size_t)image.width + (size_t)(x * fx + dx)) * 3 +
                                         (size_t)c];
                small.rgb[((size_t)y * (size_t)small.width + (size_t)x) * 3 + (size_t)c] =
                    (uint8_t)((sum + fx * fy / 2) / (fx * fy));
            }
    image_free(&image);
    return small;
}

static bool make_picture(const Reader *reader, const Wanted *wanted, Picture *ret_picture)
{
    Image image = {0};
    if (!read_image(reader, wanted->image, &image))
        return false;
    image = shrunk(image);
    Picture picture = {.caption = NULL};
    bool good = image_encode_png(image.rgb, image.width, image.height, &picture.png, &picture.size, NULL);
    image_free(&image);
    if (!good)
        return false;
    picture.caption = xstrdup(wanted->caption);
    *ret_picture = picture;
    return true;
}

static int by_image(const void *a, const void *b)
{
    const Wanted *const *x = a, *const *y = b;
    return ((*x)->image > (*y)->image) - ((*x)->image < (*y)->image);
}

/* Read in the order of the source, which may be a stream, and shown in the order they were asked for. */
static void fill(Reader *reader, Gallery *gallery, const Wanted *wanted, int count)
{
    const Wanted **sorted = xmalloc((size_t)(count ? count : 1) * sizeof *sorted);
    Picture *made = xcalloc((size_t)(count ? count : 1), sizeof *made);
    for (int i = 0; i < count; i++)
        sorted[i] = &wanted[i];
    qsort(sorted, (size_t)count, sizeof *sorted, by_image);
    for (int i = 0; i < count; i++)
        make_picture(reader, sorted[i], &made[sorted[i] - wanted]);
    for (int i = 0; i < count; i++) /* unreadable images leave no gap */
        if (made[i].png)
            made[gallery->count++] = made[i];
    gallery->pictures = made;
    free(sorted);
}

/* --- choosing --------------------------------------------------------------------------------------- */

static int want_samples(const cJSON *list, Wanted wanted[EVALUATION_SAMPLES])
{
    int count = 0;
    const cJSON *sample;
    cJSON_ArrayForEach(sample, list)
    {
        if (count == EVALUATION_SAMPLES)
            break;
        int64_t image = json_int(sample, "image", 0);
        wanted[count++] =
            (Wanted){image, xasprintf("image %" PRId64 ": distance %.4g, radius %.4g", image,
                                      json_number(sample, "distance", 0), json_number(sample, "radius", 0))};
    }
    return count;
}

/* The first images of the classes with the lowest numbers. */
static int want_classes(const Reporting *r, Wanted wanted[CLASSES * OF_A_CLASS])
{
    const int classes = reporting_classes(r), last = r->run->images < LOOKED_AT ? (int)r->run->images : LOOKED_AT;
    int count = 0;
    if (!jobkind_of(r->run->spec->kind)->makes_images || classes < 2)
        return 0;
    int64_t *labels = xmalloc((size_t)last * sizeof *labels);
    for (int i = 0; i < last; i++)
        labels[i] = inputs_label(&r->run->inputs, i, classes);
    for (int label = 0, shown = 0; label < classes && shown < CLASSES; label++) {
        int of_it = 0;
        for (int i = 0; i < last && of_it < OF_A_CLASS; i++)
            if (labels[i] == label) {
                wanted[count++] = (Wanted){i, xasprintf("class %d, image %d", label, i)};
                of_it++;
            }
        shown += of_it > 0;
    }
    free(labels);
    return count;
}

int reporting_galleries(const Reporting *r, const cJSON *json, Gallery ret_galleries[REPORTING_GALLERIES])
{
    static const struct {
        const char *key, *title, *about;
    } ends[] = {
        {"nearest", "Nearest to the reference",
         "Distance to the nearest reference image; radius: how far that one is from its own k-th neighbour."},
        {"farthest", "Farthest from the reference", "Faults of a model are usually visible here."},
    };
    const cJSON *samples = cJSON_GetObjectItemCaseSensitive(json, "samples");
    Reader reader = {.r = r};
    Wanted wanted[CLASSES * OF_A_CLASS];
    int made = 0;
    reader.source = r->run->source;
    for (int g = 0; g < REPORTING_GALLERIES; g++) {
        bool end = g < (int)countof(ends);
        int count = end ? want_samples(cJSON_GetObjectItemCaseSensitive(samples, ends[g].key), wanted)
                        : want_classes(r, wanted);
        Gallery gallery = {.title = end ? ends[g].title : "By class", .about = end ? ends[g].about : NULL};
        fill(&reader, &gallery, wanted, count);
        for (int i = 0; i < count; i++)
            free(wanted[i].caption);
        if (gallery.count)
            ret_galleries[made++] = gallery;
        else
            gallery_done(&gallery);
    }
    return made;
}
