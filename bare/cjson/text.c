/* Between text and tree. Reading is strict (RFC 8259), nests at most DEPTH_MAX deep, and refuses \u0000. */
#include "cjson/cJSON.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 1000 };

/* --- reading --------------------------------------------------------------------------------------- */

typedef struct Reader {
    const char *at, *end;
    int depth;
} Reader;

static cJSON *read_value(Reader *r);

static void skip_space(Reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(Reader *r, char c)
{
    skip_space(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool take_word(Reader *r, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, word, size) != 0)
        return false;
    r->at += size;
    return true;
}

/* Four hexadecimal digits; -1 if they are not. */
static int read_hex(Reader *r)
{
    int code = 0;
    for (int i = 0; i < 4; i++, r->at++) {
        if (r->at == r->end)
            return -1;
        char c = *r->at;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static char *put_utf8(char *to, int code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 63));
        *to++ = (char)(0x80 | (code >> 6 & 63));
        *to++ = (char)(0x80 | (code & 63));
    }
    return to;
}

/* After "\u": one code point, two escapes where it is a surrogate pair. NULL if it is none. */
static char *read_unicode(Reader *r, char *to)
{
    int code = read_hex(r);
    if (code >= 0xd800 && code < 0xdc00) {
        int low = take_word(r, "\\u") ? read_hex(r) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return NULL;
        code = 0x10000 + (code - 0xd800) * 1024 + (low - 0xdc00);
    } else if (code <= 0 || (code >= 0xdc00 && code < 0xe000)) {
        return NULL;
    }
    return put_utf8(to, code);
}

static char *read_escape(Reader *r, char *to)
{
    static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
    if (r->at == r->end)
        return NULL;
    char c = *r->at++;
    if (c == 'u')
        return read_unicode(r, to);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found)
        return NULL;
    *to++ = into[found - from];
    return to;
}

static char *read_text(Reader *r)
{
    if (!take(r, '"'))
        return NULL;
    char *text = malloc((size_t)(r->end - r->at) + 1), *to = text; /* an escape is never shorter than its bytes */
    while (to && r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        if (c == '\\')
            to = read_escape(r, to);
        else
            *to++ = c;
    }
    if (!to || r->at == r->end) {
        free(text);
        return NULL;
    }
    r->at++;
    *to = 0;
    return realloc(text, (size_t)(to - text) + 1);
}

static cJSON *read_number(Reader *r)
{
    char digits[64];
    size_t size = 0;
    while (r->at + size < r->end && size < sizeof digits - 1 && r->at[size] && strchr("+-.eE0123456789", r->at[size]))
        size++;
    memcpy(digits, r->at, size);
    digits[size] = 0;
    char *end;
    double value = strtod(digits, &end);
    if (end == digits)
        return NULL;
    r->at += end - digits;
    return cJSON_CreateNumber(value);
}

/* The members of an array or an object, behind its bracket. */
static cJSON *read_items(Reader *r, bool named)
{
    cJSON *whole = named ? cJSON_CreateObject() : cJSON_CreateArray();
    char close = named ? '}' : ']';
    if (++r->depth > DEPTH_MAX)
        goto bad;
    if (!take(r, close)) {
        do {
            char *name = named ? read_text(r) : NULL;
            cJSON *item = !named || (name && take(r, ':')) ? read_value(r) : NULL;
            if (!item) {
                free(name);
                goto bad;
            }
            item->string = name;
            cJSON_AddItemToArray(whole, item);
        } while (take(r, ','));
        if (!take(r, close))
            goto bad;
    }
    r->depth--;
    return whole;
bad:
    cJSON_Delete(whole);
    return NULL;
}

static cJSON *read_value(Reader *r)
{
    skip_space(r);
    if (r->at == r->end)
        return NULL;
    if (take_word(r, "null"))
        return cJSON_CreateNull();
    if (take_word(r, "true"))
        return cJSON_CreateTrue();
    if (take_word(r, "false"))
        return cJSON_CreateFalse();
    if (*r->at == '"') {
        char *text = read_text(r);
        cJSON *item = text ? cJSON_CreateString(text) : NULL;
        free(text);
        return item;
    }
    if (*r->at == '[' || *r->at == '{')
        return read_items(r, *r->at++ == '{');
    return *r->at == '-' || (*r->at >= '0' && *r->at <= '9') ? read_number(r) : NULL;
}

static cJSON *parse(const char *text, size_t size, const char **ret_end, bool must_end)
{
    Reader r = {.at = text, .end = text + size};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at += 3;
    cJSON *item = read_value(&r);
    if (item && must_end) {
        skip_space(&r);
        if (r.at != r.end) {
            cJSON_Delete(item);
            item = NULL;
        }
    }
    if (ret_end)
        *ret_end = r.at;
    return item;
}

cJSON *cJSON_Parse(const char *text)
{
    return text ? parse(text, strlen(text), NULL, false) : NULL;
}

cJSON *cJSON_ParseWithLength(const char *text, size_t size)
{
    return text ? parse(text, size, NULL, false) : NULL;
}

cJSON *cJSON_ParseWithOpts(const char *text, const char **ret_end, cJSON_bool must_end)
{
    return text ? parse(text, strlen(text), ret_end, must_end) : NULL;
}

/* --- writing --------------------------------------------------------------------------------------- */

typedef struct Writer {
    char *text;
    size_t size, room;
    bool pretty;
} Writer;

static void put(Writer *w, const char *bytes, size_t size)
{
    if (w->size + size + 1 > w->room) {
        w->room = (w->size + size + 1) * 2;
        w->text = realloc(w->text, w->room);
        if (!w->text)
            abort();
    }
    memcpy(w->text + w->size, bytes, size);
    w->size += size;
    w->text[w->size] = 0;
}

static void put_word(Writer *w, const char *word)
{
    put(w, word, strlen(word));
}

static void put_text(Writer *w, const char *text)
{
    put(w, "\"", 1);
    for (const char *c = text ? text : ""; *c; c++) {
        static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
        const char *found = strchr(plain, *c);
        char escape[8];
        if (found)
            put(w, (char[]){'\\', letters[found - plain]}, 2);
        else if ((unsigned char)*c < 32)
            put(w, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", *c));
        else
            put(w, c, 1);
    }
    put(w, "\"", 1);
}

static void put_number(Writer *w, double value)
{
    char digits[32];
    if (!isfinite(value)) {
        put_word(w, "null");
        return;
    }
    snprintf(digits, sizeof digits, "%1.15g", value);
    if (strtod(digits, NULL) != value)
        snprintf(digits, sizeof digits, "%1.17g", value);
    put_word(w, digits);
}

static void put_line(Writer *w, int depth)
{
    if (!w->pretty)
        return;
    put(w, "\n", 1);
    for (int i = 0; i < depth; i++)
        put(w, "\t", 1);
}

static void put_value(Writer *w, const cJSON *item, int depth);

/* As the package prints: an object's members on lines of their own, an array's on one. */
static void put_items(Writer *w, const cJSON *whole, bool named, int depth)
{
    put_word(w, named ? "{" : "[");
    const cJSON *item;
    cJSON_ArrayForEach(item, whole)
    {
        if (named) {
            put_line(w, depth + 1);
            put_text(w, item->string);
            put_word(w, w->pretty ? ":\t" : ":");
        }
        put_value(w, item, depth + 1);
        if (item->next)
            put_word(w, !named && w->pretty ? ", " : ",");
    }
    if (named)
        put_line(w, depth);
    put_word(w, named ? "}" : "]");
}

static void put_value(Writer *w, const cJSON *item, int depth)
{
    switch (item->type & 0xff) {
    case cJSON_True:
        put_word(w, "true");
        break;
    case cJSON_False:
        put_word(w, "false");
        break;
    case cJSON_Number:
        put_number(w, item->valuedouble);
        break;
    case cJSON_String:
        put_text(w, item->valuestring);
        break;
    case cJSON_Raw:
        put_word(w, item->valuestring);
        break;
    case cJSON_Array:
        put_items(w, item, false, depth);
        break;
    case cJSON_Object:
        put_items(w, item, true, depth);
        break;
    default:
        put_word(w, "null");
    }
}

static char *print(const cJSON *item, bool pretty)
{
    if (!item)
        return NULL;
    Writer w = {.pretty = pretty};
    put_value(&w, item, 0);
    return w.text;
}

char *cJSON_Print(const cJSON *item)
{
    return print(item, true);
}

char *cJSON_PrintUnformatted(const cJSON *item)
{
    return print(item, false);
}
