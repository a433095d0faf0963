/* The statistics that one op stores for the next: see map_stats.h. */
#include "kernels/cuda/maps/map_stats.h"

namespace GPU_SPACE
{

/* Ops begun so far, the present one included. */
static int64_t ops_begun(const Cuda *cuda)
{
    int64_t begun = 0;
    for (int op = 0; op < BACKEND_OP_COUNT; op++)
        begun += cuda->base.counters.calls[op];
    return begun;
}

MapPartial *stats_room(Cuda *cuda, FeatureMap map, int parts)
{
    size_t pieces = static_cast<size_t>(map.b) * static_cast<size_t>(parts) * static_cast<size_t>(map_channels(map.c));
    MapPartial *room = static_cast<MapPartial *>(cuda_scratch(cuda, SCRATCH_STATS, pieces * sizeof(MapPartial)));
    cuda->stats = {map, parts, ops_begun(cuda)};
    return room;
}

const MapPartial *stats_of(const Cuda *cuda, FeatureMap map, int *ret_parts)
{
    const CudaStats *s = &cuda->stats;
    bool same = map.data && s->map.data == map.data && s->map.b == map.b && s->map.h == map.h && s->map.w == map.w &&
                s->map.c == map.c;
    if (!same || ops_begun(cuda) != s->op + 1)
        return nullptr;
    *ret_parts = s->parts;
    return static_cast<const MapPartial *>(cuda->scratch[SCRATCH_STATS].data);
}

} // namespace GPU_SPACE
