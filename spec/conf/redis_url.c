/* Redis addresses: unix:PATH, redis://[:password@]host[:port][/db] or host:port. What cannot be honoured (TLS, user
 * names) is refused in words instead of being ignored. */
#include "spec/conf/conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMS "unix:PATH, redis://[:password@]host[:port][/db] or host:port"

static bool number_parse(const char *text, long min, long max, int *ret_number)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < min || number > max)
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

static bool unix_parse(const char *path, RedisUrl *url, Err *err)
{
    if (!*path)
        return err_set(err, ERR_USAGE, "Redis address: 'unix:' without a path; wanted unix:/path/to/redis.sock");
    if (!copy(url->path, sizeof url->path, path, strlen(path)))
        return err_set(err, ERR_USAGE,
                       "Redis socket %s has %zu bytes, a socket's path at most %zu; use a shorter folder", path,
                       strlen(path), sizeof url->path - 1);
    return true;
}

/* host, host:port, [v6]:port */
static bool host_parse(const char *text, size_t len, RedisUrl *url, Err *err)
{
    const char *end = text + len, *colon = NULL, *host = text;
    size_t host_len = len;
    if (len && text[0] == '[') {
        const char *close = memchr(text, ']', len);
        host = text + 1;
        host_len = close ? (size_t)(close - host) : 0;
        colon = close && close + 1 < end ? close + 1 : NULL;
    } else if ((colon = memchr(text, ':', len))) {
        host_len = (size_t)(colon - text);
    }
    char port[8];
    bool ok = host_len > 0 && copy(url->host, sizeof url->host, host, host_len);
    if (ok && colon)
        ok = *colon == ':' && copy(port, sizeof port, colon + 1, (size_t)(end - colon - 1)) &&
             number_parse(port, 1, 65535, &url->port);
    return ok || err_set(err, ERR_USAGE, "Redis address: '%.*s' is not host[:port]; wanted %s", (int)len, text, FORMS);
}

static bool tcp_parse(const char *text, RedisUrl *url, Err *err)
{
    const char *slash = strchr(text, '/'), *end = slash ? slash : text + strlen(text);
    const char *at = memrchr(text, '@', (size_t)(end - text));
    if (at) {
        const char *colon = memchr(text, ':', (size_t)(at - text));
        if (!colon || (colon != text && strncmp(text, "default:", 8) != 0))
            return err_set(err, ERR_USAGE,
                           "Redis address: only a password may stand before '@', as in redis://:secret@host; "
                           "user names are not supported");
        if (!copy(url->password, sizeof url->password, colon + 1, (size_t)(at - colon - 1)) || !unescape(url->password))
            return err_set(err, ERR_USAGE, "Redis address: the password is longer than %zu bytes or has a bad %%XX",
                           sizeof url->password - 1);
        text = at + 1;
    }
    if (slash && slash[1] && !number_parse(slash + 1, 0, 1023, &url->db))
        return err_set(err, ERR_USAGE, "Redis address: '%s' is not a database number", slash + 1);
    return host_parse(text, (size_t)(end - text), url, err);
}

bool redis_url_parse(const char *text, RedisUrl *ret_url, Err *err)
{
    RedisUrl url = {.port = 6379};
    bool ok;
    if (strncmp(text, "unix://", 7) == 0)
        ok = unix_parse(text + 7, &url, err);
    else if (strncmp(text, "unix:", 5) == 0)
        ok = unix_parse(text + 5, &url, err);
    else if (text[0] == '/')
        ok = unix_parse(text, &url, err);
    else if (strncmp(text, "redis://", 8) == 0)
        ok = tcp_parse(text + 8, &url, err);
    else if (strncmp(text, "rediss://", 9) == 0)
        ok = err_set(err, ERR_USAGE, "Redis address: TLS (rediss://) is not supported; use a tunnel, or %s", FORMS);
    else if (strstr(text, "://") || !*text)
        ok = err_set(err, ERR_USAGE, "Redis address: '%s' is not one of %s", text, FORMS);
    else
        ok = tcp_parse(text, &url, err);
    if (ok)
        *ret_url = url;
    return ok;
}
