/* ddq.conf: where its layers are, and what must hold for a whole configuration. The keys are rows in keys.c.
 *
 * The lowest layer is models/ddq.conf of the data folder (the source tree or the installed one): it names the digits
 * model, so that there is always something to run. libinih splits lines; this file counts them, because its handler
 * gets no number. Files named by the configuration are not opened: the daemon and `ddq doctor` check that they exist.
 */
#include "spec/conf/conf.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/datadir.h"
#include "core/mem.h"
#include "spec/conf/parts.h"

/* --- a file ----------------------------------------------------------------------------------------- */

typedef struct FileReader {
    FILE *file;
    const char *path, *folder;
    int line; /* inih calls the handler before it reads the next line */
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
    if (reader->failed)
        return 0;
    if (!conf_key_set(reader->conf, section, name, value, reader->folder, reader->err)) {
        err_wrap(reader->err, "%s:%d", reader->path, reader->line);
        reader->failed = true;
    }
    return !reader->failed;
}

static bool read_file(Conf *conf, const char *path, bool needed, Err *err)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        if (!needed && (errno == ENOENT || errno == ENOTDIR))
            return true;
        return err_errno(err, "configuration %s", path);
    }
    char *whole = conf_path(NULL, path);
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
    return ok && conf_keys_environment(conf, err);
}

static bool check_reference(const ConfReference *reference, Err *err)
{
    const char *pipeline = reference->pipeline;
    if (!reference->statistics == !reference->images)
        return err_set(err, ERR_USAGE, "configuration: [reference %s] has %s; wanted one of them", reference->name,
                       reference->images ? "statistics and images" : "no statistics and no images");
    if (pipeline && strcmp(pipeline, "pt") != 0 && strcmp(pipeline, "tf") != 0)
        return err_set(err, ERR_USAGE, "configuration: [reference %s] has the pipeline '%s', wanted pt or tf",
                       reference->name, pipeline);
    return true;
}

static bool unknown_family(const ConfModel *model, Err *err)
{
    Buf all = {0};
    const ModelFamily *family;
    for (int i = 0; (family = model_family_at(i)); i++)
        buf_printf(&all, "%s%s", i ? ", " : "", family->name);
    err_set(err, ERR_USAGE, "configuration: [model %s] has the family '%s', wanted one of: %s", model->name,
            model->family, all.data);
    buf_free(&all);
    return false;
}

static bool check(const Conf *conf, Err *err)
{
    for (int i = 0; i < conf->model_count; i++) {
        const ConfModel *model = &conf->models[i];
        const ModelFamily *family = model_family(model->family);
        if (!family)
            return unknown_family(model, err);
        if (!model_check(family, model->files, err))
            return err_wrap(err, "configuration: [model %s]", model->name);
    }
    for (int i = 0; i < conf->reference_count; i++)
        if (!check_reference(&conf->references[i], err))
            return false;
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

void conf_free(Conf *conf)
{
    if (conf)
        conf_keys_free(conf);
    free(conf);
}

/* --- places ----------------------------------------------------------------------------------------- */

char *conf_temporary_folder(void)
{
    return xasprintf("/tmp/ddq-%u", (unsigned)geteuid());
}

bool conf_temporary_folder_make(Err *err)
{
    char *folder = conf_temporary_folder();
    struct stat st;
    bool ok = (mkdir(folder, 0700) == 0 || errno == EEXIST) && lstat(folder, &st) == 0;
    if (!ok)
        err_errno(err, "folder %s", folder);
    else if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077))
        ok = err_set(
            err, ERR_PERMISSION,
            "%s is not a folder of yours that only you can enter (chmod 700); remove it, or set XDG_RUNTIME_DIR",
            folder);
    free(folder);
    return ok;
}

/* DIR/redis.sock, or where that is too long for a socket address, a path with a hash of DIR. */
static char *socket_of(const char *state_dir, const char *name)
{
    char *state = conf_path(NULL, state_dir);
    size_t len = strlen(state);
    while (len > 1 && state[len - 1] == '/')
        state[--len] = 0;
    char *path = xasprintf("%s/%s", state, name);
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path) {
        uint64_t hash = 1469598103934665603u; /* FNV-1a: the same folder always has the same socket */
        for (const char *c = state; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 1099511628211u;
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        bool fits = runtime && runtime[0] == '/' && strlen(runtime) < 60;
        char *folder = fits ? xstrdup(runtime) : conf_temporary_folder();
        free(path);
        path = xasprintf("%s/ddq-%016llx-%s", folder, (unsigned long long)hash, name);
        free(folder);
    }
    free(state);
    return path;
}

char *conf_standalone_url(const char *state_dir)
{
    char *path = socket_of(state_dir, "redis.sock"), *url = xasprintf("unix:%s", path);
    free(path);
    return url;
}

char *conf_socket(const Conf *conf)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY");
    if (conf->socket)
        return xstrdup(conf->socket);
    if (runtime && runtime[0] == '/' && !strchr(runtime, ':'))
        return xasprintf("%s/ddq.sock", runtime);
    return socket_of(conf->state, "ddq.sock");
}

/* NULL: none is known. */
static const char *home_folder(void)
{
    const char *home = getenv("HOME");
    const struct passwd *entry = home && *home ? NULL : getpwuid(geteuid());
    home = entry ? entry->pw_dir : home;
    return home && *home ? home : NULL;
}

static bool is_service(void)
{
    return geteuid() == 0 && getenv("INVOCATION_ID");
}

char *conf_output_root(const Conf *conf)
{
    const char *home = is_service() ? NULL : home_folder();
    char *jobs = xasprintf("%s/jobs", conf->state), *usual = conf_default_state(), *root;
    if (conf->output_root)
        root = xstrdup(conf->output_root);
    else if (home && strcmp(conf->state, usual) == 0 && access(jobs, F_OK) != 0)
        root = xasprintf("%s/ddq-jobs", home);
    else
        root = xstrdup(jobs);
    free(jobs);
    free(usual);
    return root;
}

char *conf_default_state(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = home_folder();
    if (state && state[0] == '/')
        return xasprintf("%s/ddq", state);
    if (is_service())
        return xstrdup("/var/lib/ddq");
    return home ? xasprintf("%s/.local/state/ddq", home) : xstrdup("/var/lib/ddq");
}
