#include "kernels/cpu/math.h"

const float exp_least = -87.3f, exp_most = 88.7f;
