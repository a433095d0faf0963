/* Redis addresses:
 *
 *     unix:PATH[?db=N]   /PATH   unix://[:password@]/PATH[?db=N]
 *     redis://[:password@]host[:port][/db]   host[:port][/db]
 *
 * An IPv6 address is in brackets. What is not supported (TLS, user names) is an error instead of being
 * ignored. A refused address may contain a password in any place, so no error quotes a part of it. */
#include "spec/conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define FORMS REDIS_URL_FORMS

static bool refuse(Err *err, const char *what)
{
    return err_set(err, ERR_USAGE, "Redis address: %s; wanted %s", what, FORMS);
}

static bool number_parse(const char *text, long min, long max, int *ret_number)
{
    char *end;
    errno = 0;
    long number = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
    if (number < 0 || *end || errno || number < min || number > max)
        return false;
    *ret_number = (int)number;
    return true;
}

static bool copy(char *to, size_t size, const char *from, size_t len)
{
    if (len >= size)
        return false;
    memcpy(to, from, len);
    to[len] = 0;
    return true;
}

/* --- the password --------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* %40 -> @; a password may hold any byte but NUL. */
static bool unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++, to++) {
        *to = *from;
        if (*from == '%') {
            int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
            if (low < 0 || (high | low) == 0)
                return false;
            *to = (char)(high * 16 + low);
            from += 2;
        }
    }
    *to = 0;
    return true;
}

/* What precedes the last '@': ":password" or "default:password". */
static bool password_parse(const char *text, size_t len, RedisUrl *url, Err *err)
{
    const char *colon = memchr(text, ':', len);
    if (!colon || (colon != text && strncmp(text, "default:", 8) != 0))
        return refuse(err, "only ':' and a password may precede '@'; user names are not supported");
    size_t before = (size_t)(colon + 1 - text);
    if (!copy(url->password, sizeof url->password, colon + 1, len - before) || !unescape(url->password))
        return err_set(err, ERR_USAGE,
                       "Redis address: the password is longer than %zu bytes or has a bad %%XX; '%%' itself is %%25",
                       sizeof url->password - 1);
    return true;
}

/* --- sockets -------------------------------------------------------------------------------------------- */

/* Cuts "?db=N" off the end. Any other "?name=" may be a password in the way of other clients. */
static bool query_parse(char *path, RedisUrl *url, Err *err)
{
    char *query = strrchr(path, '?');
    if (!query || !strchr(query, '='))
        return true;
    if (strncmp(query, "?db=", 4) != 0 || !number_parse(query + 4, 0, REDIS_DB_MAX, &url->db))
        return refuse(err, "after the path of a socket only ?db= and the number of a database may follow");
    *query = 0;
    return true;
}

static bool path_parse(const char *text, RedisUrl *url, Err *err)
{
    char *path = xstrdup(text);
    bool ok = query_parse(path, url, err);
    const char *colon = strchr(path, ':');
    if (ok && !*path)
        ok = refuse(err, "'unix:' without a path");
    else if (ok && ((colon && strchr(colon, '@')) || (*path != '/' && strchr(path, '@'))))
        ok = refuse(err, "the path of the socket looks like a password and '@'");
    else if (ok && !copy(url->path, sizeof url->path, path, strlen(path)))
        ok = err_set(err, ERR_USAGE, "Redis socket %s has %zu bytes, a socket's path at most %zu; use a shorter folder",
                     path, strlen(path), sizeof url->path - 1);
    free(path);
    return ok;
}

/* After "unix://": [:password@]/PATH[?db=N]. */
static bool authority_parse(const char *text, RedisUrl *url, Err *err)
{
    if (*text == '/')
        return path_parse(text, url, err);
    const char *at = strstr(text, "@/");
    for (const char *next = at; next; next = strstr(next + 1, "@/"))
        at = next;
    if (!at)
        return refuse(err, "after 'unix://' comes /PATH, or ':', a password, '@' and /PATH");
    return password_parse(text, (size_t)(at - text), url, err) && path_parse(at + 1, url, err);
}

/* --- hosts ---------------------------------------------------------------------------------------------- */

static bool host_ok(const char *host, bool v6)
{
    for (const char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr(v6 ? ":.%_-" : "._-", *c))
            return false;
    return *host && (!v6 || strchr(host, ':'));
}

bool host_port_parse(const char *text, char ret_host[HOST_MAX], int *ret_port)
{
    const char *rest;
    bool v6 = text[0] == '[';
    char host[HOST_MAX];
    int port = *ret_port;
    if (v6) {
        const char *close = strchr(text, ']');
        if (!close || !copy(host, sizeof host, text + 1, (size_t)(close - text - 1)))
            return false;
        rest = close + 1;
    } else {
        size_t len = strcspn(text, ":");
        if (!copy(host, sizeof host, text, len))
            return false;
        rest = text + len;
    }
    if (!host_ok(host, v6) || (*rest && (*rest != ':' || !number_parse(rest + 1, 1, 65535, &port))))
        return false;
    memcpy(ret_host, host, sizeof host);
    *ret_port = port;
    return true;
}

/* [:password@]host[:port][/db]; a password may hold '/' and '@', which no host or number does. */
static bool tcp_parse(const char *text, RedisUrl *url, Err *err)
{
    const char *at = strrchr(text, '@');
    if (at && !password_parse(text, (size_t)(at - text), url, err))
        return false;
    text = at ? at + 1 : text;
    const char *slash = strchr(text, '/');
    if (slash && slash[1] && !number_parse(slash + 1, 0, REDIS_DB_MAX, &url->db))
        return refuse(err, "what follows the '/' is not a database number");
    char *where = slash ? xasprintf("%.*s", (int)(slash - text), text) : xstrdup(text);
    bool ok = host_port_parse(where, url->host, &url->port);
    bool bare_v6 = !ok && where[0] != '[' && strchr(where, ':') != strrchr(where, ':');
    free(where);
    if (ok)
        return true;
    return refuse(err, bare_v6 ? "there is more than one ':'; write an IPv6 address in brackets, [::1]:6379"
                       : at    ? "what follows the last '@' is not host[:port]; write '@' in a password as %40"
                               : "it is not host[:port]; before a password comes ':', and after it '@'");
}

/* --- entry points --------------------------------------------------------------------------------------- */

bool redis_url_parse(const char *text, RedisUrl *ret_url, Err *err)
{
    RedisUrl url = {.port = 6379};
    bool ok;
    if (strncmp(text, "unix://", 7) == 0)
        ok = authority_parse(text + 7, &url, err);
    else if (strncmp(text, "unix:", 5) == 0)
        ok = path_parse(text + 5, &url, err);
    else if (text[0] == '/')
        ok = path_parse(text, &url, err);
    else if (strncmp(text, "redis://", 8) == 0)
        ok = tcp_parse(text + 8, &url, err);
    else if (strncmp(text, "rediss://", 9) == 0)
        ok = refuse(err, "TLS (rediss://) is not supported; use a tunnel");
    else if (strstr(text, "://") || !*text)
        ok = refuse(err, "it is not one of the known forms");
    else
        ok = tcp_parse(text, &url, err);
    if (ok)
        *ret_url = url;
    return ok;
}

static char *print(const RedisUrl *url, const char *secret)
{
    Buf out = {0};
    if (url->path[0]) {
        bool whole = *secret || strncmp(url->path, "//", 2) == 0; /* else the path would look like "unix://" */
        buf_printf(&out, "unix:%s%s%s", whole ? "//" : "", secret, url->path);
        if (url->db || strstr(url->path, "?db="))
            buf_printf(&out, "?db=%d", url->db);
    } else {
        bool v6 = strchr(url->host, ':') != NULL;
        buf_printf(&out, "redis://%s%s%s%s:%d", secret, v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
        if (url->db)
            buf_printf(&out, "/%d", url->db);
    }
    return out.data;
}

char *redis_url_name(const RedisUrl *url)
{
    return print(url, "");
}

char *redis_url_masked(const char *text)
{
    RedisUrl url;
    if (!redis_url_parse(text, &url, NULL))
        return xstrdup("(an address that cannot be read)");
    return url.password[0] ? print(&url, ":***@") : xstrdup(text);
}

/* The original word of the command line, which ps shows, becomes the name of the address, or stars. */
static void overwrite(char *word, const char *url)
{
    RedisUrl parsed;
    char *name = redis_url_parse(url, &parsed, NULL) ? redis_url_name(&parsed) : NULL;
    size_t len = strlen(word), shown = name ? strlen(name) : 0;
    bool fits = shown > 0 && shown <= len;
    memset(word, fits ? 0 : '*', len);
    if (fits)
        memcpy(word, name, shown);
    free(name);
}

void redis_url_hide(int count, char **words)
{
    static char **kept; /* reachable until the program ends */
    static size_t kept_count;
    for (int i = 0; i < count; i++) {
        char *value = strncmp(words[i], "--redis=", 8) == 0       ? words[i] + 8
                      : i && strcmp(words[i - 1], "--redis") == 0 ? words[i]
                                                                  : NULL;
        if (!value)
            continue;
        char *copy = xstrdup(words[i]);
        kept = xrealloc(kept, (kept_count + 1) * sizeof *kept);
        kept[kept_count++] = copy;
        overwrite(value, copy + (value - words[i]));
        words[i] = copy;
    }
}
