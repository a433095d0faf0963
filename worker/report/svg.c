#include "worker/report/svg.h"

#include <math.h>
#include <stdio.h>

#include "core/json.h"

enum { WIDTH = 720, HEIGHT = 260, LEFT = 64, RIGHT = 16, TOP = 12, BOTTOM = 40, TICKS = 5 };

/* Data to pixels. */
typedef struct Axes {
    double x0, x1, y0, y1;
} Axes;

static double px(const Axes *axes, double x)
{
    return LEFT + (x - axes->x0) / (axes->x1 - axes->x0) * (WIDTH - LEFT - RIGHT);
}

static double py(const Axes *axes, double y)
{
    return HEIGHT - BOTTOM - (y - axes->y0) / (axes->y1 - axes->y0) * (HEIGHT - TOP - BOTTOM);
}

/* 1, 2 or 5 times a power of ten, so that the range has about TICKS of them. */
static double nice_step(double range)
{
    double power = pow(10, floor(log10(range / TICKS))), rest = range / TICKS / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

static Axes axes_of(double x0, double x1, double y0, double y1)
{
    if (!(x1 > x0))
        x1 = x0 + 1;
    if (!(y1 > y0)) {
        y0 -= 0.5;
        y1 = y0 + 1;
    }
    return (Axes){x0, x1, y0, y1};
}

static void frame(Buf *page, const Axes *axes, const char *label, const char *xtitle)
{
    buf_printf(page, "<svg role=img aria-label=\"%s\" viewBox=\"0 0 %d %d\" width=%d height=%d>\n", label, WIDTH,
               HEIGHT, WIDTH, HEIGHT);
    double step = nice_step(axes->y1 - axes->y0), first = ceil(axes->y0 / step) * step, x, y;
    for (int i = 0; i < 3 * TICKS && (y = first + i * step) <= axes->y1 + step * 1e-6; i++)
        buf_printf(page,
                   "<path d=\"M%d %.1fH%d\" stroke=\"var(--line)\"/><text x=%d y=%.1f text-anchor=end "
                   "fill=\"var(--dim)\">%.6g</text>\n",
                   LEFT, py(axes, y), WIDTH - RIGHT, LEFT - 6, py(axes, y) + 4, fabs(y) < step / 1e6 ? 0 : y);
    step = nice_step(axes->x1 - axes->x0);
    first = ceil(axes->x0 / step) * step;
    for (int i = 0; i < 3 * TICKS && (x = first + i * step) <= axes->x1 + step * 1e-6; i++)
        buf_printf(page, "<text x=%.1f y=%d text-anchor=middle fill=\"var(--dim)\">%.6g</text>\n", px(axes, x),
                   HEIGHT - BOTTOM + 16, x);
    buf_printf(page, "<text x=%d y=%d text-anchor=end fill=\"var(--dim)\">%s</text>\n", WIDTH - RIGHT, HEIGHT - 6,
               xtitle);
}

static double at(const cJSON *list, int i)
{
    const cJSON *item = cJSON_GetArrayItem(list, i);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

/* --- FID against n ---------------------------------------------------------------------------------- */

static void fitted_line(Buf *page, const Axes *axes, double infinity, double slope, double from, double to)
{
    enum { STEPS = 60 };
    buf_printf(page, "<path fill=none stroke=\"var(--ink)\" stroke-dasharray=\"5 4\" d=\"");
    for (int i = 0; i <= STEPS; i++) {
        double n = from + (to - from) * i / STEPS;
        buf_printf(page, "%c%.1f %.1f", i ? 'L' : 'M', px(axes, n), py(axes, infinity + slope / n));
    }
    buf_printf(page, "\"/>\n");
}

void svg_curve(Buf *page, const cJSON *measured)
{
    const cJSON *curve = cJSON_GetObjectItemCaseSensitive(measured, "curve");
    const cJSON *images = cJSON_GetObjectItemCaseSensitive(curve, "images"),
                *fid = cJSON_GetObjectItemCaseSensitive(curve, "fid");
    const int count = cJSON_GetArraySize(images);
    double infinity = json_number(curve, "infinity", NAN), slope = json_number(curve, "slope", NAN);
    double low = json_number(measured, "fid_low", NAN), high = json_number(measured, "fid_high", NAN);
    if (count < 2 || cJSON_GetArraySize(fid) != count || !isfinite(infinity) || !isfinite(slope))
        return;
    double first = at(images, 0), last = at(images, count - 1), least = infinity, most = infinity;
    for (int i = 0; i < count; i++) {
        least = fmin(least, at(fid, i));
        most = fmax(most, at(fid, i));
    }
    Axes axes = axes_of(0, last, fmin(least, isfinite(low) ? low : least), fmax(most, isfinite(high) ? high : most));
    frame(page, &axes, "FID against the number of images", "images");
    if (isfinite(low) && isfinite(high))
        buf_printf(page, "<path d=\"M%.1f %.1fV%.1f\" stroke=\"var(--mark)\" stroke-width=3 />\n", px(&axes, last),
                   py(&axes, low), py(&axes, high));
    fitted_line(page, &axes, infinity, slope, first, last);
    for (int i = 0; i < count; i++)
        buf_printf(page, "<circle cx=%.1f cy=%.1f r=3 fill=\"var(--ink)\"/>\n", px(&axes, at(images, i)),
                   py(&axes, at(fid, i)));
    buf_printf(page, "<path d=\"M%d %.1fH%d\" stroke=\"var(--dim)\" stroke-dasharray=\"1 4\"/>\n", LEFT,
               py(&axes, infinity), WIDTH - RIGHT);
    buf_printf(page,
               "</svg>\n<p class=dim>Points: measured. Dashed: a line in 1/n, which tends to %.6g (dotted).%s</p>\n",
               infinity, isfinite(low) ? " At the right end the 95% interval of all images." : "");
}

/* --- distances -------------------------------------------------------------------------------------- */

static double total_of(const cJSON *counts)
{
    double total = 0;
    for (int i = 0; i < cJSON_GetArraySize(counts); i++)
        total += at(counts, i);
    return total > 0 ? total : 1;
}

static double most_of(const cJSON *counts)
{
    double most = 0;
    for (int i = 0; i < cJSON_GetArraySize(counts); i++)
        most = fmax(most, at(counts, i));
    return most / total_of(counts);
}

void svg_histogram(Buf *page, const cJSON *histogram, int k)
{
    const cJSON *ours = cJSON_GetObjectItemCaseSensitive(histogram, "nearest_reference"),
                *theirs = cJSON_GetObjectItemCaseSensitive(histogram, "reference_radius");
    double low = json_number(histogram, "low", NAN), high = json_number(histogram, "high", NAN);
    const int bins = cJSON_GetArraySize(ours);
    if (bins < 1 || cJSON_GetArraySize(theirs) != bins || !isfinite(low) || !isfinite(high))
        return;
    Axes axes = axes_of(low, high, 0, 100 * fmax(most_of(ours), most_of(theirs)));
    double width = (axes.x1 - axes.x0) / bins;
    frame(page, &axes, "distances to the nearest reference image", "distance in feature space");
    for (int i = 0; i < bins; i++) {
        double x = px(&axes, axes.x0 + i * width), y = py(&axes, 100 * at(ours, i) / total_of(ours));
        if (at(ours, i) > 0)
            buf_printf(page,
                       "<rect x=%.1f y=%.1f width=%.1f height=%.1f fill=\"var(--soft)\" stroke=\"var(--ink)\"/>\n", x,
                       y, px(&axes, axes.x0 + (i + 1) * width) - x, py(&axes, 0) - y);
    }
    buf_printf(page, "<path fill=none stroke=\"var(--mark)\" stroke-width=1.5 d=\"M%.1f %.1f", px(&axes, axes.x0),
               py(&axes, 0));
    for (int i = 0; i < bins; i++)
        buf_printf(page, "V%.1fH%.1f", py(&axes, 100 * at(theirs, i) / total_of(theirs)),
                   px(&axes, axes.x0 + (i + 1) * width));
    buf_printf(page,
               "\"/>\n</svg>\n<p class=dim>Bars: measured images, percent. Outline: what the reference images have to "
               "their own neighbour number %d.</p>\n",
               k);
}
