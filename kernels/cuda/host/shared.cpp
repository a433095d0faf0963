/* A block's shared memory: a new copy of its static arrays for each block, its dynamic bytes, poison at the start and guards behind
 * each of them. */
#include <stdlib.h>

#include "kernels/cuda/host/fiber.h"

namespace gpu_host {

enum { GUARD = 64, ARRAYS_MAX = 32, ARENA = STATIC_SHARED_MAX + ARRAYS_MAX * 2 * GUARD };
static const unsigned char POISON = 0xff, GUARD_BYTE = 0xa5; /* the former as floats: NaN */

struct Array {
    const void *key; /* of its declaration */
    char *at;
    size_t bytes;
};

struct Shared {
    char *dynamic, *arena;
    size_t dynamic_bytes, used, dirty; /* of the arena: by this block, by any */
    size_t bytes;                      /* of this block's arrays, without guards */
    Array arrays[ARRAYS_MAX];
    int narrays;
    ~Shared() { free(arena); }
};

static thread_local Shared shared;

void *static_shared(const void *key, size_t bytes, size_t align)
{
    Shared &s = shared;
    for (int i = 0; i < s.narrays; i++)
        if (s.arrays[i].key == key)
            return s.arrays[i].at;
    align = align < 16 ? 16 : align; /* as generous as nvcc */
    size_t at = (s.used + align - 1) / align * align;
    if (s.narrays == ARRAYS_MAX || s.bytes + bytes > STATIC_SHARED_MAX)
        lane_fail("%zu bytes of static shared memory and %zu more; a block has %d", s.bytes, bytes, (int)STATIC_SHARED_MAX);
    s.arrays[s.narrays++] = {key, s.arena + at, bytes};
    s.bytes += bytes;
    s.used = at + bytes + GUARD;
    s.dirty = s.used > s.dirty ? s.used : s.dirty;
    memset(s.arena + at + bytes, GUARD_BYTE, GUARD);
    return s.arena + at;
}

void *dynamic_shared()
{
    return shared.dynamic;
}

bool in_shared(const void *at, size_t aligned_bytes)
{
    const Shared &s = shared;
    const char *p = static_cast<const char *>(at);
    bool inside = s.dynamic_bytes && p >= s.dynamic && p + aligned_bytes <= s.dynamic + s.dynamic_bytes;
    for (int i = 0; i < s.narrays; i++)
        inside = inside || (p >= s.arrays[i].at && p + aligned_bytes <= s.arrays[i].at + s.arrays[i].bytes);
    return inside && reinterpret_cast<uintptr_t>(at) % aligned_bytes == 0;
}

void shared_begin(size_t dynamic_bytes)
{
    Shared &s = shared;
    void *dynamic = nullptr;
    if (!s.arena)
        s.arena = static_cast<char *>(aligned_alloc(GUARD, ARENA));
    if (!s.arena || posix_memalign(&dynamic, 128, dynamic_bytes + GUARD))
        abort();
    s.dynamic = static_cast<char *>(dynamic);
    s.dynamic_bytes = dynamic_bytes;
    memset(s.dynamic + dynamic_bytes, GUARD_BYTE, GUARD);
}

void shared_poison()
{
    Shared &s = shared;
    memset(s.arena, POISON, s.dirty);
    memset(s.dynamic, POISON, s.dynamic_bytes);
    s.used = s.bytes = 0;
    s.narrays = 0;
}

static bool guarded(const char *at)
{
    for (int i = 0; i < GUARD; i++)
        if (static_cast<unsigned char>(at[i]) != GUARD_BYTE)
            return false;
    return true;
}

const char *shared_check()
{
    const Shared &s = shared;
    for (int i = 0; i < s.narrays; i++)
        if (!guarded(s.arrays[i].at + s.arrays[i].bytes))
            return "a static shared array is written past its end";
    return guarded(s.dynamic + s.dynamic_bytes) ? nullptr : "dynamic shared memory is written past its end";
}

void shared_end()
{
    free(shared.dynamic);
    shared.dynamic = nullptr;
}

} // namespace gpu_host
