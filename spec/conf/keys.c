/* The keys of ddq.conf: one row per key with its type, its place in the struct and a sentence. All code here iterates
 * over the rows: it reads values, suggests the nearest name, prints a configuration and docs/configuration.md. To add a
 * key: a field in conf.h, a row here. The files of a model are rows of spec/model.c. */
#include "spec/conf/parts.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/help.h"
#include "core/mem.h"
#include "spec/jobspec.h"
#include "spec/references.h"

enum { KEYS_MAX = 32 }; /* per section */

typedef enum KeyType { KEY_TEXT, KEY_PATH, KEY_PATHS, KEY_URL, KEY_INT } KeyType;

typedef struct Key {
    const char *name;
    KeyType type;
    size_t offset; /* of a char * or an int in the section's struct */
    int min, max;  /* KEY_INT */
    const char *help;
} Key;

static const Key daemon_keys[] = {
    {"redis", KEY_URL, offsetof(Conf, redis), 0, 0,
     "Address of the Redis server that holds the queue: `unix:PATH`, `unix://[:PASSWORD@]/PATH[?db=N]`, "
     "`redis://[:PASSWORD@]HOST[:PORT][/N]` or `HOST:PORT`; an IPv6 address in brackets. In a password, `%XX` stands "
     "for a byte. Default: ddqd starts a private server in the state folder."},
    {"redis_server", KEY_TEXT, offsetof(Conf, redis_server), 0, 0,
     "Program of the private server. Default: redis-server, or valkey-server where that is not installed."},
    {"redis_secret", KEY_PATH, offsetof(Conf, redis_secret), 0, 0,
     "File whose first line is the password of that server, readable for ddqd alone (chmod 640, group ddq). Clients "
     "never read it."},
    {"output_root", KEY_PATH, offsetof(Conf, output_root), 0, 0,
     "Folder below which every job writes its output; jobs write nowhere else. Hosts that share a Redis server share "
     "this folder too. Default: jobs/ in the state folder, or ~/ddq-jobs where that is ~/.local/state/ddq."},
    {"state", KEY_PATH, offsetof(Conf, state), 0, 0,
     "Folder for the daemon's own files: journal, lock, private Redis server. Default: $XDG_STATE_HOME/ddq, else "
     "~/.local/state/ddq; /var/lib/ddq as a system service."},
    {"workers", KEY_TEXT, offsetof(Conf, workers), 0, 0,
     "Workers to start on this host: `cuda` (one per GPU), `cuda:GPU-UUID` (one on this GPU), `cpu` (one), `cpu:N` (N "
     "on the CPU), or several of these with commas; or `none`, on a host whose users submit jobs and that runs none. "
     "Default: one per GPU, or one on the CPU if there is no GPU."},
    {"worker_program", KEY_PATH, offsetof(Conf, worker_program), 0, 0,
     "The ddq-worker program to start. Default: the one in the folder of ddqd."},
    {"host", KEY_TEXT, offsetof(Conf, host), 0, 0, "Name of this host in the queue. Default: the host name."},
    {"input_roots", KEY_PATHS, offsetof(Conf, input_roots), 0, 0,
     "Folders from which jobs may read images, noise and labels, separated by colons. The output root is always "
     "allowed."},
    {"http", KEY_TEXT, offsetof(Conf, http), 0, 0,
     "Address on which the daemon serves health and metrics over HTTP: `HOST:PORT`, `[V6]:PORT`, or `PORT` for "
     "127.0.0.1. Default: off."},
    {"socket", KEY_PATH, offsetof(Conf, socket), 0, 0,
     "Socket on which ddqd serves the users of this host. Default: /run/ddq/ddq.sock as a system service, else "
     "ddq.sock in the state folder."},
    {"admin_group", KEY_TEXT, offsetof(Conf, admin_group), 0, 0,
     "Members of this group of the host are administrators of the queue, as root is. Default: ddq-admin."},
    {"recipes", KEY_PATH, offsetof(Conf, recipes), 0, 0,
     "Folder with your own recipes. A recipe here overrides an installed one of the same name."},
    {"lease_ms", KEY_INT, offsetof(Conf, lease_ms), 1000, 3600000,
     "Reassign a host's work after this many milliseconds without a heartbeat. Default 15000."},
    {"chunk_ms", KEY_INT, offsetof(Conf, chunk_ms), 100, 3600000,
     "Milliseconds of work, approximately, that a worker claims at a time. Default 30000."},
};
/* After the files of a model (key_at). */
static const Key model_keys[] = {
    {"family", KEY_TEXT, offsetof(ConfModel, family), 0, 0,
     "The kind of model. Default `llamagen-dd`, the only one so far."},
    {"heads", KEY_INT, offsetof(ConfModel, heads), 0, 1024,
     "Number of attention heads of student and teacher. Default 0: that of LlamaGen's published sizes; for other "
     "sizes up to a width of 2560 one per 64 channels, with a warning; wider ones need this key."},
    {"grid", KEY_INT, offsetof(ConfModel, grid), 0, 1024,
     "Number of tokens per side, which no file has: with the VQ-16 tokenizer 16 for models of 256 pixels, 24 for 384, "
     "32 for 512. Default 0: by the number of the tokenizer's levels (16 for VQ-16, 32 for VQ-8); an error for sizes "
     "that were published for 384 pixels (XL, XXL, 3B), a warning for sizes that were not published."},
};
static const Key reference_keys[] = {
    {"statistics", KEY_PATH, offsetof(ConfReference, statistics), 0, 0,
     "File with the mean and covariance of the real images' features: .npz or .pth. Set this or `images`."},
    {"images", KEY_PATH, offsetof(ConfReference, images), 0, 0,
     "The real images: a folder, or an .npz file with arr_0. Their statistics are computed once and cached."},
    {"pipeline", KEY_TEXT, offsetof(ConfReference, pipeline), 0, 0,
     "How images are resized before Inception: `pt` (as pytorch-fid) or `tf` (as the ADM evaluator). Default: as the "
     "file says, else `pt`."},
    {"inception", KEY_PATH, offsetof(ConfReference, inception), 0, 0,
     "Inception weights that the statistics were made with. Default: those of [inception]."},
};
static const Key inception_keys[] = {
    {"weights", KEY_PATH, offsetof(Conf, inception), 0, 0,
     "Inception weights for FID and the other metrics: pt_inception-2015-12-05-6726825d.pth."},
};

typedef enum SectionId { SECTION_DAEMON, SECTION_INCEPTION, SECTION_MODEL, SECTION_REFERENCE, SECTIONS } SectionId;

static const struct {
    const char *name;
    bool named; /* [model NAME] */
    const Key *keys;
    int key_count;
    const char *help;
} sections[SECTIONS] = {
    [SECTION_DAEMON] = {"daemon", false, daemon_keys, countof(daemon_keys),
                        "Each key can also be set by an environment variable: DDQ_REDIS, DDQ_OUTPUT_ROOT, ..."},
    [SECTION_INCEPTION] = {"inception", false, inception_keys, countof(inception_keys),
                           "The network whose features the metrics compare."},
    [SECTION_MODEL] = {"model", true, model_keys, countof(model_keys),
                       "A model that jobs can use. Jobs give its name, never its files."},
    [SECTION_REFERENCE] = {"reference", true, reference_keys, countof(reference_keys),
                           "Real images that jobs can be compared with."},
};

#define PART_HELP                                                                                                      \
    "Part of that file to read: `model`, `state_dict.ema`, `.` for the top level. Default: averaged weights (`ema`, "  \
    "...) before others (docs/dev/checkpoints.md)."

/* The i-th key of a section; false past the last. A model's files come first, one key per role, then their parts. */
static bool key_at(SectionId id, int i, Key *ret_key)
{
    int files = id == SECTION_MODEL ? MODEL_ROLES : 0, before = 2 * files;
    if (i < files)
        *ret_key = (Key){
            model_role_name((ModelRole)i), KEY_PATH, offsetof(ConfModel, files) + (size_t)i * sizeof(char *), 0, 0,
            model_role_help((ModelRole)i)};
    else if (i < before)
        *ret_key = (Key){model_role_part((ModelRole)(i - files)),
                         KEY_TEXT,
                         offsetof(ConfModel, parts) + (size_t)(i - files) * sizeof(char *),
                         0,
                         0,
                         PART_HELP};
    else if (i < before + sections[id].key_count)
        *ret_key = sections[id].keys[i - before];
    else
        return false;
    return true;
}

/* --- values --------------------------------------------------------------------------------------- */

char *conf_path(const char *folder, const char *path)
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
    while ((one = strsep(&rest, ":"))) {
        one += strspn(one, " \t");
        for (size_t len = strlen(one); len && (one[len - 1] == ' ' || one[len - 1] == '\t'); len--)
            one[len - 1] = 0;
        if (*one) {
            char *whole = conf_path(folder, one);
            buf_printf(&all, "%s%s", all.len ? ":" : "", whole);
            free(whole);
        }
    }
    free(copy);
    return all.data ? all.data : xstrdup("");
}

static char *url_from(const char *folder, const char *url)
{
    if (strncmp(url, "unix:", 5) != 0 || strncmp(url, "unix://", 7) == 0)
        return xstrdup(url);
    char *path = conf_path(folder, url + 5), *whole = xasprintf("unix:%s", path);
    free(path);
    return whole;
}

/* Judged as it was written: as an absolute path a malformed address could look like a good one. */
static bool url_set(const char *folder, const char *text, char **ret_value, Err *err)
{
    RedisUrl ignored;
    if (!redis_url_parse(text, &ignored, err))
        return false;
    *ret_value = url_from(folder, text);
    if (redis_url_parse(*ret_value, &ignored, err))
        return true;
    free(*ret_value);
    return false;
}

static bool key_set(const Key *key, void *object, const char *folder, const char *text, Err *err)
{
    for (const char *c = text; *c; c++)
        if (iscntrl((unsigned char)*c))
            return err_set(err, ERR_USAGE, "%s contains the control character %d", key->name, *c);
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
    char *value = NULL;
    bool ok = true;
    if (key->type == KEY_URL && !url_set(folder, text, &value, err))
        return err_wrap(err, "%s", key->name);
    if (!value)
        value = key->type == KEY_PATH    ? conf_path(folder, text)
                : key->type == KEY_PATHS ? paths_from(folder, text)
                                         : xstrdup(text);
    if (key->type == KEY_PATHS && !*value)
        ok = err_set(err, ERR_USAGE, "%s is '%s', wanted folders with colons between them", key->name, text);
    if (!ok) {
        free(value);
        return false;
    }
    char **place = (char **)((char *)object + key->offset);
    free(*place);
    *place = value;
    return true;
}

static bool key_find(SectionId id, const char *name, Key *ret_key, const char **ret_nearest)
{
    const char *names[KEYS_MAX];
    int count = 0;
    for (; key_at(id, count, ret_key); count++) {
        names[count] = ret_key->name;
        if (strcmp(ret_key->name, name) == 0)
            return true;
    }
    *ret_nearest = nearest_name(name, names, count);
    return false;
}

/* --- sections ------------------------------------------------------------------------------------- */

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

const char *conf_reference_path(const ConfReference *reference)
{
    return reference->statistics ? reference->statistics : reference->images;
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
        if (sections[id].named && !references_name_ok(name))
            return err_set(err, ERR_USAGE,
                           "section [%s] needs a name of letters, digits, '.', '_' and '-', as in [%s digits]", title,
                           names[id]);
        *ret_id = id;
        *ret_object = id == SECTION_MODEL       ? (void *)model_row(conf, name)
                      : id == SECTION_REFERENCE ? (void *)reference_row(conf, name)
                                                : (void *)conf;
        return true;
    }
    if (!*title)
        return err_set(err, ERR_USAGE, "a key comes before the first section; begin with [daemon]");
    char *first = xasprintf("%.*s", (int)word, title);
    const char *nearest = nearest_name(first, names, SECTIONS);
    free(first);
    return err_set(err, ERR_USAGE,
                   "unknown section [%s]%s%s%s Sections are [daemon], [inception], [model NAME], [reference NAME]",
                   title, nearest ? ". Did you mean [" : ".", nearest ? nearest : "", nearest ? "]?" : "");
}

/* --- entry points --------------------------------------------------------------------------------- */

bool conf_key_set(Conf *conf, const char *section, const char *name, const char *value, const char *folder, Err *err)
{
    SectionId id = SECTION_DAEMON;
    void *object = NULL;
    const char *nearest = NULL;
    if (!section_find(conf, section, &id, &object, err))
        return false;
    Key key;
    if (id == SECTION_DAEMON && strcmp(name, "user") == 0)
        return err_set(err, ERR_USAGE,
                       "key 'user' in [%s] is gone: the daemon knows the caller from the system. Remove the line; an "
                       "administrator acts for a user with --as",
                       section);
    if (!key_find(id, name, &key, &nearest))
        return err_set(err, ERR_USAGE, "unknown key '%s' in [%s]%s%s%s", name, section,
                       nearest ? ". Did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
    if (!value || !*value)
        return err_set(err, ERR_USAGE, "key '%s' in [%s] has no value", name, section);
    return key_set(&key, object, folder, value, err);
}

bool conf_keys_environment(Conf *conf, Err *err)
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

static void free_texts(SectionId id, void *object)
{
    Key key;
    for (int i = 0; key_at(id, i, &key); i++)
        if (key.type != KEY_INT)
            free(*(char **)((char *)object + key.offset));
}

void conf_keys_free(Conf *conf)
{
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
}

static void print_section(Buf *out, SectionId id, const char *name, const void *object)
{
    buf_printf(out, "%s[%s%s%s]\n", out->len ? "\n" : "", sections[id].name, name ? " " : "", name ? name : "");
    Key key;
    for (int i = 0; key_at(id, i, &key); i++) {
        const void *place = (const char *)object + key.offset;
        char *const *text = place;
        if (key.type == KEY_INT) {
            buf_printf(out, "%s = %d\n", key.name, *(const int *)place);
        } else if (*text) {
            char *shown = key.type == KEY_URL ? redis_url_masked(*text) : xstrdup(*text);
            buf_printf(out, "%s = %s\n", key.name, shown);
            free(shown);
        }
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

char *conf_describe(void)
{
    Buf out = {0};
    buf_printf(&out,
               "# ddq.conf\n\nThis page is printed by `ddq help configuration`.\n\n"
               "Settings are read in this order; a later one overrides an earlier one, key by key: the built-in\n"
               "file (the digits model), /etc/ddq/ddq.conf, ~/.config/ddq/ddq.conf, `DDQ_*` environment\n"
               "variables, command-line flags. `--conf FILE` or `DDQ_CONF` replaces the two files. A relative\n"
               "path is relative to the folder of the file that contains it; `~/` is the home folder. An unknown\n"
               "section or key is an error that names the file, the line and the nearest name.\n");
    for (SectionId id = 0; id < SECTIONS; id++) {
        buf_printf(&out, "\n## [%s%s]\n\n%s\n\n", sections[id].name, sections[id].named ? " NAME" : "",
                   sections[id].help);
        Key key;
        for (int i = 0; key_at(id, i, &key); i++) {
            char *item = xasprintf("`%s`: %s", key.name, key.help);
            help_item(&out, item);
            free(item);
        }
    }
    return out.data;
}
