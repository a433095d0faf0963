/* Inception: from the layer table and a weights file to a list of steps, and from images to features.
 *
 * The table (inception_table.c) is walked twice. The first walk loads each unit (inception_weights.c), whose width the
 * next one needs, and adds up the memory; the second places every map and writes the steps. A run is then a loop over
 * steps.
 *
 * Memory: the results of blocks alternate between two halls; all other maps of a block are in `scratch`, which is
 * reused by every block. Images go through one at a time on the CPU, where a layer's maps then stay in the cache, and
 * DEVICE_CHUNK at a time elsewhere; no op mixes images, so results do not depend on it. */
#include "worker/models/inception.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/workspace.h"
#include "worker/checkpoints/checkpoint.h"
#include "worker/models/inception_table.h"
#include "worker/models/inception_weights.h"

enum { LOGITS_CHUNK_HOST = 64, DEVICE_CHUNK = 32, MAX_STEPS = 160 };

typedef enum StepKind { STEP_CONV, STEP_POOL, STEP_CONCAT } StepKind;
typedef struct Step {
    StepKind kind;
    FeatureMap in[INCEPTION_MAX_PARTS], out;
    int parts;
    const Conv *conv;
    Entry entry;       /* of a pool */
    bool spatial;      /* sFID takes its features from this step's map */
    const char *stage; /* the block's name at its last step */
} Step;

typedef struct Level { /* features from the middle of the network */
    int steps;         /* that lead to it */
    Tensor features;   /* [chunk,width] */
} Level;

struct Inception {
    Backend *be;
    int chunk; /* images a pass */
    Conv *convs[INCEPTION_UNITS];
    int widths[INCEPTION_UNITS]; /* c_out of each */
    Linear *fc;
    int width, classes;
    Step steps[MAX_STEPS];
    int step_count;
    Workspace halls[2], scratch, ends; /* ends: input, features */
    FeatureMap input, last;
    Level levels[INCEPTION_LEVELS];
    Tensor pool3, logits, rows; /* rows: the sFID map, [chunk*17*17,C] */
    void *staged;               /* u8 images on their way in */
    size_t staged_bytes;
    InceptionTap tap;
    void *tap_ctx;
    Built built;
};

static const char *const level_blocks[INCEPTION_LEVELS] = {
    [INCEPTION_64] = "maxpool1",
    [INCEPTION_192] = "maxpool2",
    [INCEPTION_768] = "Mixed_6e",
    [INCEPTION_2048] = "Mixed_7c",
};

static const struct {
    Pool pool;
    int stride, pad;
} entries[ENTRIES] = {
    [ENTRY_AVERAGE] = {POOL_AVG, 1, 1},
    [ENTRY_MAX] = {POOL_MAX, 1, 1},
    [ENTRY_MAX_HALVE] = {POOL_MAX, 2, 0},
};

/* --- the walk ------------------------------------------------------------------------------------ */

typedef struct Walk {
    Inception *net;
    const Ckpt *ckpt;
    int units; /* met so far */
    const Block *block;
    Workspace *hall; /* where this block's result goes */
    bool alone;      /* the block has one part, which is written directly into the hall */
    Err *err;
} Walk;

static Step *add_step(Walk *walk, StepKind kind)
{
    assert(walk->net->step_count < MAX_STEPS);
    Step *step = &walk->net->steps[walk->net->step_count++];
    *step = (Step){.kind = kind};
    return step;
}

static int out_size(int in, int kernel, int stride, int pad)
{
    return (in + 2 * pad - kernel) / stride + 1;
}

static FeatureMap take_map(Walk *walk, bool last, int h, int w, int c)
{
    Inception *net = walk->net;
    return workspace_take_map(last ? walk->hall : &net->scratch, net->be, net->chunk, h, w, c);
}

static FeatureMap walk_pool(Walk *walk, Entry entry, FeatureMap x, bool last)
{
    if (entry == ENTRY_PLAIN)
        return x;
    int h = out_size(x.h, 3, entries[entry].stride, entries[entry].pad);
    int w = out_size(x.w, 3, entries[entry].stride, entries[entry].pad);
    Step *step = add_step(walk, STEP_POOL);
    step->entry = entry;
    step->in[0] = x;
    step->out = take_map(walk, last, h, w, x.c);
    return step->out;
}

static bool walk_unit(Walk *walk, const Unit *unit, bool last, FeatureMap *map)
{
    Inception *net = walk->net;
    assert(walk->units < INCEPTION_UNITS);
    int i = walk->units++;
    char *key = xasprintf("%s%s%s", walk->block->name, *unit->name ? "." : "", unit->name);
    if (!net->convs[i])
        net->convs[i] = inception_weights_unit(net->be, walk->ckpt, key, unit->kernel, map, &net->widths[i], walk->err);
    if (net->convs[i]) {
        const Geometry *g = &inception_geometry[unit->kernel];
        Step *step = add_step(walk, STEP_CONV);
        step->conv = net->convs[i];
        step->spatial = strcmp(key, INCEPTION_SPATIAL_UNIT) == 0;
        step->in[0] = *map;
        step->out = take_map(walk, last, out_size(map->h, g->kh, g->stride, g->pad_h),
                             out_size(map->w, g->kw, g->stride, g->pad_w), net->widths[i]);
        if (step->spatial)
            net->rows.shape[1] = step->out.c;
        *map = step->out;
    }
    free(key);
    return net->convs[i] != NULL;
}

static bool walk_branch(Walk *walk, const Branch *branch, FeatureMap x, FeatureMap *parts, int *count)
{
    FeatureMap map = walk_pool(walk, branch->entry, x, walk->alone && !branch->chain[0].name);
    for (const Unit *unit = branch->chain; unit->name; unit++)
        if (!walk_unit(walk, unit, walk->alone && !unit[1].name, &map))
            return false;
    if (!branch->ends[0].name)
        parts[(*count)++] = map;
    for (const Unit *unit = branch->ends; unit->name; unit++) {
        FeatureMap end = map;
        if (!walk_unit(walk, unit, false, &end))
            return false;
        parts[(*count)++] = end;
    }
    return true;
}

/* Makes x the block's result. */
static bool walk_block(Walk *walk, const Block *block, FeatureMap *x)
{
    FeatureMap parts[INCEPTION_MAX_PARTS] = {{0}};
    int count = 0;
    walk->block = block;
    walk->alone = block->count == 1;
    workspace_rewind(walk->hall, 0);
    workspace_rewind(&walk->net->scratch, 0);
    for (int i = 0; i < block->count; i++)
        if (!walk_branch(walk, &block->branches[i], *x, parts, &count))
            return false;
    *x = parts[0];
    if (count > 1) {
        Step *step = add_step(walk, STEP_CONCAT);
        step->parts = count;
        int channels = 0;
        for (int i = 0; i < count; i++) {
            step->in[i] = parts[i];
            channels += parts[i].c;
        }
        step->out = take_map(walk, true, parts[0].h, parts[0].w, channels);
        *x = step->out;
    }
    walk->net->steps[walk->net->step_count - 1].stage = block->name;
    for (int i = 0; i < INCEPTION_LEVELS; i++)
        if (strcmp(block->name, level_blocks[i]) == 0)
            walk->net->levels[i] = (Level){walk->net->step_count, {.shape = {0, x->c}}};
    return true;
}

static bool walk_table(Inception *net, const Ckpt *ckpt, Err *err)
{
    Walk walk = {.net = net, .ckpt = ckpt, .err = err};
    workspace_rewind(&net->ends, 0);
    net->step_count = 0;
    net->input = workspace_take_map(&net->ends, net->be, net->chunk, INCEPTION_SIDE, INCEPTION_SIDE, 3);
    FeatureMap map = net->input;
    for (int i = 0; i < INCEPTION_BLOCKS; i++) {
        walk.hall = &net->halls[i & 1];
        if (!walk_block(&walk, &inception_blocks[i], &map))
            return err_wrap(err, "not the weights of the FID Inception network");
    }
    assert(walk.units == INCEPTION_UNITS && map.h == INCEPTION_LAST_SIDE);
    if (map.c != net->width)
        return err_set(err, ERR_FORMAT, "Inception weights %s: fc.weight takes %d features but the last block gives %d",
                       ckpt_path(ckpt), net->width, map.c);
    int64_t pixels = (int64_t)net->chunk * INCEPTION_SPATIAL_SIDE * INCEPTION_SPATIAL_SIDE;
    net->last = map;
    net->pool3 = workspace_take(&net->ends, DTYPE_F32, 2, net->chunk, net->width, 0, 0);
    for (int i = 0; i < INCEPTION_LEVELS; i++)
        net->levels[i].features =
            workspace_take(&net->ends, DTYPE_F32, 2, net->chunk, net->levels[i].features.shape[1], 0, 0);
    net->logits = workspace_take(&net->ends, DTYPE_F32, 2, net->chunk, net->classes, 0, 0);
    net->rows = workspace_take(&net->ends, DTYPE_F32, 2, pixels, net->rows.shape[1], 0, 0);
    return true;
}

static bool open_net(Inception *net, const Ckpt *ckpt, Err *err)
{
    return inception_weights_check(ckpt, &net->classes, &net->width, err) && walk_table(net, ckpt, err) &&
           (net->fc = inception_weights_fc(net->be, ckpt, net->classes, net->width, err)) != NULL &&
           workspace_open(&net->halls[0], net->be, err) && workspace_open(&net->halls[1], net->be, err) &&
           workspace_open(&net->scratch, net->be, err) && workspace_open(&net->ends, net->be, err) &&
           walk_table(net, ckpt, err);
}

static bool report(Inception *net, const Ckpt *ckpt, Err *err)
{
    cJSON *network = built_add(&net->built, NETWORK_INCEPTION, ckpt, NULL, err);
    if (network) {
        built_size(network, "features", net->width);
        built_size(network, "classes", net->classes);
    }
    return network;
}

Inception *inception_open(const char *path, Backend *be, Err *err)
{
    Ckpt *ckpt = ckpt_open(path, err);
    if (!ckpt)
        return NULL;
    Inception *net = xcalloc(1, sizeof *net);
    net->be = be;
    net->chunk = backend_is_host(be) ? 1 : DEVICE_CHUNK;
    Weights weights = weights_of_ckpt(ckpt);
    if (!network_check(&weights, NETWORK_INCEPTION, err) || !open_net(net, ckpt, err) || !report(net, ckpt, err)) {
        inception_close(net);
        net = NULL;
    }
    ckpt_close(ckpt);
    return net;
}

void inception_close(Inception *net)
{
    if (!net)
        return;
    for (int i = 0; i < INCEPTION_UNITS; i++)
        if (net->convs[i])
            be_conv_free(net->be, net->convs[i]);
    if (net->fc)
        be_linear_free(net->be, net->fc);
    workspace_close(&net->halls[0]);
    workspace_close(&net->halls[1]);
    workspace_close(&net->scratch);
    workspace_close(&net->ends);
    if (net->staged)
        be_free(net->be, net->staged);
    built_free(&net->built);
    free(net);
}

const Built *inception_built(const Inception *net)
{
    return &net->built;
}

int inception_width(const Inception *net)
{
    return net->width;
}

int inception_classes(const Inception *net)
{
    return net->classes;
}

int inception_level_width(const Inception *net, InceptionLevel level)
{
    return (int)net->levels[level].features.shape[1];
}

void inception_tap(Inception *net, InceptionTap tap, void *ctx)
{
    net->tap = tap;
    net->tap_ctx = ctx;
}

/* --- a run --------------------------------------------------------------------------------------- */

static FeatureMap first(FeatureMap map, int count)
{
    map.b = count;
    return map;
}

static Tensor first_rows(Tensor t, int64_t rows)
{
    t.shape[0] = rows;
    return t;
}

static void run_step(const Inception *net, const Step *step, int count)
{
    FeatureMap in[INCEPTION_MAX_PARTS], out = first(step->out, count);
    for (int i = 0; i < INCEPTION_MAX_PARTS; i++)
        in[i] = first(step->in[i], count);
    switch (step->kind) {
    case STEP_CONV:
        be_conv(net->be, step->conv, in[0], (FeatureMap){0}, out);
        break;
    case STEP_POOL:
        be_pool(net->be, in[0], entries[step->entry].pool, 3, entries[step->entry].stride, entries[step->entry].pad,
                out);
        break;
    case STEP_CONCAT:
        be_concat(net->be, in, step->parts, out);
        break;
    }
    if (step->stage && net->tap)
        net->tap(step->stage, &out, net->tap_ctx);
}

/* u8 room for `bytes` on the backend. */
static bool stage_room(Inception *net, size_t bytes, Err *err)
{
    if (bytes <= net->staged_bytes)
        return true;
    if (net->staged)
        be_free(net->be, net->staged);
    net->staged = be_alloc(net->be, bytes, err);
    net->staged_bytes = net->staged ? bytes : 0;
    return net->staged != NULL;
}

/* The first channels of the sFID map, [pixel,C] -> [pixel,7]. */
static void cut_spatial(const float *rows, int64_t pixels, int64_t c, float *spatial)
{
    for (int64_t i = 0; i < pixels; i++)
        memcpy(spatial + i * INCEPTION_SPATIAL_CHANNELS, rows + i * c, INCEPTION_SPATIAL_CHANNELS * sizeof(float));
}

/* One pass of at most chunk images that lie staged. rows: host room for the sFID map, or NULL. */
static void run_pass(Inception *net, Tensor images, Resize pipeline, float *pool3, float *logits, float *rows)
{
    int count = (int)images.shape[0];
    int64_t pixels = (int64_t)count * INCEPTION_SPATIAL_SIDE * INCEPTION_SPATIAL_SIDE;
    Tensor features = first_rows(net->pool3, count), scores = first_rows(net->logits, count);
    be_resize_inception(net->be, images, pipeline, first(net->input, count));
    for (int i = 0; i < net->step_count; i++) {
        run_step(net, &net->steps[i], count);
        if (rows && net->steps[i].spatial) {
            be_map_to_rows(net->be, first(net->steps[i].out, count), first_rows(net->rows, pixels));
            be_download(net->be, rows, first_rows(net->rows, pixels));
        }
    }
    be_global_mean(net->be, first(net->last, count), features);
    if (pool3)
        be_download(net->be, pool3, features);
    if (logits) {
        be_linear(net->be, net->fc, features, scores, false);
        be_download(net->be, logits, scores);
    }
}

bool inception_run(Inception *net, const uint8_t *images, int count, int h, int w, Resize pipeline, float *pool3,
                   float *logits, float *spatial, Err *err)
{
    if (h < 1 || w < 1)
        return err_set(err, ERR_USAGE, "Inception: images of %dx%d pixels", w, h);
    if (spatial && net->rows.shape[1] < INCEPTION_SPATIAL_CHANNELS)
        return err_set(err, ERR_FORMAT,
                       "Inception: sFID takes %d channels of " INCEPTION_SPATIAL_UNIT ", these weights have %d",
                       INCEPTION_SPATIAL_CHANNELS, (int)net->rows.shape[1]);
    size_t image_bytes = (size_t)h * (size_t)w * 3;
    int64_t pixels = INCEPTION_SPATIAL_SIDE * INCEPTION_SPATIAL_SIDE;
    float *rows = spatial ? xmalloc((size_t)(net->chunk * pixels * net->rows.shape[1]) * sizeof(float)) : NULL;
    bool ok = stage_room(net, image_bytes * (size_t)net->chunk, err);
    for (int at = 0; ok && at < count; at += net->chunk) {
        int take = count - at < net->chunk ? count - at : net->chunk;
        Tensor staged = {.data = net->staged, .dtype = DTYPE_U8, .ndim = 4, .shape = {take, h, w, 3}};
        be_upload(net->be, staged, images + image_bytes * (size_t)at);
        run_pass(net, staged, pipeline, pool3 ? pool3 + (size_t)at * (size_t)net->width : NULL,
                 logits ? logits + (size_t)at * (size_t)net->classes : NULL, rows);
        if (spatial) {
            ok = be_check(net->be, err);
            cut_spatial(rows, ok ? take * pixels : 0, net->rows.shape[1], spatial + (size_t)at * INCEPTION_SPATIAL);
        }
    }
    ok = be_check(net->be, ok ? err : NULL) && ok;
    free(rows);
    return ok;
}

/* The CPU's products do not depend on how many rows go by at once; on a device the chunk is that of inception_run. */
bool inception_logits(Inception *net, const float *pool3, int64_t count, float *logits, Err *err)
{
    const int64_t chunk = backend_is_host(net->be) ? LOGITS_CHUNK_HOST : net->chunk;
    const size_t features_bytes = (size_t)(chunk * net->width) * sizeof(float);
    char *room = be_alloc(net->be, features_bytes + (size_t)(chunk * net->classes) * sizeof(float), err);
    if (!room)
        return false;
    Tensor features = net->pool3, scores = net->logits;
    features.data = room;
    scores.data = room + features_bytes;
    for (int64_t at = 0; at < count; at += chunk) {
        int64_t take = count - at < chunk ? count - at : chunk;
        be_upload(net->be, first_rows(features, take), pool3 + at * net->width);
        be_linear(net->be, net->fc, first_rows(features, take), first_rows(scores, take), false);
        be_download(net->be, logits + at * net->classes, first_rows(scores, take));
    }
    bool good = be_check(net->be, err);
    be_free(net->be, room);
    return good;
}

static void run_level(Inception *net, Tensor images, Resize pipeline, const Level *level, float *features)
{
    int count = (int)images.shape[0];
    be_resize_inception(net->be, images, pipeline, first(net->input, count));
    for (int i = 0; i < level->steps; i++)
        run_step(net, &net->steps[i], count);
    be_global_mean(net->be, first(net->steps[level->steps - 1].out, count), first_rows(level->features, count));
    be_download(net->be, features, first_rows(level->features, count));
}

bool inception_run_level(Inception *net, const uint8_t *images, int count, int h, int w, Resize pipeline,
                         InceptionLevel level, float *features, Err *err)
{
    if (h < 1 || w < 1)
        return err_set(err, ERR_USAGE, "Inception: images of %dx%d pixels", w, h);
    size_t image_bytes = (size_t)h * (size_t)w * 3;
    bool ok = stage_room(net, image_bytes * (size_t)net->chunk, err);
    for (int at = 0; ok && at < count; at += net->chunk) {
        int take = count - at < net->chunk ? count - at : net->chunk;
        Tensor staged = {.data = net->staged, .dtype = DTYPE_U8, .ndim = 4, .shape = {take, h, w, 3}};
        be_upload(net->be, staged, images + image_bytes * (size_t)at);
        run_level(net, staged, pipeline, &net->levels[level],
                  features + (size_t)at * (size_t)inception_level_width(net, level));
    }
    return be_check(net->be, ok ? err : NULL) && ok;
}
