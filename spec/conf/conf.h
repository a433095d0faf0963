/* ddq.conf: an INI file, read in layers: built-in < /etc/ddq/ddq.conf < ~/.config/ddq/ddq.conf < DDQ_* < flags.
 *
 *     [daemon]                             [model digits]
 *     redis = unix:/run/ddq/redis.sock     student = models/digits/student.pt
 *     output_root = /srv/ddq               teacher = ...        tokenizer = ...       family = llamagen-dd
 *     state = /var/lib/ddq                 [inception]
 *     workers = cuda,cpu:1                 weights = pt_inception-2015-12-05-6726825d.pth
 *     input_roots = /data:/home            [reference imagenet256]
 *     lease_ms = 15000                     statistics = imagenet256/statistic.pth
 *     chunk_ms = 30000                     inception = other.pth     (optional: if it differs)
 *                                          pipeline = pt             (optional: if the file has none)
 *                                      [reference photos]
 *                                          images = /data/photos     (a folder or .npz, in place of statistics)
 *
 * The lowest layer is models/ddq.conf of the data folder (core/datadir.h), which names the digits model. Relative
 * paths are relative to the folder of their file, those of DDQ_* to the current folder; ~/ is the home folder. DDQ_X is
 * the key x of [daemon]. An unknown section or key is an error with the file, the line and the nearest name. */
#ifndef SPEC_CONF_CONF_H
#define SPEC_CONF_CONF_H

#include <stdbool.h>

#include "core/err.h"
#include "spec/model.h"

typedef struct ConfModel {
    char *name;
    char *family;             /* NULL: the first one (spec/model.h) */
    char *files[MODEL_ROLES]; /* paths; NULL: the model has none. After conf_load every model is complete */
    char *parts[MODEL_ROLES]; /* of the files; NULL: the usual one */
    int heads, grid;          /* 0: by the files (docs/dev/models.md) */
} ConfModel;

typedef struct ConfReference {
    char *name, *statistics, *images; /* a file or folder; one of the two is NULL */
    char *inception;                  /* NULL: the [inception] one */
    char *pipeline;                   /* "pt", "tf" or NULL */
} ConfReference;

typedef struct Conf {
    /* [daemon] and DDQ_REDIS, DDQ_OUTPUT_ROOT, DDQ_STATE, DDQ_WORKERS, ... NULL where no layer sets a value, except
     * state (conf_default_state), host (this machine's name), lease_ms and chunk_ms. */
    char *redis;        /* an address (REDIS_URL_FORMS); NULL: stand-alone default */
    char *redis_secret; /* file with its password; NULL: the address has it, or none is needed */
    char *output_root, *state, *workers, *worker_program, *host, *input_roots, *http, *socket, *admin_group, *recipes;
    char *redis_server; /* program of the private server; NULL: the first of those that is installed */
    int lease_ms, chunk_ms;
    ConfModel *models;
    int model_count;
    ConfReference *references;
    int reference_count;
    char *inception; /* default weights */
} Conf;

/* Reads the layers; `path` (NULL: DDQ_CONF, if set) replaces the two default files. */
bool conf_load(const char *path, Conf **ret_conf, Err *err);
void conf_free(Conf *conf);

const ConfModel *conf_model(const Conf *conf, const char *name); /* NULL if there is none */
const ConfReference *conf_reference(const Conf *conf, const char *name);
const char *conf_reference_path(const ConfReference *reference); /* its statistics or its images */

/* As a file that conf_load would read to the same values, but for a password, which becomes *** (ddqd --print-config).
 * Caller frees. */
char *conf_print(const Conf *conf);

/* docs/configuration.md. Caller frees. */
char *conf_describe(void);

/* The folder of this user below /tmp, for sockets and locks that have no better place: "/tmp/ddq-UID". Caller frees. */
char *conf_temporary_folder(void);
/* Makes it, or checks that no other user can enter the one that is there. */
bool conf_temporary_folder_make(Err *err);

/* Where the stand-alone server of a state folder listens: "unix:DIR/redis.sock", or a shorter path under
 * XDG_RUNTIME_DIR or conf_temporary_folder when DIR is too long for a socket address. Caller frees. */
char *conf_standalone_url(const char *state_dir);
/* Where ddqd serves users: the key `socket`, $RUNTIME_DIRECTORY/ddq.sock (set by systemd), or ddq.sock in the state
 * folder, with a shorter path as above. Caller frees. */
char *conf_socket(const Conf *conf);
#define CONF_SYSTEM_SOCKET "/run/ddq/ddq.sock" /* of the system service */

/* Default state folder: $XDG_STATE_HOME/ddq, ~/.local/state/ddq, or /var/lib/ddq for root under systemd. Caller frees.
 */
char *conf_default_state(void);
/* output_root, or its default: jobs/ in the state folder; ~/ddq-jobs for a user's default state folder, which is hidden
 * from whoever looks for results, unless there is a jobs/ in it. Caller frees. */
char *conf_output_root(const Conf *conf);

/* --- addresses (redis_url.c) -------------------------------------------------------------------------------- */

#define REDIS_URL_FORMS "unix:PATH, unix://[:PASSWORD@]/PATH[?db=N], redis://[:PASSWORD@]HOST[:PORT][/N] or HOST:PORT"

enum { HOST_MAX = 256, REDIS_DB_MAX = 1023 };

/* A parsed Redis address. */
typedef struct RedisUrl {
    char path[108]; /* unix socket, or empty */
    char host[HOST_MAX];
    int port, db;
    char password[256];
} RedisUrl;

/* The forms of REDIS_URL_FORMS. An error quotes nothing of the text, which may be a password in a wrong place. */
bool redis_url_parse(const char *url, RedisUrl *ret_url, Err *err);
/* An address without its password, for messages and people: redis_url_parse takes it. Caller frees. */
char *redis_url_name(const RedisUrl *url);
/* The text of an address with *** for its password. Caller frees. */
char *redis_url_masked(const char *url);
/* First in main: addresses after --redis move to a place of their own, and the command line that `ps` shows has their
 * names without passwords instead. */
void redis_url_hide(int count, char **words);

/* HOST, HOST:PORT or [V6]:PORT; without a port *ret_port stays. False, and nothing is written, for anything else. */
bool host_port_parse(const char *text, char ret_host[HOST_MAX], int *ret_port);

#endif
