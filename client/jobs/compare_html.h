/* A comparison as a page, in the look of a report (spec/report/html.h). */
#ifndef CLIENT_JOBS_COMPARE_HTML_H
#define CLIENT_JOBS_COMPARE_HTML_H

#include <cjson/cJSON.h>

#include "core/mem.h"

void compare_html(Buf *page, const cJSON *comparison); /* what compare_runs gives */

#endif
