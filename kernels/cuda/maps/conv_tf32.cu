/* Convolutions with tf32 operands: conv_tile.h. A file a type, so that they compile side by side. */
#include "kernels/cuda/maps/conv_tile.h"

namespace GPU_SPACE
{

void conv_tile_tf32(Cuda *cuda, const ConvCall &call, int wide)
{
    tile_by_width<float>(cuda, call, wide);
}

} // namespace GPU_SPACE
