/* To add a published model: a row in `published`. The sizes are those of autoregressive/models/gpt.py of LlamaGen. Its
 * class-conditional models B and L were published for 256 pixels (16x16 tokens) and 384 (24x24), XL, XXL and 3B for 384
 * alone; the file's name says which. */
#include "worker/weights/sizes.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

enum { MAX_GRID = 128, HEAD_WIDTH = 64, WIDEST = 2560 /* of the published models with heads of 64 channels */ };

#define SIZE(name) name, "published size " name
static const PublishedSize published[] = {
    {SIZE("GPT-B"), 768, 12, 12, 16, false},         {SIZE("GPT-L"), 1024, 24, 16, 16, false},
    {SIZE("GPT-XL"), 1280, 36, 20, 0, false},        {SIZE("GPT-XXL"), 1536, 48, 24, 0, false},
    {SIZE("GPT-1B"), 2048, 22, 32, 0, false},        {SIZE("GPT-XXXL"), 2560, 48, 40, 0, false},
    {SIZE("GPT-3B"), 3200, 24, 32, 0, false},        {SIZE("GPT-7B"), 4096, 32, 32, 0, false},
    {"digits", "models/digits", 128, 4, 2, 8, true},
};

const PublishedSize *published_size(int width, int layers)
{
    for (size_t i = 0; i < countof(published); i++)
        if (published[i].width == width && (layers ? published[i].layers == layers : !published[i].ours))
            return &published[i];
    return NULL;
}

/* [class tokens + tokens, channels of a head / 2, 2]; false where there is none. */
static bool rotary_shape(const Weights *weights, int64_t shape[3])
{
    Err none = {0};
    shape[0] = shape[1] = -1;
    shape[2] = 2;
    return weights && weights_has(weights, "freqs_cis") && weights_shape(weights, "freqs_cis", 3, shape, &none);
}

/* --- heads ----------------------------------------------------------------------------------------- */

static int heads_of_rotary(const Weights *weights, int width)
{
    int64_t shape[3];
    if (!rotary_shape(weights, shape) || shape[1] < 1 || shape[1] > width || width % (2 * shape[1]))
        return 0;
    return (int)(width / (2 * shape[1]));
}

static bool heads_unknown(const Weights *weights, const char *role, int width, int layers, Err *err)
{
    const PublishedSize *near = published_size(width, 0);
    return err_set(err, ERR_USAGE,
                   "%s %s: a model of width %d with %d layer%s has no published size%s%s%s, so the number of attention "
                   "heads is not "
                   "known; set heads",
                   role, weights->path, width, layers, layers == 1 ? "" : "s", near ? " (" : "", near ? near->name : "",
                   near ? " has this width)" : "");
}

static SizeChoice heads_by_size(int width, int layers)
{
    const PublishedSize *size = published_size(width, layers);
    if (size)
        return (SizeChoice){size->heads, size->from, false};
    if (width % HEAD_WIDTH == 0 && width <= WIDEST)
        return (SizeChoice){width / HEAD_WIDTH, "assumed: 64 channels each", true};
    return (SizeChoice){0};
}

bool sizes_heads(const Weights *weights, const char *role, int width, int layers, int given, SizeChoice *ret_heads,
                 Err *err)
{
    int rotary = heads_of_rotary(weights, width);
    *ret_heads = given    ? (SizeChoice){given, "set", false}
                 : rotary ? (SizeChoice){rotary, "freqs_cis in the file", false}
                          : heads_by_size(width, layers);
    int heads = ret_heads->value;
    if (!heads)
        return heads_unknown(weights, role, width, layers, err);
    if (given && rotary && given != rotary)
        return err_set(err, ERR_USAGE, "%s %s: heads is %d, and the file's freqs_cis was made for %d", role,
                       weights->path, given, rotary);
    if (heads < 1 || width % heads || width / heads % 4)
        return err_set(err, ERR_FORMAT,
                       "%s %s: width %d cannot be split into %d heads of a multiple of 4 channels; set the model's "
                       "heads",
                       role, weights->path, width, heads);
    return true;
}

/* --- grid ------------------------------------------------------------------------------------------ */

static int grid_of_rotary(const Weights *weights)
{
    int64_t shape[3];
    if (!rotary_shape(weights, shape) || shape[0] < 2 || shape[0] > MAX_GRID * MAX_GRID + 1)
        return 0;
    int grid = (int)lround(sqrt((double)(shape[0] - 1)));
    return (int64_t)grid * grid + 1 == shape[0] ? grid : 0;
}

/* The number of pixels in a file's name as LlamaGen names its files: c2i_L_384.pt. 0: none. */
static int pixels_in_name(const char *path)
{
    static const int sizes[] = {256, 384, 512};
    const char *slash = strrchr(path, '/'), *at = slash ? slash + 1 : path;
    for (; *at; at++) {
        char *end;
        if (!isdigit((unsigned char)*at))
            continue;
        long number = strtol(at, &end, 10);
        for (size_t i = 0; i < countof(sizes); i++)
            if (number == sizes[i])
                return sizes[i];
        at = end - 1;
    }
    return 0;
}

/* No file says how many tokens an image has; these go with the published numbers of levels. */
static int usual_grid(int levels)
{
    static const int grids[] = {[3] = 8, [4] = 32, [5] = 16};
    return levels >= 0 && levels < (int)countof(grids) ? grids[levels] : 0;
}

/* Whether a model is one of those that were published for the usual grid; an error where it is one of others. */
static bool check_model(const SizedModel *model, int grid, int pixels, bool *known, Err *err)
{
    const PublishedSize *size = published_size(model->width, model->layers);
    int named = pixels_in_name(model->weights->path);
    if (pixels == 256 && named && named != pixels)
        return err_set(err, ERR_USAGE,
                       "%s %s: its name says %d pixels, and the usual grid of this tokenizer is %d for %d pixels; set "
                       "grid (%d for %d pixels)",
                       model->role, model->weights->path, named, grid, pixels, named * grid / pixels, named);
    if (pixels == 256 && size && !size->grid && !named)
        return err_set(
            err, ERR_USAGE,
            "%s %s: %s was published for 384 pixels, and models of its size are trained for 256 too; set grid "
            "(%d for 256 pixels, %d for 384, %d for 512)",
            model->role, model->weights->path, size->name, 256 * grid / pixels, 384 * grid / pixels,
            512 * grid / pixels);
    *known = *known && (named || (size && size->grid == grid));
    return true;
}

/* What the files say themselves; 0: nothing. */
static bool grid_by_rotary(const SizedModel *models, int count, int given, int *ret_grid, Err *err)
{
    *ret_grid = 0;
    for (int i = 0; i < count; i++) {
        int grid = grid_of_rotary(models[i].weights), other = given ? given : *ret_grid;
        if (grid && other && grid != other)
            return err_set(err, ERR_USAGE, "%s %s: the file's freqs_cis was made for a grid of %d, %s %d",
                           models[i].role, models[i].weights->path, grid,
                           given ? "and grid is" : "that of the other model for", other);
        *ret_grid = grid ? grid : *ret_grid;
    }
    return true;
}

bool sizes_grid(const SizedModel *models, int count, int levels, int given, SizeChoice *ret_grid, Err *err)
{
    int rotary = 0, usual = usual_grid(levels);
    bool known = levels == 3 || levels == 5; /* the digits family, VQ-16 */
    if (given < 0 || given > MAX_GRID)
        return err_set(err, ERR_USAGE, "grid: it is %d tokens per side, wanted 1 to %d (0: by the tokenizer)", given,
                       MAX_GRID);
    if (!grid_by_rotary(models, count, given, &rotary, err))
        return false;
    if (given || rotary) {
        *ret_grid = (SizeChoice){given ? given : rotary, given ? "set" : "freqs_cis in the file", false};
        return true;
    }
    for (int i = 0; i < count && usual; i++)
        if (models[i].weights && !check_model(&models[i], usual, usual << (levels - 1), &known, err))
            return false;
    *ret_grid = (SizeChoice){usual, known ? "the tokenizer's levels" : "assumed: the tokenizer's levels", !known};
    return true;
}
