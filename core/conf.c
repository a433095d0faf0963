/* ddq.conf: which keys exist, where the layers stand, and what a parsed configuration looks like.
 *
 * One table row a key: its name, its type, its place in the struct. The same table reads the files and the DDQ_*
 * variables, checks values, suggests the nearest name and prints the result. To add a key: a field in conf.h, a row
 * here. The lowest layer is models/ddq.conf beside the program (the source tree or the installed data folder): it
 * names the digits model, so that there is always something to run.
 *
 * libinih splits lines; counting them (its handler is not told) and every judgement is done here. Files named by the
 * configuration are not opened: the daemon and `ddq doctor` look whether they exist. */
#include "core/conf.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/datadir.h"
#include "core/jobspec.h"
#include "core/mem.h"

typedef enum KeyType { KEY_TEXT, KEY_PATH, KEY_PATHS, KEY_URL, KEY_INT } KeyType;

typedef struct Key {
    const char *name;
    KeyType type;
    size_t offset; /* of a char * or an int in the section's struct */
    int min, max;  /* KEY_INT */
} Key;

static const Key daemon_keys[] = {
    {"redis", KEY_URL, offsetof(Conf, redis), 0, 0},
    {"output_root", KEY_PATH, offsetof(Conf, output_root), 0, 0},
    {"state", KEY_PATH, offsetof(Conf, state), 0, 0},
    {"workers", KEY_TEXT, offsetof(Conf, workers), 0, 0},
    {"worker_program", KEY_PATH, offsetof(Conf, worker_program), 0, 0},
    {"host", KEY_TEXT, offsetof(Conf, host), 0, 0},
    {"input_roots", KEY_PATHS, offsetof(Conf, input_roots), 0, 0},
    {"http", KEY_TEXT, offsetof(Conf, http), 0, 0},
    {"recipes", KEY_PATH, offsetof(Conf, recipes), 0, 0},
    {"user", KEY_TEXT, offsetof(Conf, user), 0, 0},
    {"lease_ms", KEY_INT, offsetof(Conf, lease_ms), 1000, 3600000},
    {"chunk_ms", KEY_INT, offsetof(Conf, chunk_ms), 100, 3600000},
};
static const Key model_keys[] = {
    {"student", KEY_PATH, offsetof(ConfModel, student), 0, 0},
    {"teacher", KEY_PATH, offsetof(ConfModel, teacher), 0, 0},
    {"tokenizer", KEY_PATH, offsetof(ConfModel, tokenizer), 0, 0},
    {"heads", KEY_INT, offsetof(ConfModel, heads), 0, 1024},
    {"grid", KEY_INT, offsetof(ConfModel, grid), 0, 1024},
};
static const Key reference_keys[] = {
    {"statistics", KEY_PATH, offsetof(ConfReference, statistics), 0, 0},
    {"inception", KEY_PATH, offsetof(ConfReference, inception), 0, 0},
};
static const Key inception_keys[] = {
    {"weights", KEY_PATH, offsetof(Conf, inception), 0, 0},
};

typedef enum SectionId { SECTION_DAEMON, SECTION_INCEPTION, SECTION_MODEL, SECTION_REFERENCE, SECTIONS } SectionId;

static const struct {
    const char *name;
    bool named; /* [model NAME] */
    const Key *keys;
    int key_count;
} sections[SECTIONS] = {
    [SECTION_DAEMON] = {"daemon", false, daemon_keys, countof(daemon_keys)},
    [SECTION_INCEPTION] = {"inception", false, inception_keys, countof(inception_keys)},
    [SECTION_MODEL] = {"model", true, model_keys, countof(model_keys)},
    [SECTION_REFERENCE] = {"reference", true, reference_keys, countof(reference_keys)},
};

/* --- values --------------------------------------------------------------------------------------- */

/* `path` seen from `folder` (NULL: the current one); ~/ is the home folder. */
static char *path_from(const char *folder, const char *path)
{
    const char *home = getenv("HOME");
    if (path[0] == '/')
        return xstrdup(path);
    if (strncmp(path, "~/", 2) == 0 && home)
        return xasprintf("%s/%s", home, path + 2);
    while (strncmp(path, "./", 2) == 0)
        path += 2;
    char here[PATH_MAX];
    if (!folder)
        folder = getcwd(here, sizeof here) ? here : ".";
    return xasprintf("%s/%s", folder, path);
}

static char *paths_from(const char *folder, const char *paths)
{
    Buf all = {0};
    char *copy = xstrdup(paths), *rest = copy, *one;
    while ((one = strsep(&rest, ":")))
        if (*one) {
            char *whole = path_from(folder, one);
            buf_printf(&all, "%s%s", all.len ? ":" : "", whole);
            free(whole);
        }
    free(copy);
    return all.data ? all.data : xstrdup("");
}

static char *url_from(const char *folder, const char *url)
{
    if (strncmp(url, "unix:", 5) != 0 || strncmp(url, "unix://", 7) == 0)
        return xstrdup(url);
    char *path = path_from(folder, url + 5), *whole = xasprintf("unix:%s", path);
    free(path);
    return whole;
}

static bool key_set(const Key *key, void *object, const char *folder, const char *text, Err *err)
{
    if (key->type == KEY_INT) {
        char *end;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (end == text || *end || errno || value < key->min || value > key->max)
            return err_set(err, ERR_USAGE, "%s is '%s', wanted a whole number from %d to %d", key->name, text, key->min,
                           key->max);
        *(int *)((char *)object + key->offset) = (int)value;
        return true;
    }
    char *value = key->type == KEY_PATH    ? path_from(folder, text)
                  : key->type == KEY_PATHS ? paths_from(folder, text)
                  : key->type == KEY_URL   ? url_from(folder, text)
                                           : xstrdup(text);
    RedisUrl ignored;
    if (key->type == KEY_URL && !redis_url_parse(value, &ignored, err)) {
        free(value);
        return err_wrap(err, "%s", key->name);
    }
    char **place = (char **)((char *)object + key->offset);
    free(*place);
    *place = value;
    return true;
}

static const Key *key_find(SectionId id, const char *name, const char **ret_nearest)
{
    const char *names[countof(daemon_keys)];
    for (int i = 0; i < sections[id].key_count; i++) {
        names[i] = sections[id].keys[i].name;
        if (strcmp(names[i], name) == 0)
            return &sections[id].keys[i];
    }
    *ret_nearest = nearest_name(name, names, sections[id].key_count);
    return NULL;
}

/* --- sections ------------------------------------------------------------------------------------- */

static bool name_ok(const char *name)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return len > 0 && len <= 64 && !name[len] && name[0] != '.' && name[0] != '-';
}

static ConfModel *model_row(Conf *conf, const char *name)
{
    ConfModel *found = (ConfModel *)conf_model(conf, name);
    if (found)
        return found;
    conf->models = xrealloc(conf->models, (size_t)(conf->model_count + 1) * sizeof *conf->models);
    found = &conf->models[conf->model_count++];
    *found = (ConfModel){.name = xstrdup(name)};
    return found;
}

static ConfReference *reference_row(Conf *conf, const char *name)
{
    ConfReference *found = (ConfReference *)conf_reference(conf, name);
    if (found)
        return found;
    conf->references = xrealloc(conf->references, (size_t)(conf->reference_count + 1) * sizeof *conf->references);
    found = &conf->references[conf->reference_count++];
    *found = (ConfReference){.name = xstrdup(name)};
    return found;
}

/* "model digits" -> the section and the object its keys are set in. */
static bool section_find(Conf *conf, const char *title, SectionId *ret_id, void **ret_object, Err *err)
{
    const char *names[SECTIONS];
    size_t word = strcspn(title, " \t");
    const char *name = title + word + strspn(title + word, " \t");
    for (SectionId id = 0; id < SECTIONS; id++) {
        names[id] = sections[id].name;
        if (strlen(names[id]) != word || strncmp(names[id], title, word) != 0)
            continue;
        if (!sections[id].named && *name)
            return err_set(err, ERR_USAGE, "section [%s] takes no name; write [%s]", title, names[id]);
        if (sections[id].named && !name_ok(name))
            return err_set(err, ERR_USAGE,
                           "section [%s] wants a name of letters, digits, '.', '_' and '-', as in [%s digits]", title,
                           names[id]);
        *ret_id = id;
        *ret_object = id == SECTION_MODEL       ? (void *)model_row(conf, name)
                      : id == SECTION_REFERENCE ? (void *)reference_row(conf, name)
                                                : (void *)conf;
        return true;
    }
    if (!*title)
        return err_set(err, ERR_USAGE, "a key stands before the first section; begin with [daemon]");
    char *first = xasprintf("%.*s", (int)word, title);
    const char *nearest = nearest_name(first, names, SECTIONS);
    free(first);
    return err_set(err, ERR_USAGE, "unknown section [%s]%s%s%s Sections are [daemon], [inception], [model NAME], [reference NAME]",
                   title, nearest ? ". Did you mean [" : ".", nearest ? nearest : "", nearest ? "]?" : "");
}

/* --- a file ----------------------------------------------------------------------------------------- */

typedef struct FileReader {
    FILE *file;
    const char *path, *folder;
    int line; /* inih's handler is called before the next line is asked for */
    Conf *conf;
    bool failed;
    Err *err;
} FileReader;

static char *next_line(char *text, int size, void *stream)
{
    FileReader *reader = stream;
    char *got = reader->failed ? NULL : fgets(text, size, reader->file);
    if (got)
        reader->line++;
    return got;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
    FileReader *reader = user;
    SectionId id = SECTION_DAEMON;
    void *object = NULL;
    const char *nearest = NULL;
    if (reader->failed)
        return 0;
    bool ok = section_find(reader->conf, section, &id, &object, reader->err);
    const Key *key = ok ? key_find(id, name, &nearest) : NULL;
    if (ok && !key)
        ok = err_set(reader->err, ERR_USAGE, "unknown key '%s' in [%s]%s%s%s", name, section,
                     nearest ? ". Did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    else if (ok && (!value || !*value))
        ok = err_set(reader->err, ERR_USAGE, "key '%s' in [%s] has no value", name, section);
    else if (ok)
        ok = key_set(key, object, reader->folder, value, reader->err);
    if (!ok) {
        err_wrap(reader->err, "%s:%d", reader->path, reader->line);
        reader->failed = true;
    }
    return ok;
}

static bool read_file(Conf *conf, const char *path, bool needed, Err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        if (!needed && (errno == ENOENT || errno == ENOTDIR))
            return true;
        return err_errno(err, "configuration %s", path);
    }
    char *whole = path_from(NULL, path);
    char *folder = xasprintf("%.*s", (int)(strrchr(whole, '/') - whole), whole);
    FileReader reader = {.file = file, .path = path, .folder = folder, .conf = conf, .err = err};
    ini_use_stack = false; /* else a line ends at 200 bytes, in the middle of a path */
    ini_allow_realloc = true;
    ini_max_line = 1 << 16;
    ini_allow_multiline = false; /* an indented key is a key */
    int line = ini_parse_stream(next_line, &reader, on_key, &reader);
    bool ok = !reader.failed;
    if (ok && ferror(file))
        ok = err_errno(err, "configuration %s", path);
    else if (ok && line != 0)
        ok = err_set(err, ERR_FORMAT, "%s:%d: not a line of 'key = value' or a [section]", path, line);
    fclose(file);
    free(folder);
    free(whole);
    return ok;
}

/* --- layers ----------------------------------------------------------------------------------------- */

static bool read_environment(Conf *conf, Err *err)
{
    for (size_t i = 0; i < countof(daemon_keys); i++) {
        char name[64] = "DDQ_";
        size_t len = 4;
        for (const char *c = daemon_keys[i].name; *c; c++)
            name[len++] = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        const char *value = getenv(name);
        if (value && *value && !key_set(&daemon_keys[i], conf, NULL, value, err))
            return err_wrap(err, "%s", name);
    }
    return true;
}

static bool read_user_file(Conf *conf, Err *err)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (!(base && *base) && !(home && *home))
        return true;
    char *path = base && *base ? xasprintf("%s/ddq/ddq.conf", base) : xasprintf("%s/.config/ddq/ddq.conf", home);
    bool ok = read_file(conf, path, false, err);
    free(path);
    return ok;
}

static bool read_layers(Conf *conf, const char *path, Err *err)
{
    char *builtin = xasprintf("%s/models/ddq.conf", datadir());
    bool ok = read_file(conf, builtin, false, err);
    free(builtin);
    if (!ok)
        return false;
    if (!path || !*path)
        path = getenv("DDQ_CONF");
    if (path && *path)
        ok = read_file(conf, path, true, err);
    else
        ok = read_file(conf, "/etc/ddq/ddq.conf", false, err) && read_user_file(conf, err);
    return ok && read_environment(conf, err);
}

static bool check(const Conf *conf, Err *err)
{
    for (int i = 0; i < conf->model_count; i++) {
        const ConfModel *model = &conf->models[i];
        if (!model->tokenizer || (!model->student && !model->teacher))
            return err_set(err, ERR_USAGE, "configuration: [model %s] has no %s; a model is a tokenizer and a student, a "
                           "teacher or both", model->name, model->tokenizer ? "student and no teacher" : "tokenizer");
    }
    for (int i = 0; i < conf->reference_count; i++)
        if (!conf->references[i].statistics)
            return err_set(err, ERR_USAGE, "configuration: [reference %s] has no statistics", conf->references[i].name);
    return true;
}

bool conf_load(const char *path, Conf **ret_conf, Err *err)
{
    Conf *conf = xcalloc(1, sizeof *conf);
    char host[HOST_NAME_MAX + 1] = "localhost";
    gethostname(host, sizeof host - 1);
    conf->host = xstrdup(host);
    conf->state = conf_default_state();
    conf->lease_ms = 15000;
    conf->chunk_ms = 30000;
    if (!read_layers(conf, path, err) || !check(conf, err)) {
        conf_free(conf);
        return false;
    }
    *ret_conf = conf;
    return true;
}

static void free_texts(SectionId id, void *object)
{
    for (int i = 0; i < sections[id].key_count; i++)
        if (sections[id].keys[i].type != KEY_INT)
            free(*(char **)((char *)object + sections[id].keys[i].offset));
}

void conf_free(Conf *conf)
{
    if (!conf)
        return;
    for (int i = 0; i < conf->model_count; i++) {
        free(conf->models[i].name);
        free_texts(SECTION_MODEL, &conf->models[i]);
    }
    for (int i = 0; i < conf->reference_count; i++) {
        free(conf->references[i].name);
        free_texts(SECTION_REFERENCE, &conf->references[i]);
    }
    free(conf->models);
    free(conf->references);
    free_texts(SECTION_DAEMON, conf);
    free_texts(SECTION_INCEPTION, conf);
    free(conf);
}

const ConfModel *conf_model(const Conf *conf, const char *name)
{
    for (int i = 0; i < conf->model_count; i++)
        if (strcmp(conf->models[i].name, name) == 0)
            return &conf->models[i];
    return NULL;
}

const ConfReference *conf_reference(const Conf *conf, const char *name)
{
    for (int i = 0; i < conf->reference_count; i++)
        if (strcmp(conf->references[i].name, name) == 0)
            return &conf->references[i];
    return NULL;
}

static void print_section(Buf *out, SectionId id, const char *name, const void *object)
{
    buf_printf(out, "%s[%s%s%s]\n", out->len ? "\n" : "", sections[id].name, name ? " " : "", name ? name : "");
    for (int i = 0; i < sections[id].key_count; i++) {
        const Key *key = &sections[id].keys[i];
        const void *place = (const char *)object + key->offset;
        if (key->type == KEY_INT)
            buf_printf(out, "%s = %d\n", key->name, *(const int *)place);
        else if (*(char *const *)place)
            buf_printf(out, "%s = %s\n", key->name, *(char *const *)place);
    }
}

char *conf_print(const Conf *conf)
{
    Buf out = {0};
    print_section(&out, SECTION_DAEMON, NULL, conf);
    if (conf->inception)
        print_section(&out, SECTION_INCEPTION, NULL, conf);
    for (int i = 0; i < conf->model_count; i++)
        print_section(&out, SECTION_MODEL, conf->models[i].name, &conf->models[i]);
    for (int i = 0; i < conf->reference_count; i++)
        print_section(&out, SECTION_REFERENCE, conf->references[i].name, &conf->references[i]);
    return out.data;
}

/* --- places ----------------------------------------------------------------------------------------- */

char *conf_standalone_url(const char *state_dir)
{
    char *state = path_from(NULL, state_dir);
    size_t len = strlen(state);
    while (len > 1 && state[len - 1] == '/')
        state[--len] = 0;
    char *url = xasprintf("unix:%s/redis.sock", state);
    if (strlen(url) - 5 >= sizeof((struct sockaddr_un *)0)->sun_path) {
        uint64_t hash = 1469598103934665603u; /* FNV-1a: the same folder always has the same socket */
        for (const char *c = state; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        bool fits = runtime && runtime[0] == '/' && strlen(runtime) < 60;
        free(url);
        url = xasprintf("unix:%s/ddq-%u-%016llx.sock", fits ? runtime : "/tmp", (unsigned)geteuid(),
                        (unsigned long long)hash);
    }
    free(state);
    return url;
}

char *conf_default_state(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/')
        return xasprintf("%s/ddq", state);
    if (geteuid() == 0 && getenv("INVOCATION_ID"))
        return xstrdup("/var/lib/ddq");
    const struct passwd *entry = home && *home ? NULL : getpwuid(geteuid());
    if (entry)
        home = entry->pw_dir;
    return home && *home ? xasprintf("%s/.local/state/ddq", home) : xstrdup("/var/lib/ddq");
}
