/* The contact sheet's layout and its pixels. Owns no format: image_write_png writes the page.
 * Refuses an empty list; shows fewer pictures when a page of all of them would be beyond IMAGE_MAX_*. */
#include "worker/images/grid.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { LEGIBLE = 64 /* pixels a side that pictures are enlarged towards */, WHITE = 255 };

typedef struct Layout {
    int columns, rows;
    int scale;                   /* whole factor of enlargement */
    int cell_width, cell_height; /* of the largest picture, enlarged */
    int gap;                     /* between pictures and around the page */
    int64_t width, height;
} Layout;

static Layout lay_out(const Image *images, int count)
{
    int width = 0, height = 0;
    for (int i = 0; i < count; i++) {
        width = images[i].width > width ? images[i].width : width;
        height = images[i].height > height ? images[i].height : height;
    }
    int side = width > height ? width : height;
    Layout l = {.scale = side < LEGIBLE ? LEGIBLE / side : 1};
    while (l.columns * l.columns < count)
        l.columns++;
    l.rows = (count + l.columns - 1) / l.columns;
    l.cell_width = width * l.scale;
    l.cell_height = height * l.scale;
    l.gap = 2 + side * l.scale / 32;
    l.width = (int64_t)l.columns * (l.cell_width + l.gap) + l.gap;
    l.height = (int64_t)l.rows * (l.cell_height + l.gap) + l.gap;
    return l;
}

static bool fits(const Layout *l)
{
    return l->width <= IMAGE_MAX_SIDE && l->height <= IMAGE_MAX_SIDE && l->width * l->height <= IMAGE_MAX_PIXELS;
}

static void place(uint8_t *page, const Layout *l, int index, const Image *image)
{
    int64_t left = (int64_t)l->gap + (int64_t)(index % l->columns) * (l->cell_width + l->gap);
    int64_t top = (int64_t)l->gap + (int64_t)(index / l->columns) * (l->cell_height + l->gap);
    left += (l->cell_width - image->width * l->scale) / 2;
    top += (l->cell_height - image->height * l->scale) / 2;
    for (int y = 0; y < image->height * l->scale; y++) {
        const uint8_t *src = image->rgb + (size_t)(y / l->scale) * (size_t)image->width * 3;
        uint8_t *dst = page + (size_t)((top + y) * l->width + left) * 3;
        for (int x = 0; x < image->width * l->scale; x++)
            memcpy(dst + (size_t)x * 3, src + (size_t)(x / l->scale) * 3, 3);
    }
}

bool grid_write(const char *path, const Image *images, int count, Err *err)
{
    if (count < 1)
        return err_set(err, ERR_NOT_FOUND, "contact sheet %s: there are no images to show", path);
    count = count < GRID_MAX ? count : GRID_MAX;
    Layout layout = lay_out(images, count);
    while (!fits(&layout) && count > 1)
        layout = lay_out(images, count /= 2);
    if (!fits(&layout)) {
        count = 1;
        layout = (Layout){1, 1, 1, images[0].width, images[0].height, 0, images[0].width, images[0].height};
    }
    size_t bytes = (size_t)(layout.width * layout.height) * 3;
    uint8_t *page = malloc(bytes);
    if (!page)
        return err_set(err, ERR_MEMORY, "contact sheet %s: no %zu MiB for the page", path, bytes >> 20);
    memset(page, WHITE, bytes);
    for (int i = 0; i < count; i++)
        place(page, &layout, i, &images[i]);
    bool ok = image_write_png(path, page, (int)layout.width, (int)layout.height, true, err);
    free(page);
    return ok;
}

bool grid_write_files(const char *path, const char *const *files, int count, Err *err)
{
    count = count < GRID_MAX ? count : GRID_MAX;
    Image images[GRID_MAX] = {{0}};
    bool ok = true;
    for (int i = 0; ok && i < count; i++)
        ok = image_read(files[i], &images[i], err);
    ok = ok && grid_write(path, images, count, err);
    for (int i = 0; i < count; i++)
        image_free(&images[i]);
    return ok;
}
