/* Runs a grid: block after block in shuffled order, the threads of a block as fibers.
 *
 * A fiber runs until its thread synchronises (a shuffle, a vote, a product, a barrier) or ends. Warps run in turn in
 * shuffled order, each until all its lanes wait at a barrier or have ended: so a kernel that relies on another warp's
 * progress without a barrier reads poison or waits for ever, which is reported. Threads that ended take part in no
 * collective. The fiber of a thread that ended takes the next thread, so a kernel without collectives uses one fiber
 * and costs two context switches per thread.
 *
 * After a failure (lane_fail, lanes at different places) the block's fibers are dropped as they are. */
#include "kernels/cuda/host/fiber.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernels/cuda/host/switch.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define FORGET_REDZONES(memory, size) ASAN_UNPOISON_MEMORY_REGION(memory, size)
#else
#define FORGET_REDZONES(memory, size) ((void)0)
#endif

#if defined(__x86_64__)
asm(".text\n"
    ".globl gpu_host_switch\n"
    ".type gpu_host_switch,@function\n"
    "gpu_host_switch:\n"
    "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
    "    ret\n"
    ".size gpu_host_switch,.-gpu_host_switch\n");
#endif

constinit thread_local uint3 threadIdx = {}, blockIdx = {};
constinit thread_local dim3 blockDim, gridDim;

namespace gpu_host {

enum { WARP_LANES = 32, STACK = 128 << 10 };

enum State { FRESH, READY, AT_WARP, AT_BLOCK, GONE };

struct Fiber {
    Context context;
    char *stack;
};

struct Lane {
    State state;
    Fiber *fiber;
    uint3 index;
    Site site;
    unsigned mask;
    Resolve resolve;
    void *mine;
    std::vector<AsyncCopy> copies;
    int copy_group;
};

struct Machine {
    Context scheduler;
    std::vector<Fiber *> idle;
    std::vector<Lane> lanes;
    Lane *running;
    int threads;
    const Grid *grid;
    void (*thread)(const void *);
    const void *closure;
    bool broken; /* this launch */
    uint64_t random;
    ~Machine();
};

static thread_local Machine machine;

Machine::~Machine()
{
    for (Fiber *fiber : idle) {
        munmap(fiber->stack, STACK);
        delete fiber;
    }
}

/* --- failures --------------------------------------------------------------------------------------------- */

/* The launch's failure, with the place in the grid. */
static void launch_fail(const char *text)
{
    device_fail("kernel %s, block (%u,%u,%u), thread (%u,%u,%u): %s", machine.grid->name, blockIdx.x, blockIdx.y, blockIdx.z,
                threadIdx.x, threadIdx.y, threadIdx.z, text);
    machine.broken = true;
}

void lane_fail(const char *format, ...)
{
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    launch_fail(text);
    for (;;) /* the scheduler does not return */
        context_switch(&machine.running->fiber->context, &machine.scheduler);
}

/* --- threads ---------------------------------------------------------------------------------------------- */

std::vector<AsyncCopy> &lane_copies()
{
    return machine.running->copies;
}

int &lane_copy_group()
{
    return machine.running->copy_group;
}

int warp_lanes()
{
    int first = static_cast<int>(machine.running - machine.lanes.data()) / WARP_LANES * WARP_LANES;
    return machine.threads - first < WARP_LANES ? machine.threads - first : WARP_LANES;
}

static void fiber_entry()
{
    for (;;) { /* one thread after the other */
        machine.thread(machine.closure);
        machine.running->state = GONE;
        context_switch(&machine.running->fiber->context, &machine.scheduler);
    }
}

static Fiber *fiber_take()
{
    Machine &m = machine;
    if (!m.idle.empty()) {
        Fiber *fiber = m.idle.back();
        m.idle.pop_back();
        return fiber;
    }
    Fiber *fiber = new Fiber();
    void *stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        abort();
    fiber->stack = static_cast<char *>(stack);
    context_start(&fiber->context, fiber->stack, STACK, fiber_entry);
    return fiber;
}

static void fiber_reset(Fiber *fiber)
{
    FORGET_REDZONES(fiber->stack, STACK);
    context_start(&fiber->context, fiber->stack, STACK, fiber_entry);
}

static void lane_run(Lane *lane)
{
    Machine &m = machine;
    if (lane->state == FRESH) {
        lane->fiber = fiber_take();
        lane->copies.clear();
        lane->copy_group = 0;
    }
    lane->state = READY;
    m.running = lane;
    threadIdx = lane->index;
    context_switch(&m.scheduler, &lane->fiber->context);
    if (lane->state == GONE || m.broken) {
        if (m.broken)
            fiber_reset(lane->fiber);
        m.idle.push_back(lane->fiber);
        lane->fiber = nullptr;
    }
}

/* --- meetings --------------------------------------------------------------------------------------------- */

static void wait(State state, Site site)
{
    Lane *lane = machine.running;
    lane->state = state;
    lane->site = site;
    context_switch(&lane->fiber->context, &machine.scheduler);
}

void meet_block(Site site)
{
    wait(AT_BLOCK, site);
}

void meet_warp(Resolve resolve, void *mine, unsigned mask, Site site)
{
    Lane *lane = machine.running;
    if (!(mask >> (lane - machine.lanes.data()) % WARP_LANES & 1))
        lane_fail("%s:%d: the mask %08x leaves out the lane itself", site.file, site.line, mask);
    lane->resolve = resolve;
    lane->mine = mine;
    lane->mask = mask;
    wait(AT_WARP, site);
}

struct Vote {
    bool vote;
    unsigned votes, present;
};

static void resolve_ballot(void *const *lanes)
{
    unsigned votes = 0, present = 0;
    for (int i = 0; i < WARP_LANES; i++)
        if (lanes[i]) {
            present |= 1u << i;
            votes |= static_cast<unsigned>(static_cast<Vote *>(lanes[i])->vote) << i;
        }
    for (int i = 0; i < WARP_LANES; i++)
        if (lanes[i]) {
            static_cast<Vote *>(lanes[i])->votes = votes;
            static_cast<Vote *>(lanes[i])->present = present;
        }
}

unsigned ballot(unsigned mask, bool vote, unsigned *ret_mask, Site site)
{
    Vote mine = {vote, 0, 0};
    meet_warp(resolve_ballot, &mine, mask, site);
    *ret_mask = mine.present;
    return mine.votes;
}

static bool same_place(const Lane &a, const Lane &b)
{
    return a.site.file == b.site.file && a.site.line == b.site.line && a.resolve == b.resolve && a.mask == b.mask;
}

/* Runs the collective that lane i of a warp waits for, if all live lanes of its mask have reached it. */
static bool meeting_hold(Lane *warp, int lanes, int i)
{
    static char nothing; /* for collectives without arguments */
    void *args[WARP_LANES] = {nullptr};
    for (int j = 0; j < lanes; j++) {
        if (!(warp[i].mask >> j & 1) || warp[j].state == GONE)
            continue;
        if (warp[j].state != AT_WARP || !same_place(warp[i], warp[j]))
            return false;
        args[j] = warp[j].mine ? warp[j].mine : &nothing;
    }
    warp[i].resolve(args);
    for (int j = 0; j < lanes; j++)
        if (args[j])
            warp[j].state = READY;
    return true;
}

static void tell_strays(Lane *warp, int lanes)
{
    const Lane *one = nullptr;
    for (int i = 0; i < lanes && !machine.broken; i++) {
        const Lane &lane = warp[i];
        if (lane.state != AT_WARP && lane.state != AT_BLOCK)
            continue;
        if (one && (one->state != lane.state || !same_place(*one, lane))) {
            char text[320];
            threadIdx = lane.index;
            snprintf(text, sizeof(text), "lanes of a warp wait at different places: one at %s:%d, this at %s:%d", one->site.file,
                     one->site.line, lane.site.file, lane.site.line);
            launch_fail(text);
        }
        one = one ? one : &lane;
    }
    if (!machine.broken)
        launch_fail("lanes of a warp wait for lanes that do not come");
}

/* Until all lanes of the warp wait at a barrier or have ended. */
static void warp_run(Lane *warp, int lanes, bool backwards)
{
    for (;;) {
        bool waiting = false, met = false;
        for (int i = 0; i < lanes && !machine.broken; i++) {
            Lane *lane = &warp[backwards ? lanes - 1 - i : i];
            if (lane->state == FRESH || lane->state == READY)
                lane_run(lane);
        }
        for (int i = 0; i < lanes && !machine.broken; i++)
            if (warp[i].state == AT_WARP) {
                waiting = true;
                met = meeting_hold(warp, lanes, i) || met;
            }
        if (machine.broken || !waiting)
            return;
        if (!met) {
            tell_strays(warp, lanes);
            return;
        }
    }
}

/* --- blocks ----------------------------------------------------------------------------------------------- */

static unsigned random_bits()
{
    machine.random = machine.random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<unsigned>(machine.random >> 33);
}

/* All wait at one barrier, or all have ended. True while there is more to run. */
static bool barrier_pass()
{
    Machine &m = machine;
    const Lane *one = nullptr;
    for (int i = 0; i < m.threads; i++) {
        Lane &lane = m.lanes[static_cast<size_t>(i)];
        if (lane.state == GONE)
            continue;
        if (one && (one->site.line != lane.site.line || one->site.file != lane.site.file)) {
            char text[320];
            threadIdx = lane.index;
            snprintf(text, sizeof(text), "threads wait at different barriers: one at %s:%d, this at %s:%d", one->site.file,
                     one->site.line, lane.site.file, lane.site.line);
            launch_fail(text);
            return false;
        }
        one = &lane;
        lane.state = READY;
    }
    return one != nullptr;
}

static void block_run()
{
    Machine &m = machine;
    int warps = (m.threads + WARP_LANES - 1) / WARP_LANES;
    for (int i = 0; i < m.threads; i++)
        m.lanes[static_cast<size_t>(i)].state = FRESH;
    shared_poison();
    do {
        int first = static_cast<int>(random_bits() % static_cast<unsigned>(warps));
        bool backwards = random_bits() & 1;
        for (int i = 0; i < warps && !m.broken; i++) {
            int warp = (backwards ? first + warps - i : first + i) % warps, from = warp * WARP_LANES;
            warp_run(&m.lanes[static_cast<size_t>(from)], m.threads - from < WARP_LANES ? m.threads - from : WARP_LANES, backwards);
        }
    } while (!m.broken && barrier_pass());
    const char *complaint = m.broken ? nullptr : shared_check();
    if (complaint)
        launch_fail(complaint);
    for (Lane &lane : m.lanes)
        if (lane.fiber) { /* from a failed block */
            fiber_reset(lane.fiber);
            m.idle.push_back(lane.fiber);
            lane.fiber = nullptr;
        }
}

static bool grid_refused(const Grid &g)
{
    uint64_t threads = static_cast<uint64_t>(g.block.x) * g.block.y * g.block.z;
    if (threads < 1 || threads > THREADS_MAX || g.block.z > 64)
        device_fail("kernel %s: a block of (%u,%u,%u) threads, wanted 1..%d", g.name, g.block.x, g.block.y, g.block.z,
                    (int)THREADS_MAX);
    else if (g.grid.x < 1 || g.grid.y < 1 || g.grid.z < 1 || g.grid.x > 0x7fffffffu || g.grid.y > GRID_YZ_MAX ||
             g.grid.z > GRID_YZ_MAX)
        device_fail("kernel %s: a grid of (%u,%u,%u) blocks, wanted 1..2^31-1, 1..%d, 1..%d", g.name, g.grid.x, g.grid.y,
                    g.grid.z, (int)GRID_YZ_MAX, (int)GRID_YZ_MAX);
    else if (g.shared > SHARED_MAX)
        device_fail("kernel %s: %zu bytes of shared memory, a block has %d", g.name, g.shared, (int)SHARED_MAX);
    else
        return false;
    return true;
}

static void lanes_place(const Grid &g)
{
    Machine &m = machine;
    m.threads = static_cast<int>(g.block.x * g.block.y * g.block.z);
    if (m.lanes.size() < static_cast<size_t>(m.threads))
        m.lanes.resize(static_cast<size_t>(m.threads));
    for (int i = 0; i < m.threads; i++) {
        unsigned at = static_cast<unsigned>(i);
        m.lanes[at].index = {at % g.block.x, at / g.block.x % g.block.y, at / g.block.x / g.block.y};
    }
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Every block once: i -> (i * step + start) mod n with a step that shares no divisor with n. */
static void blocks_run(const Grid &g)
{
    uint64_t n = static_cast<uint64_t>(g.grid.x) * g.grid.y * g.grid.z, start = random_bits() % n, step = random_bits() % n | 1;
    while (common_divisor(step, n) != 1)
        step++;
    for (uint64_t i = 0; i < n && !machine.broken; i++) {
        uint64_t at = (i * step + start) % n;
        blockIdx = {static_cast<unsigned>(at % g.grid.x), static_cast<unsigned>(at / g.grid.x % g.grid.y),
                    static_cast<unsigned>(at / g.grid.x / g.grid.y)};
        block_run();
    }
}

void run_grid(const Grid &grid, void (*thread)(const void *), const void *closure)
{
    Machine &m = machine;
    if (device_failed() || grid_refused(grid))
        return; /* as on a GPU: nothing runs after a failure */
    m.random = m.random ? m.random : 1;
    m.grid = &grid;
    m.thread = thread;
    m.closure = closure;
    m.broken = false;
    shared_begin(grid.shared);
    blockDim = grid.block;
    gridDim = grid.grid;
    lanes_place(grid);
    blocks_run(grid);
    shared_end();
}

} // namespace gpu_host
