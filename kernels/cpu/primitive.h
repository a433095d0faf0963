/* Primitive: one compiled oneDNN operation with its arguments' shapes. Made once for a shape, run with any pointers.
 *
 *     Primitive p = {0};
 *     primitive_make(cpu, &p, &desc, attr, err);             // desc: a dnnl_*_desc_t
 *     primitive_arg(cpu, &p, DNNL_ARG_SRC, NULL, err); ...   // in the order of the pointers below
 *     primitive_run(cpu, &p, (void *[]){x, w, y});
 *     primitive_done(&p);
 *
 * Scratch that oneDNN wants comes from the backend's, so that running allocates nothing of ours. */
#ifndef KERNELS_CPU_PRIMITIVE_H
#define KERNELS_CPU_PRIMITIVE_H

#include "kernels/cpu/cpu.h"

typedef struct Primitive {
    dnnl_primitive_t handle; /* NULL: not made */
    dnnl_primitive_desc_t desc;
    dnnl_memory_t memory[6];
    int args[6];
    int nargs;
    dnnl_memory_t scratch;
    size_t scratch_bytes;
} Primitive;

/* Takes desc and attr as oneDNN does (attr may be NULL; it is not kept). On failure p stays unmade; err may be NULL. */
bool primitive_make(Cpu *cpu, Primitive *p, const void *desc, const_dnnl_primitive_attr_t attr, Err *err);
void primitive_done(Primitive *p); /* an unmade one is fine */

/* Which argument (DNNL_ARG_*) the next pointer is; its memory description is asked from the primitive. */
void primitive_arg(Cpu *cpu, Primitive *p, int arg);
const dnnl_memory_desc_t *primitive_md(const Primitive *p, int arg);
const char *primitive_name(const Primitive *p); /* oneDNN's name of the kernel: "brgemm:avx512_core" */

/* Failures go to backend_fail. */
void primitive_run(Cpu *cpu, const Primitive *p, void *const *pointers);

/* Copies between descriptions, converting type and layout. */
bool primitive_reorder(Cpu *cpu, const dnnl_memory_desc_t *from, const void *src, const dnnl_memory_desc_t *to,
                       void *dst, Err *err);

/* A new attribute with user scratchpad; sum: add to what the output holds; relu: then max(0, .). */
dnnl_primitive_attr_t primitive_attr(bool sum, bool relu);

dnnl_memory_desc_t primitive_dense(dnnl_data_type_t type, dnnl_format_tag_t tag, int ndim, const int64_t *dims);

#endif
