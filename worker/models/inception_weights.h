/* The FID Inception's weights file: is it one, and its units and last layer, packed for a backend. Internal to
 * inception.c. */
#ifndef WORKER_MODELS_INCEPTION_WEIGHTS_H
#define WORKER_MODELS_INCEPTION_WEIGHTS_H

#include "kernels/backend.h"
#include "worker/checkpoints/checkpoint.h"
#include "worker/models/inception_table.h"

/* Torchvision's weights and files without this network's last layer are refused with the reason. */
bool inception_weights_check(const Ckpt *ckpt, int *ret_classes, int *ret_width, Err *err);

/* The unit of that key ("Mixed_5b.branch1x1"): read, folded, packed. x: the map it will meet. NULL on failure. */
Conv *inception_weights_unit(Backend *be, const Ckpt *ckpt, const char *key, Kernel kernel, const FeatureMap *x,
                             int *ret_width, Err *err);

/* fc without its bias. NULL on failure. */
Linear *inception_weights_fc(Backend *be, const Ckpt *ckpt, int classes, int width, Err *err);

#endif
