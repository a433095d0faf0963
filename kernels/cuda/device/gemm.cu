/* Matrix products by cublasLt. In its column-major terms: y^T[N,R] = op(w)[N,K] x^T[K,R], w transposed, all leading
 * dimensions the row lengths. The library is opened by name at the first gemm_open (gemm.h says why). */
#include "kernels/cuda/gemm.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"

#define NAME_OF(major) NAME_TEXT(major)
#define NAME_TEXT(major) "libcublasLt.so." #major
#ifndef DDQ_CUDA_LIBRARIES
#define DDQ_CUDA_LIBRARIES "/usr/local/cuda/lib64"
#endif

namespace gpu_device {

enum { WORKSPACE = 32 << 20, USUAL_ROWS = 512 };

/* The functions used, by cublasLt's own names and types. */
#define FUNCTIONS(X)                                                                                                   \
    X(cublasLtCreate) X(cublasLtDestroy) X(cublasLtGetStatusString) X(cublasLtMatmul) X(cublasLtMatmulAlgoGetHeuristic) \
    X(cublasLtMatmulDescCreate) X(cublasLtMatmulDescDestroy) X(cublasLtMatmulDescSetAttribute)                         \
    X(cublasLtMatmulPreferenceCreate) X(cublasLtMatmulPreferenceDestroy) X(cublasLtMatmulPreferenceSetAttribute)       \
    X(cublasLtMatrixLayoutCreate) X(cublasLtMatrixLayoutDestroy)

struct Library {
#define FIELD(name) decltype(&::name) name;
    FUNCTIONS(FIELD)
#undef FIELD
};

/* One shape of weights: how its products are made. */
struct Plan {
    Plan *next;
    Precision precision;
    int64_t n, k;
    bool bias;
    cublasLtMatmulDesc_t desc;
    cublasLtMatmulAlgo_t algo;
};

struct Gemm {
    Library lt;
    cublasLtHandle_t handle;
    void *workspace;
    Plan *plans;
};

/* --- the library ------------------------------------------------------------------------------------------ */

static bool library_load(Library *lt, Err *err)
{
    const char *const places[] = {NAME_OF(CUBLAS_VER_MAJOR), DDQ_CUDA_LIBRARIES "/" NAME_OF(CUBLAS_VER_MAJOR)};
    void *library = nullptr;
    for (size_t i = 0; i < countof(places) && !library; i++)
        library = dlopen(places[i], RTLD_NOW | RTLD_LOCAL); /* stays until the process ends */
    if (!library)
        return err_set(err, ERR_DEVICE, "device cuda: %s is not installed; install cuBLAS %d or use the device cpu", places[0],
                       CUBLAS_VER_MAJOR);
#define LOAD(name)                                                                                                     \
    lt->name = reinterpret_cast<decltype(lt->name)>(dlsym(library, #name));                                            \
    if (!lt->name)                                                                                                     \
        return err_set(err, ERR_DEVICE, "device cuda: %s has no %s", places[0], #name);
    FUNCTIONS(LOAD)
#undef LOAD
    return true;
}

static bool fine(const Gemm *gemm, cublasStatus_t status, const char *what, Err *err)
{
    return status == CUBLAS_STATUS_SUCCESS ||
           err_set(err, ERR_DEVICE, "cublasLt %s: %s", what, gemm->lt.cublasLtGetStatusString(status));
}

Gemm *gemm_open(const GpuDevice *device, Err *err)
{
    Gemm *gemm = static_cast<Gemm *>(xcalloc(1, sizeof(*gemm)));
    if (library_load(&gemm->lt, err) && fine(gemm, gemm->lt.cublasLtCreate(&gemm->handle), "start", err)) {
        gemm->workspace = gpu_malloc(WORKSPACE);
        if (gemm->workspace)
            return gemm;
        err_set(err, ERR_MEMORY, "device %s: no %d MiB for products", device->info.uuid, WORKSPACE >> 20);
    }
    gemm_close(gemm);
    return nullptr;
}

void gemm_close(Gemm *gemm)
{
    while (gemm && gemm->plans) {
        Plan *plan = gemm->plans;
        gemm->plans = plan->next;
        if (plan->desc)
            gemm->lt.cublasLtMatmulDescDestroy(plan->desc);
        free(plan);
    }
    if (gemm && gemm->workspace)
        gpu_free(gemm->workspace);
    if (gemm && gemm->handle)
        gemm->lt.cublasLtDestroy(gemm->handle);
    free(gemm);
}

/* --- plans ------------------------------------------------------------------------------------------------ */

static cudaDataType_t operand_type(Precision precision)
{
    return precision == PREC_F16 ? CUDA_R_16F : precision == PREC_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

/* The three matrices for a number of rows. */
struct Layouts {
    cublasLtMatrixLayout_t w, x, y;
};

static bool layouts_make(const Gemm *gemm, const Plan *plan, int64_t rows, Layouts *ret, Err *err)
{
    cudaDataType_t type = operand_type(plan->precision);
    uint64_t n = static_cast<uint64_t>(plan->n), k = static_cast<uint64_t>(plan->k), r = static_cast<uint64_t>(rows);
    *ret = Layouts{};
    return fine(gemm, gemm->lt.cublasLtMatrixLayoutCreate(&ret->w, type, k, n, plan->k), "layout", err) &&
           fine(gemm, gemm->lt.cublasLtMatrixLayoutCreate(&ret->x, type, k, r, plan->k), "layout", err) &&
           fine(gemm, gemm->lt.cublasLtMatrixLayoutCreate(&ret->y, CUDA_R_32F, n, r, plan->n), "layout", err);
}

static void layouts_done(const Gemm *gemm, const Layouts *layouts)
{
    for (cublasLtMatrixLayout_t layout : {layouts->w, layouts->x, layouts->y})
        if (layout)
            gemm->lt.cublasLtMatrixLayoutDestroy(layout);
}

static bool desc_make(const Gemm *gemm, Plan *plan, Err *err)
{
    cublasComputeType_t compute = plan->precision == PREC_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    cublasOperation_t turned = CUBLAS_OP_T;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    return fine(gemm, gemm->lt.cublasLtMatmulDescCreate(&plan->desc, compute, CUDA_R_32F), "description", err) &&
           fine(gemm, gemm->lt.cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof(turned)),
                "description", err) &&
           (!plan->bias || fine(gemm, gemm->lt.cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                                              sizeof(epilogue)),
                                "description", err));
}

/* What every pointer of a row is aligned to when the first is to 16 bytes. */
static uint32_t row_alignment(int64_t row_bytes)
{
    int64_t power = row_bytes & -row_bytes; /* of two, the largest that divides it */
    return static_cast<uint32_t>(power < 16 ? power : 16);
}

static bool preference_make(const Gemm *gemm, const Plan *plan, cublasLtMatmulPreference_t *ret, Err *err)
{
    uint64_t workspace = WORKSPACE;
    uint32_t whole_sums = CUBLASLT_REDUCTION_SCHEME_NONE;
    uint32_t in = row_alignment(plan->k * (operand_type(plan->precision) == CUDA_R_32F ? 4 : 2)), out = row_alignment(plan->n * 4);
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t size;
    } wishes[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof(workspace)},
                  {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &whole_sums, sizeof(whole_sums)},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &in, sizeof(in)},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &in, sizeof(in)},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out, sizeof(out)},
                  {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out, sizeof(out)}};
    bool good = fine(gemm, gemm->lt.cublasLtMatmulPreferenceCreate(ret), "preference", err);
    for (size_t i = 0; good && i < countof(wishes); i++)
        good = fine(gemm, gemm->lt.cublasLtMatmulPreferenceSetAttribute(*ret, wishes[i].name, wishes[i].value, wishes[i].size),
                    "preference", err);
    return good;
}

static bool plan_choose(const Gemm *gemm, Plan *plan, Err *err)
{
    Layouts layouts = {};
    cublasLtMatmulPreference_t preference = nullptr;
    cublasLtMatmulHeuristicResult_t found = {};
    int count = 0;
    bool good = desc_make(gemm, plan, err) && layouts_make(gemm, plan, USUAL_ROWS, &layouts, err);
    good = good && preference_make(gemm, plan, &preference, err) &&
           fine(gemm, gemm->lt.cublasLtMatmulAlgoGetHeuristic(gemm->handle, plan->desc, layouts.w, layouts.x, layouts.y, layouts.y,
                                                              preference, 1, &found, &count),
                "choice", err);
    if (preference)
        gemm->lt.cublasLtMatmulPreferenceDestroy(preference);
    layouts_done(gemm, &layouts);
    if (good && count == 0)
        good = err_set(err, ERR_DEVICE, "cublasLt has no algorithm for products [%lld,%lld]", static_cast<long long>(plan->n),
                       static_cast<long long>(plan->k));
    plan->algo = found.algo;
    return good;
}

static Plan *plan_get(Gemm *gemm, const GemmCall *call, Err *err)
{
    for (Plan *p = gemm->plans; p; p = p->next)
        if (p->n == call->n && p->k == call->k && p->precision == call->precision && p->bias == (call->bias != nullptr))
            return p;
    Plan *plan = static_cast<Plan *>(xcalloc(1, sizeof(*plan)));
    plan->precision = call->precision;
    plan->n = call->n;
    plan->k = call->k;
    plan->bias = call->bias != nullptr;
    if (!plan_choose(gemm, plan, err)) {
        if (plan->desc)
            gemm->lt.cublasLtMatmulDescDestroy(plan->desc);
        free(plan);
        return nullptr;
    }
    plan->next = gemm->plans;
    return gemm->plans = plan;
}

/* --- running ---------------------------------------------------------------------------------------------- */

bool gemm_run(Gemm *gemm, const GemmCall *call, GpuStream stream, Err *err)
{
    const Plan *plan = plan_get(gemm, call, err);
    const float one = 1, beta = call->accumulate ? 1.0f : 0.0f;
    Layouts layouts = {};
    bool good = plan && layouts_make(gemm, plan, call->rows, &layouts, err);
    if (good && call->bias)
        good = fine(gemm, gemm->lt.cublasLtMatmulDescSetAttribute(plan->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &call->bias,
                                                                  sizeof(call->bias)),
                    "bias", err);
    good = good && fine(gemm, gemm->lt.cublasLtMatmul(gemm->handle, plan->desc, &one, call->w, layouts.w, call->x, layouts.x, &beta,
                                                      call->y, layouts.y, call->y, layouts.y, &plan->algo, gemm->workspace, WORKSPACE,
                                                      stream),
                        "product", err);
    layouts_done(gemm, &layouts);
    return good;
}

} // namespace gpu_device
