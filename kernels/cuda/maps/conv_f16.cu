/* Convolutions with fp16 operands: conv_tile.h. A file a type, so that they compile side by side. */
#include "kernels/cuda/maps/conv_tile.h"

namespace GPU_SPACE
{

void conv_tile_f16(Cuda *cuda, const ConvCall &call, int wide)
{
    tile_by_width<__half>(cuda, call, wide);
}

} // namespace GPU_SPACE
