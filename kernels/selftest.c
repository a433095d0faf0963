/* backend_selftest: one op of each kind on numbers small enough to check with plain loops here. It checks in well under
 * a second whether this build computes on this machine at all; tests/ops checks all ops and shapes.
 *
 * To add a check: a function that fills inputs, runs an op and compares through `near`, and its row in `checks`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "kernels/workspace.h"

typedef struct Self {
    Backend *be;
    Workspace workspace;
    const char *what;
    Err *err;
    bool good;
} Self;

enum { SLAB_BYTES = 1 << 20, ROWS = 5, WIDTH = 24, SIDE = 6 };

/* A fixed pattern in [-1,1] that repeats late. */
static float pattern(int64_t i, int salt)
{
    return (float)((i * 37 + salt * 101) % 199) / 99.5f - 1.0f;
}

static Tensor empty(Self *self, int ndim, int64_t a, int64_t b)
{
    return workspace_take(&self->workspace, DTYPE_F32, ndim, a, b, 0, 0);
}

/* A tensor of the backend and the same numbers on the host. */
static Tensor filled(Self *self, int ndim, int64_t a, int64_t b, int salt, float *host)
{
    Tensor t = empty(self, ndim, a, b);
    for (int64_t i = 0; i < tensor_count(&t); i++)
        host[i] = pattern(i, salt);
    be_upload(self->be, t, host);
    return t;
}

static void near(Self *self, Tensor got, const double *want)
{
    float *values = xmalloc(tensor_bytes(&got));
    double bound = backend_precision(self->be) == PREC_F32 ? 1e-4 : 5e-2;
    be_download(self->be, values, got);
    if (!be_check(self->be, self->err)) {
        self->good = err_wrap(self->err, "selftest %s", self->what);
    } else {
        for (int64_t i = 0; self->good && i < tensor_count(&got); i++)
            if (!(fabs(values[i] - want[i]) <= bound * (1 + fabs(want[i]))))
                self->good = err_set(self->err, ERR_DEVICE,
                                     "selftest %s: element %lld is %.9g, wanted %.9g; this device computes wrong here",
                                     self->what, (long long)i, values[i], want[i]);
    }
    free(values);
}

static void check_linear(Self *self)
{
    float x[ROWS * WIDTH], w[WIDTH * WIDTH], bias[WIDTH];
    double want[ROWS * WIDTH];
    Tensor in = filled(self, 2, ROWS, WIDTH, 1, x), out = empty(self, 2, ROWS, WIDTH);
    for (int i = 0; i < WIDTH * WIDTH; i++)
        w[i] = pattern(i, 2);
    for (int i = 0; i < WIDTH; i++)
        bias[i] = pattern(i, 3);
    for (int r = 0; r < ROWS; r++)
        for (int n = 0; n < WIDTH; n++) {
            want[r * WIDTH + n] = bias[n];
            for (int k = 0; k < WIDTH; k++)
                want[r * WIDTH + n] += (double)x[r * WIDTH + k] * w[n * WIDTH + k];
        }
    Linear *linear = be_linear_pack(self->be, w, bias, WIDTH, WIDTH, self->err);
    self->good = linear != NULL;
    if (linear) {
        be_linear(self->be, linear, in, out, false);
        near(self, out, want);
    }
    be_linear_free(self->be, linear);
}

static void check_rms_norm(Self *self)
{
    float x[ROWS * WIDTH];
    double want[ROWS * WIDTH];
    Tensor in = filled(self, 2, ROWS, WIDTH, 4, x), out = empty(self, 2, ROWS, WIDTH);
    for (int r = 0; r < ROWS; r++) {
        double squares = 0;
        for (int i = 0; i < WIDTH; i++)
            squares += (double)x[r * WIDTH + i] * x[r * WIDTH + i];
        for (int i = 0; i < WIDTH; i++)
            want[r * WIDTH + i] = x[r * WIDTH + i] / sqrt(squares / WIDTH + 1e-5);
    }
    be_rms_norm(self->be, in, (Tensor){0}, out);
    near(self, out, want);
}

static void check_swiglu(Self *self)
{
    float x[ROWS * 2 * WIDTH];
    double want[ROWS * WIDTH];
    Tensor in = filled(self, 2, ROWS, 2 * WIDTH, 5, x), out = empty(self, 2, ROWS, WIDTH);
    for (int r = 0; r < ROWS; r++)
        for (int i = 0; i < WIDTH; i++) {
            double a = x[r * 2 * WIDTH + i], b = x[r * 2 * WIDTH + WIDTH + i];
            want[r * WIDTH + i] = a / (1 + exp(-a)) * b;
        }
    be_swiglu(self->be, in, out);
    near(self, out, want);
}

/* Two heads of 4 over 5 tokens, from the first token on. */
static void check_attention(Self *self)
{
    enum { HEADS = 2, HD = 4, T = ROWS, D = HEADS * HD };
    float q[T * D], k[HEADS * T * HD], v[HEADS * T * HD], v_class[D];
    double want[T * D];
    Tensor tq = filled(self, 2, T, D, 6, q), tk = filled(self, 2, HEADS * T, HD, 7, k);
    Tensor tv = filled(self, 2, HEADS * T, HD, 8, v), tc = filled(self, 2, 1, D, 9, v_class),
           out = empty(self, 2, T, D);
    for (int i = 0; i < T; i++)
        for (int at = 0; at < D; at++) {
            int h = at / HD;
            double sum = 1, mix = v_class[at];
            for (int j = 0; j <= i; j++) {
                double score = 0;
                for (int c = 0; c < HD; c++)
                    score += (double)q[i * D + h * HD + c] * k[(h * T + j) * HD + c];
                sum += exp(score / 2);
                mix += exp(score / 2) * v[(h * T + j) * HD + at % HD];
            }
            want[i * D + at] = mix / sum;
        }
    Tensor q3 = tensor_f32(tq.data, 3, 1, T, D, 0), y3 = tensor_f32(out.data, 3, 1, T, D, 0);
    Tensor k4 = tensor_f32(tk.data, 4, 1, HEADS, T, HD), v4 = tensor_f32(tv.data, 4, 1, HEADS, T, HD);
    be_attention(self->be, q3, k4, v4, tc, HEADS, 0, y3);
    near(self, out, want);
}

/* A 3x3 convolution of a small map, through both map conversions. */
static void check_conv(Self *self)
{
    enum { C = 3, PIXELS = SIDE * SIDE };
    float x[PIXELS * C], w[C * C * 9];
    double want[PIXELS * C] = {0};
    const ConvShape shape = {.c_in = C, .c_out = C, .kh = 3, .kw = 3, .stride = 1, .pad_h = 1, .pad_w = 1};
    Tensor in = filled(self, 2, PIXELS, C, 10, x), out = empty(self, 2, PIXELS, C);
    for (int i = 0; i < C * C * 9; i++)
        w[i] = pattern(i, 11);
    for (int p = 0; p < PIXELS * 9; p++) {
        int i = p / 9 / SIDE, j = p / 9 % SIDE, row = i + p % 9 / 3 - 1, col = j + p % 3 - 1;
        for (int c = 0; c < C * C && row >= 0 && row < SIDE && col >= 0 && col < SIDE; c++)
            want[p / 9 * C + c / C] += (double)x[(row * SIDE + col) * C + c % C] * w[c * 9 + p % 9];
    }
    FeatureMap a = workspace_take_map(&self->workspace, self->be, 1, SIDE, SIDE, C),
               b = workspace_take_map(&self->workspace, self->be, 1, SIDE, SIDE, C);
    Conv *conv = be_conv_pack(self->be, w, NULL, &shape, SIDE, SIDE, self->err);
    self->good = conv != NULL;
    if (conv) {
        be_map_from_rows(self->be, in, a);
        be_conv(self->be, conv, a, (FeatureMap){0}, b);
        be_map_to_rows(self->be, b, out);
        near(self, out, want);
    }
    be_conv_free(self->be, conv);
}

static const struct {
    const char *what;
    void (*run)(Self *self);
} checks[] = {
    {"linear", check_linear},       {"rms_norm", check_rms_norm}, {"swiglu", check_swiglu},
    {"attention", check_attention}, {"conv", check_conv},
};

bool backend_selftest(Backend *be, Err *err)
{
    Err local = {0};
    Self self = {.be = be, .err = err ? err : &local, .good = true};
    self.workspace.size = SLAB_BYTES;
    self.good = workspace_open(&self.workspace, be, self.err);
    for (size_t i = 0; self.good && i < countof(checks); i++) {
        workspace_rewind(&self.workspace, 0);
        self.what = checks[i].what;
        checks[i].run(&self);
    }
    workspace_close(&self.workspace);
    return self.good;
}
