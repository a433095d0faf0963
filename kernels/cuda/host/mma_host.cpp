/* Tensor-core products, matrix loads and background copies, as documented.
 *
 * A product: a collective of the lanes with their fragments; one of them assembles plain matrices by the documented
 * layout, multiplies, and writes each lane's four sums. A background copy only happens at the wait that covers it, so a
 * missing wait reads the NaN that shared memory starts with. */
#include "kernels/cuda/host/mma_host.h"

#include <vector>

#include "kernels/cuda/host/fiber.h"

namespace gpu_host {

/* --- products --------------------------------------------------------------------------------------------- */

struct Fragment {
    float *d;
    const unsigned *a, *b;
};

typedef float (*Value)(unsigned bits);

static float half_of(unsigned bits)
{
    return gpu_host_halves[bits & 0xffffu];
}

static float bfloat16_of(unsigned bits)
{
    return __uint_as_float(bits << 16);
}

static float tf32_of(unsigned bits)
{
    return __uint_as_float(bits & 0xffffe000u); /* the tensor core ignores the low bits */
}

/* d += a b over the fragments' lanes; a is [16][k], b [k][8]. */
static void multiply(void *const *lanes, const float *a, const float *b, int k)
{
    float sum[16][8] = {{0}};
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < k; i++)
            for (int col = 0; col < 8; col++)
                sum[row][col] += a[row * k + i] * b[i * 8 + col];
    for (int lane = 0; lane < 32; lane++)
        for (int i = 0; i < 4; i++)
            static_cast<Fragment *>(lanes[lane])->d[i] += sum[lane / 4 + 8 * (i / 2)][lane % 4 * 2 + i % 2];
}

static bool whole_warp(void *const *lanes)
{
    for (int lane = 0; lane < 32; lane++)
        if (!lanes[lane])
            return false;
    return true;
}

template <Value value> static void resolve_16bit(void *const *lanes)
{
    float a[16][16], b[16][8];
    if (!whole_warp(lanes))
        return;
    for (int lane = 0; lane < 32; lane++) {
        const Fragment *f = static_cast<const Fragment *>(lanes[lane]);
        int r = lane / 4, c = lane % 4 * 2;
        for (int i = 0; i < 8; i++)
            a[r + 8 * (i / 2 % 2)][c + i % 2 + 8 * (i / 4)] = value(f->a[i / 2] >> 16 * (i % 2));
        for (int i = 0; i < 4; i++)
            b[c + i % 2 + 8 * (i / 2)][r] = value(f->b[i / 2] >> 16 * (i % 2));
    }
    multiply(lanes, a[0], b[0], 16);
}

static void resolve_tf32(void *const *lanes)
{
    float a[16][8], b[8][8];
    if (!whole_warp(lanes))
        return;
    for (int lane = 0; lane < 32; lane++) {
        const Fragment *f = static_cast<const Fragment *>(lanes[lane]);
        int r = lane / 4, c = lane % 4;
        for (int i = 0; i < 4; i++)
            a[r + 8 * (i % 2)][c + 4 * (i / 2)] = tf32_of(f->a[i]);
        for (int i = 0; i < 2; i++)
            b[c + 4 * i][r] = tf32_of(f->b[i]);
    }
    multiply(lanes, a[0], b[0], 8);
}

static void meet_whole(Resolve resolve, void *mine, Site site)
{
    if (warp_lanes() != 32)
        lane_fail("%s:%d: a tensor-core product needs 32 lanes, this warp has %d", site.file, site.line, warp_lanes());
    meet_warp(resolve, mine, 0xffffffffu, site);
}

void mma_half(float *d, const unsigned *a, const unsigned *b, Site site)
{
    Fragment mine = {d, a, b};
    meet_whole(resolve_16bit<half_of>, &mine, site);
}

void mma_bfloat16(float *d, const unsigned *a, const unsigned *b, Site site)
{
    Fragment mine = {d, a, b};
    meet_whole(resolve_16bit<bfloat16_of>, &mine, site);
}

void mma_tf32(float *d, const unsigned *a, const unsigned *b, Site site)
{
    Fragment mine = {d, a, b};
    meet_whole(resolve_tf32, &mine, site);
}

/* --- matrix loads ----------------------------------------------------------------------------------------- */

struct MatrixLoad {
    unsigned *r;
    const void *row;
    int matrices;
    bool turned;
};

static void resolve_load(void *const *lanes)
{
    for (int lane = 0; lane < 32; lane++) {
        const MatrixLoad *mine = static_cast<const MatrixLoad *>(lanes[lane]);
        for (int m = 0; mine && m < mine->matrices; m++) {
            uint16_t pair[2];
            for (int i = 0; i < 2; i++) {
                int row = mine->turned ? lane % 4 * 2 + i : lane / 4, col = mine->turned ? lane / 4 : lane % 4 * 2 + i;
                const MatrixLoad *owner = static_cast<const MatrixLoad *>(lanes[8 * m + row]);
                memcpy(&pair[i], static_cast<const uint16_t *>(owner->row) + col, sizeof(pair[i]));
            }
            memcpy(&mine->r[m], pair, sizeof(pair));
        }
    }
}

void load_matrices(unsigned *r, const void *row, int matrices, bool turned, Site site)
{
    MatrixLoad mine = {r, row, matrices, turned};
    if (lane_id() < 8 * matrices && !in_shared(row, 16))
        lane_fail("%s:%d: ldmatrix reads %p: not 16 aligned bytes of shared memory", site.file, site.line, row);
    meet_whole(resolve_load, &mine, site);
}

/* --- background copies ---------------------------------------------------------------------------------- */

void copy_async(void *shared, const void *global, bool inside, Site site)
{
    if (!in_shared(shared, 16))
        lane_fail("%s:%d: cp.async writes %p: not 16 aligned bytes of shared memory", site.file, site.line, shared);
    if (inside && reinterpret_cast<uintptr_t>(global) % 16)
        lane_fail("%s:%d: cp.async reads %p: not aligned to 16 bytes", site.file, site.line, global);
    lane_copies().push_back({shared, inside ? global : nullptr, -1});
}

void copy_async_commit()
{
    int &group = lane_copy_group();
    for (AsyncCopy &copy : lane_copies())
        if (copy.group < 0)
            copy.group = group;
    group++;
}

void copy_async_wait(int left)
{
    std::vector<AsyncCopy> &copies = lane_copies();
    size_t kept = 0;
    for (AsyncCopy &copy : copies) {
        if (copy.group < 0 || copy.group >= lane_copy_group() - left)
            copies[kept++] = copy;
        else if (copy.global)
            memcpy(copy.shared, copy.global, 16);
        else
            memset(copy.shared, 0, 16);
    }
    copies.resize(kept);
}

} // namespace gpu_host
