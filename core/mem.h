/* Small allocations: they succeed or the program stops with the size it wanted.
 * Large ones (weights, activations, images) are asked for by their owners, who return an Err. */
#ifndef CORE_MEM_H
#define CORE_MEM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size); /* zeroed; the product is checked */
void *xrealloc(void *old, size_t size);
char *xstrdup(const char *text);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A growing byte string; data is always NUL-terminated once anything was added. */
typedef struct Buf {
    char *data;
    size_t len, cap;
} Buf;

void buf_add(Buf *buf, const void *data, size_t len);
void buf_printf(Buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_free(Buf *buf); /* leaves an empty Buf */

#define countof(array) (sizeof(array) / sizeof((array)[0]))

#ifdef __cplusplus
}
#endif

#endif
