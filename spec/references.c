/* Any user who can write to the folder can write an entry, so all of it is checked: it is a small regular file, has its
 * own name, and a copied file is the one next to it. Whether a path may be read is checked where it is read. */
#include "spec/references.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/json.h"
#include "core/mem.h"

enum { ENTRY_MAX = 65536, ENTRIES_MAX = 500 };

bool references_name_ok(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return len > 0 && len <= 64 && !name[len] && name[0] != '.' && name[0] != '-';
}

char *references_folder(const char *output_root)
{
    return xasprintf("%s/references", output_root);
}

char *references_file(const char *folder, const char *name, const char *suffix)
{
    return xasprintf("%s/%s.%s", folder, name, suffix);
}

static cJSON *read_json(const char *path, Err *err)
{
    char *text = NULL;
    cJSON *json = NULL;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        err_errno(err, "reference %s", path);
        return NULL;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > ENTRY_MAX) {
        err_set(err, ERR_FORMAT, "reference %s: not a file of at most %d bytes", path, ENTRY_MAX);
    } else {
        text = xcalloc(1, (size_t)st.st_size + 1);
        ssize_t got = read(fd, text, (size_t)st.st_size);
        json = got == st.st_size ? cJSON_Parse(text) : NULL;
        if (!cJSON_IsObject(json)) {
            err_set(err, ERR_FORMAT, "reference %s: not a JSON object", path);
            cJSON_Delete(json);
            json = NULL;
        }
    }
    close(fd);
    free(text);
    return json;
}

static bool check_entry(const char *folder, const char *name, cJSON *entry, Err *err)
{
    const char *path = json_text(entry, "path", ""), *pipeline = json_text(entry, "pipeline", "");
    char *own = references_file(".", name, "npz");
    bool beside = strcmp(path, own + 2) == 0, good = true;
    free(own);
    if (strcmp(json_text(entry, "name", ""), name) != 0)
        good = err_set(err, ERR_FORMAT, "reference %s/%s.json: its name is '%.64s'", folder, name,
                       json_text(entry, "name", ""));
    else if (!beside && path[0] != '/')
        good = err_set(err, ERR_FORMAT, "reference %s/%s.json: path is '%.200s', wanted %s.npz or a whole path", folder,
                       name, path, name);
    else if (*pipeline && strcmp(pipeline, "pt") != 0 && strcmp(pipeline, "tf") != 0)
        good = err_set(err, ERR_FORMAT, "reference %s/%s.json: pipeline is '%.20s', wanted pt or tf", folder, name,
                       pipeline);
    if (good && beside) {
        char *whole = references_file(folder, name, "npz");
        cJSON_ReplaceItemInObjectCaseSensitive(entry, "path", cJSON_CreateString(whole));
        free(whole);
    }
    return good;
}

bool references_read(const char *folder, const char *name, cJSON **ret_entry, Err *err)
{
    if (!references_name_ok(name))
        return err_set(err, ERR_USAGE,
                       "'%.64s' cannot be the name of a reference; wanted letters, digits, '.', '_' and '-'", name);
    char *path = references_file(folder, name, "json");
    cJSON *entry = read_json(path, err);
    free(path);
    if (!entry || !check_entry(folder, name, entry, err)) {
        cJSON_Delete(entry);
        return false;
    }
    *ret_entry = entry;
    return true;
}

cJSON *references_scan(const char *folder, Err *ret_bad)
{
    cJSON *all = cJSON_CreateObject();
    DIR *dir = opendir(folder);
    Err bad = {0};
    int count = 0;
    if (!dir && errno != ENOENT)
        err_errno(&bad, "references %s", folder);
    for (struct dirent *file; dir && count < ENTRIES_MAX && (file = readdir(dir));) {
        size_t len = strlen(file->d_name);
        if (len < 6 || strcmp(file->d_name + len - 5, ".json") != 0 || file->d_name[0] == '.')
            continue;
        char *name = xasprintf("%.*s", (int)len - 5, file->d_name);
        cJSON *entry;
        if (references_read(folder, name, &entry, bad.kind ? NULL : &bad)) {
            cJSON_AddItemToObject(all, name, entry);
            count++;
        }
        free(name);
    }
    if (dir)
        closedir(dir);
    if (ret_bad)
        *ret_bad = bad;
    return all;
}
