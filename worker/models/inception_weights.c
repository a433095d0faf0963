/* Reading a unit folds its BatchNorm into the convolution, in double, stored as float:
 *
 *   a = gamma / sqrt(variance + 0.001)     W' = W a     b' = beta - mean a
 *
 * Refuses weights of other networks by tensors that only those have: torchvision's weights give a distance about 1.5
 * lower, which is not comparable. */
#include "worker/models/inception_weights.h"

#include <math.h>
#include <stdlib.h>

#include "core/mem.h"

enum { TORCHVISION_CLASSES = 1000, MAX_WIDTH = 1 << 14 };
#define BATCH_NORM_EPS 0.001

static bool check_width(const Ckpt *ckpt, const char *name, int64_t width, Err *err)
{
    if (width >= 1 && width <= MAX_WIDTH)
        return true;
    return err_set(err, ERR_FORMAT, "Inception weights %s: %s has %lld outputs; wanted 1 to %d", ckpt_path(ckpt), name,
                   (long long)width, MAX_WIDTH);
}

/* The vector KEY.NAME [n], in double. */
static double *read_vector(const Ckpt *ckpt, const char *key, const char *name, int64_t n, Err *err)
{
    char *full = xasprintf("%s.%s", key, name);
    double *values = xmalloc((size_t)n * sizeof(double));
    if (!ckpt_read_f64(ckpt, full, 1, &n, values, err)) {
        free(values);
        values = NULL;
    }
    free(full);
    return values;
}

/* Multiplies w [c_out,fan] by the BatchNorm's slope and gives its offset. */
static bool fold(const Ckpt *ckpt, const char *key, float *w, float *bias, int64_t c_out, int64_t fan, Err *err)
{
    static const char *const names[] = {"bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"};
    double *bn[countof(names)] = {NULL};
    bool ok = true;
    for (size_t i = 0; ok && i < countof(names); i++)
        ok = (bn[i] = read_vector(ckpt, key, names[i], c_out, err)) != NULL;
    for (int64_t c = 0; ok && c < c_out; c++) {
        if (bn[3][c] < 0) {
            ok = err_set(err, ERR_FORMAT,
                         "Inception weights %s: %s.bn.running_var[%lld] is %g; a variance is not negative",
                         ckpt_path(ckpt), key, (long long)c, bn[3][c]);
            break;
        }
        double slope = bn[0][c] / sqrt(bn[3][c] + BATCH_NORM_EPS);
        for (int64_t i = 0; i < fan; i++)
            w[c * fan + i] = (float)((double)w[c * fan + i] * slope);
        bias[c] = (float)(bn[1][c] - bn[2][c] * slope);
    }
    for (size_t i = 0; i < countof(names); i++)
        free(bn[i]);
    return ok;
}

Conv *inception_weights_unit(Backend *be, const Ckpt *ckpt, const char *key, Kernel kernel, const FeatureMap *x,
                             int *ret_width, Err *err)
{
    const Geometry *g = &inception_geometry[kernel];
    char *name = xasprintf("%s.conv.weight", key);
    int64_t shape[4] = {-1, x->c, g->kh, g->kw};
    Conv *conv = NULL;
    if (ckpt_shape(ckpt, name, 4, shape, err) && check_width(ckpt, name, shape[0], err)) {
        int64_t fan = shape[1] * shape[2] * shape[3];
        float *w = xmalloc((size_t)(shape[0] * fan) * sizeof(float)), *bias = xmalloc((size_t)shape[0] * sizeof(float));
        ConvShape conv_shape = {.c_in = x->c,
                                .c_out = (int)shape[0],
                                .kh = g->kh,
                                .kw = g->kw,
                                .stride = g->stride,
                                .pad_h = g->pad_h,
                                .pad_w = g->pad_w,
                                .relu = true};
        if (ckpt_read(ckpt, name, 4, shape, w, err) && fold(ckpt, key, w, bias, shape[0], fan, err))
            conv = be_conv_pack(be, w, bias, &conv_shape, x->h, x->w, err);
        free(w);
        free(bias);
    }
    free(name);
    *ret_width = (int)shape[0];
    return conv;
}

Linear *inception_weights_fc(Backend *be, const Ckpt *ckpt, int classes, int width, Err *err)
{
    int64_t shape[2] = {classes, width};
    float *w = xmalloc((size_t)(shape[0] * shape[1]) * sizeof(float));
    Linear *fc =
        ckpt_read(ckpt, "fc.weight", 2, shape, w, err) ? be_linear_pack(be, w, NULL, shape[0], shape[1], err) : NULL;
    free(w);
    return fc;
}

bool inception_weights_check(const Ckpt *ckpt, int *ret_classes, int *ret_width, Err *err)
{
    const CkptTensor *aux = ckpt_find_prefix(ckpt, "AuxLogits.");
    int64_t shape[2] = {-1, -1};
    if (aux)
        return err_set(
            err, ERR_FORMAT,
            "Inception weights %s: holds %s, so these are torchvision's; FID needs pytorch-fid's weights of the 2015 "
            "graph (pt_inception-2015-12-05-6726825d.pth)",
            ckpt_path(ckpt), aux->name);
    if (!ckpt_shape(ckpt, "fc.weight", 2, shape, err))
        return err_wrap(err, "not the weights of the FID Inception network");
    if (!check_width(ckpt, "fc.weight", shape[0], err))
        return false;
    if (shape[0] == TORCHVISION_CLASSES)
        return err_set(
            err, ERR_FORMAT,
            "Inception weights %s: fc.weight has %d classes, as torchvision's has; the 2015 graph that FID needs has "
            "1008",
            ckpt_path(ckpt), TORCHVISION_CLASSES);
    *ret_classes = (int)shape[0];
    *ret_width = (int)shape[1];
    return true;
}
