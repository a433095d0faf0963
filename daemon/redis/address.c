#include "daemon/redis/address.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"
#include "core/mem.h"

/* The password of Redis, from a file that only this daemon's user, its group and root can read. */
static bool read_secret(const char *path, RedisUrl *url, Err *err)
{
    struct stat st;
    char *text = NULL;
    if (url->password[0])
        return err_set(err, ERR_USAGE,
                       "redis_secret = %s, and the address in redis has a password too; remove that one", path);
    bool ok = stat(path, &st) == 0 ? file_read_text("redis_secret", path, sizeof url->password, &text, err)
                                   : err_errno(err, "redis_secret = %s", path);
    if (ok && (st.st_mode & S_IRWXO))
        ok = err_set(err, ERR_PERMISSION,
                     "redis_secret = %s: every user of this host can read or write it; chmod 640 %s", path, path);
    if (ok) {
        text[strcspn(text, "\r\n")] = 0;
        ok = *text || err_set(err, ERR_USAGE, "redis_secret = %s: its first line is empty, wanted the password", path);
        snprintf(url->password, sizeof url->password, "%s", text);
    }
    free(text);
    return ok;
}

bool address_find(const Conf *conf, bool alone, RedisUrl *ret_url, Err *err)
{
    char *text = alone ? conf_standalone_url(conf->state) : xstrdup(conf->redis);
    bool ok = redis_url_parse(text, ret_url, err) &&
              (alone || !conf->redis_secret || read_secret(conf->redis_secret, ret_url, err));
    free(text);
    return ok;
}
