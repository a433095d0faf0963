/* Recordings of passes: CUDA graphs by key.
 *
 * The first time a key comes its ops run as they are queued, since new shapes may need scratch memory, which a
 * recording must not allocate. The second time they are recorded; from then on one launch queues them all. Recordings
 * hold addresses, so freeing memory (of weights, of a workspace, of scratch that grows) drops all of them. */
#include "kernels/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

namespace GPU_SPACE
{

/* The place of a key in the table, or the free one where it belongs. */
static Replay *find(Replays *replays, uint64_t key)
{
    size_t at = key % REPLAYS_MAX;
    while (replays->items[at].met && replays->items[at].key != key)
        at = (at + 1) % REPLAYS_MAX;
    return &replays->items[at];
}

void replays_forget(Cuda *cuda)
{
    Replays *replays = &cuda->replays;
    for (size_t i = 0; replays->count && i < REPLAYS_MAX; i++)
        gpu_graph_free(replays->items[i].graph);
    if (replays->count)
        memset(replays->items, 0, REPLAYS_MAX * sizeof(*replays->items));
    replays->count = 0;
}

bool cuda_replay_begin(Backend *be, uint64_t key)
{
    Cuda *cuda = cuda_of(be);
    Replays *replays = &cuda->replays;
    cuda->stats.map.data = nullptr; /* a recording writes maps without the bookkeeping */
    if (replays->count > REPLAYS_MAX / 2)
        replays_forget(cuda);
    Replay *replay = find(replays, key);
    if (replay->graph) {
        gpu_graph_launch(replay->graph, cuda->stream);
        return false;
    }
    if (replay->met) {
        replays->recording = replay;
        gpu_capture_begin(cuda->stream);
        return true;
    }
    replay->key = key;
    replay->met = true;
    replays->count++;
    return true;
}

void cuda_replay_end(Backend *be)
{
    Cuda *cuda = cuda_of(be);
    Replay *replay = cuda->replays.recording;
    cuda->stats.map.data = nullptr; /* what follows must not differ from round to round */
    cuda->replays.recording = nullptr;
    if (!replay)
        return;
    GpuGraph graph = gpu_capture_end(cuda->stream);
    if (graph && be->failed) { /* half a pass */
        gpu_graph_free(graph);
        graph = nullptr;
    }
    replay->graph = graph;
    if (graph)
        gpu_graph_launch(graph, cuda->stream);
}

void replays_open(Cuda *cuda)
{
    cuda->replays.items = static_cast<Replay *>(xcalloc(REPLAYS_MAX, sizeof(Replay)));
}

void replays_close(Cuda *cuda)
{
    if (cuda->replays.items)
        replays_forget(cuda);
    free(cuda->replays.items);
}

} // namespace GPU_SPACE
