/* Stack switching: a fiber is a stack and a saved position. On x86-64 a switch is a dozen instructions; other machines
 * use ucontext, which makes two system calls per switch and is some hundred times slower. */
#ifndef KERNELS_CUDA_HOST_SWITCH_H
#define KERNELS_CUDA_HOST_SWITCH_H

#include <stddef.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace gpu_host
{

#if defined(__x86_64__)

struct Context {
    void *sp;
};

extern "C" void gpu_host_switch(void **ret_sp, void *sp);

static inline void context_switch(Context *from, Context *to)
{
    gpu_host_switch(&from->sp, to->sp);
}

/* A fiber that will run `entry` (which never returns) on the stack. */
static inline void context_start(Context *context, char *stack, size_t size, void (*entry)())
{
    void **top = reinterpret_cast<void **>(stack + size);
    top[-1] = nullptr; /* the frame of a caller that is not there */
    top[-2] = reinterpret_cast<void *>(entry);
    for (int i = 3; i <= 8; i++) /* six saved registers */
        top[-i] = nullptr;
    context->sp = top - 8;
}

#else

struct Context {
    ucontext_t place;
};

static inline void context_switch(Context *from, Context *to)
{
    swapcontext(&from->place, &to->place);
}

static inline void context_start(Context *context, char *stack, size_t size, void (*entry)())
{
    getcontext(&context->place);
    context->place.uc_stack.ss_sp = stack;
    context->place.uc_stack.ss_size = size;
    context->place.uc_link = nullptr;
    makecontext(&context->place, entry, 0);
}

#endif

} // namespace gpu_host

#endif
