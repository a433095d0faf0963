/* ddq.conf and Redis addresses from arbitrary bytes: a configuration or an error, and what was read can be printed and
 * read back.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/mem.h"
#include "spec/conf/conf.h"

static bool load(const char *text, size_t size, Conf **ret_conf, Err *err)
{
    int file = memfd_create("conf", MFD_CLOEXEC);
    char path[64];
    if (file < 0 || write(file, text, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    bool ok = conf_load(path, ret_conf, err);
    close(file);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Conf *conf, *again;
    Err err = {0};
    char *text = xmalloc(size + 1);
    memcpy(text, data, size);
    text[size] = 0;
    RedisUrl url;
    if (redis_url_parse(text, &url, &err)) {
        RedisUrl again;
        char *name = redis_url_name(&url); /* can be given again, and means the same server */
        assert(redis_url_parse(name, &again, &err));
        assert(strcmp(again.path, url.path) == 0 && strcmp(again.host, url.host) == 0 && !again.password[0]);
        assert(again.port == url.port && again.db == url.db);
        free(name);
    } else {
        assert(err.kind != ERR_NONE && err.text[0]);
    }
    if (load(text, size, &conf, &err)) {
        char *printed = conf_print(conf);
        assert(load(printed, strlen(printed), &again, &err));
        char *reprinted = conf_print(again);
        assert(strcmp(printed, reprinted) == 0);
        free(printed);
        free(reprinted);
        conf_free(conf);
        conf_free(again);
    } else {
        assert(err.kind != ERR_NONE && err.text[0]);
    }
    free(text);
    return 0;
}
