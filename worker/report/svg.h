/* The plots of a report's page, as inline SVG in the page's colours. Everything is drawn from report.json. */
#ifndef WORKER_REPORT_SVG_H
#define WORKER_REPORT_SVG_H

#include <cjson/cJSON.h>

#include "core/mem.h"

/* FID against the number of images: measured points, the line in 1/n fitted to them, the interval at the end. measured:
 * an object with `curve` and, where known, fid_low and fid_high. A curve of fewer than two points adds nothing. */
void svg_curve(Buf *page, const cJSON *measured);

/* How many images lie how far from the nearest reference image, and as an outline the reference's own distances to its
 * k-th neighbour. Shares of each set, since the sets differ in size. */
void svg_histogram(Buf *page, const cJSON *histogram, int k);

#endif
