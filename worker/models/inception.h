/* The FID Inception network and its input pipeline (docs/fid.md). Widths are read off the weights.
 *
 *     Inception *net = inception_open("pt_inception-2015-12-05-6726825d.pth", be, err);
 *     inception_run(net, images, 100, 256, 256, RESIZE_PT, pool3, NULL, NULL, err); */
#ifndef WORKER_MODELS_INCEPTION_H
#define WORKER_MODELS_INCEPTION_H

#include "kernels/backend.h"
#include "worker/weights/built.h"

typedef struct Inception Inception;

/* Torchvision's weights and anything else that is not this network are refused with the reason. */
Inception *inception_open(const char *path, Backend *be, Err *err);
void inception_close(Inception *net); /* NULL is fine; before its backend is closed */

const Built *inception_built(const Inception *net);
int inception_width(const Inception *net);   /* pool3: 2048 */
int inception_classes(const Inception *net); /* 1008 */
enum { INCEPTION_SPATIAL = 2023 };           /* sFID features: 17*17*7 */

/* Features of images u8 [count, h, w, 3] on the host. pool3 [count,width], logits [count,classes] without bias and
 * spatial [count,2023] (sFID) are host memory; NULL ones are not computed. Each image's result is independent of count.
 */
bool inception_run(Inception *net, const uint8_t *images, int count, int h, int w, Resize pipeline, float *pool3,
                   float *logits, float *spatial, Err *err);

/* Logits without bias [count,classes] of pool3 [count,width], both on the host: those that inception_run gives with
 * these features, to the last bit. */
bool inception_logits(Inception *net, const float *pool3, int64_t count, float *logits, Err *err);

/* The features that pytorch-fid calls 2048, 768, 192 and 64: pool3, and the mean over the map after Mixed_6e, after the
 * second max pool, after the first. Their widths are those of the weights. */
typedef enum InceptionLevel {
    INCEPTION_2048,
    INCEPTION_768,
    INCEPTION_192,
    INCEPTION_64,
    INCEPTION_LEVELS
} InceptionLevel;
int inception_level_width(const Inception *net, InceptionLevel level);
/* As inception_run, features [count,width of the level] alone; no layer behind the level is computed. */
bool inception_run_level(Inception *net, const uint8_t *images, int count, int h, int w, Resize pipeline,
                         InceptionLevel level, float *features, Err *err);

/* Test hook: called with the name and the map of each stage ("Mixed_5b", ...) of a one-image run. NULL removes it. */
typedef void (*InceptionTap)(const char *stage, const FeatureMap *map, void *ctx);
void inception_tap(Inception *net, InceptionTap tap, void *ctx);

#endif
