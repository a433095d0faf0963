/* HTML pages in one style: a single file each, no scripts, no links, light or dark by the reader's system, printable.
 *
 *     Buf page = {0};
 *     html_open(&page, "digits-2step");
 *     html_section(&page, "Parameters");
 *     html_table(&page); html_row(&page, "seed", "7"); html_table_end(&page);
 *     html_close(&page);
 *
 * Every text goes through html_text, so no name or path can become markup. */
#ifndef SPEC_REPORT_HTML_H
#define SPEC_REPORT_HTML_H

#include <cjson/cJSON.h>
#include <stddef.h>

#include "core/mem.h"

void html_open(Buf *page, const char *title); /* up to where the body's contents begin */
void html_close(Buf *page);

void html_text(Buf *page, const char *text);                               /* escaped; NULL adds nothing */
void html_section(Buf *page, const char *title);                           /* a heading */
void html_warning(Buf *page, const char *text);                            /* a sentence with a mark next to it */
void html_image(Buf *page, const char *alt, const void *png, size_t size); /* the bytes inside the page */

/* Two columns: what, and its value. */
void html_table(Buf *page);
void html_row(Buf *page, const char *name, const char *value);       /* nothing for NULL */
void html_row_json(Buf *page, const char *name, const cJSON *value); /* a text as it is, all else as JSON; nothing for
                                                                        NULL and null */
void html_table_end(Buf *page);

/* A table of figures (spec/report/figure.h): value, interval, and where one of them has it deviation and published.
 * Nothing where there is none. */
void html_figures(Buf *page, const cJSON *object, const cJSON *spec);

#endif
