/* One row a flag. */
#include "worker/commands/fid_options.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

typedef enum FlagType { FLAG_SWITCH, FLAG_TEXT, FLAG_COUNT, FLAG_WORD, FLAG_METRICS, FLAG_IGNORED } FlagType;

static const char *const dims_words[] = {"2048", "768", "192", "64", NULL}; /* in the order of InceptionLevel */
static const char *const pipeline_words[] = {"pt", "tf", NULL};
static const char *const like_words[] = {"exact", "pytorch-fid", NULL};

static const struct {
    const char *name;
    FlagType type;
    size_t offset;
    const char *const *words;
} flags[] = {
    {"--batch-size", FLAG_COUNT, offsetof(FidOptions, batch), NULL},
    {"--num-workers", FLAG_IGNORED, offsetof(FidOptions, num_workers), NULL},
    {"--device", FLAG_TEXT, offsetof(FidOptions, device), NULL},
    {"--dims", FLAG_WORD, offsetof(FidOptions, level), dims_words},
    {"--save-stats", FLAG_SWITCH, offsetof(FidOptions, save_stats), NULL},
    {"--pipeline", FLAG_WORD, offsetof(FidOptions, pipeline), pipeline_words},
    {"--like", FLAG_WORD, offsetof(FidOptions, like), like_words},
    {"--metrics", FLAG_METRICS, offsetof(FidOptions, metrics), metric_words},
    {"--inception", FLAG_TEXT, offsetof(FidOptions, inception), NULL},
    {"--conf", FLAG_TEXT, offsetof(FidOptions, conf), NULL},
    {"--cache", FLAG_TEXT, offsetof(FidOptions, cache), NULL},
    {"--threads", FLAG_COUNT, offsetof(FidOptions, threads), NULL},
    {"--json", FLAG_SWITCH, offsetof(FidOptions, json), NULL},
    {"--quiet", FLAG_SWITCH, offsetof(FidOptions, quiet), NULL},
};

/* "fp32, tf32 or fp16" */
static char *list_words(const char *const *words)
{
    Buf buf = {0};
    for (int i = 0; words[i]; i++)
        buf_printf(&buf, "%s%s", !i ? "" : words[i + 1] ? ", " : " or ", words[i]);
    return buf.data;
}

static bool read_word(const char *flag, const char *const *words, const char *text, size_t len, int *ret_index,
                      Err *err)
{
    for (int i = 0; words[i]; i++)
        if (strlen(words[i]) == len && strncmp(words[i], text, len) == 0) {
            *ret_index = i;
            return true;
        }
    char *may_be = list_words(words);
    err_set(err, ERR_USAGE, "%s is '%.*s', wanted %s", flag, (int)len, text, may_be);
    free(may_be);
    return false;
}

static bool read_metrics(const char *flag, const char *text, unsigned *ret_metrics, Err *err)
{
    *ret_metrics = 0;
    while (*text) {
        size_t len = strcspn(text, ",");
        int index;
        if (!read_word(flag, metric_words, text, len, &index, err))
            return false;
        *ret_metrics |= 1u << index;
        text += len + (text[len] == ',');
    }
    return *ret_metrics ||
           err_set(err, ERR_USAGE, "%s is empty, wanted any of" METRIC_WORDS_TEXT ", with commas", flag);
}

static bool read_count(const char *flag, const char *text, int *ret_count, Err *err)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 0 || value > 4096)
        return err_set(err, ERR_USAGE, "%s is '%s', wanted a number from 0 to 4096", flag, text);
    *ret_count = (int)value;
    return true;
}

static bool set_flag(size_t row, const char *value, FidOptions *options, Err *err)
{
    void *place = (char *)options + flags[row].offset;
    int index = 0;
    switch (flags[row].type) {
    case FLAG_SWITCH:
    case FLAG_IGNORED:
        *(bool *)place = true;
        return true;
    case FLAG_TEXT:
        *(const char **)place = value;
        return true;
    case FLAG_COUNT:
        return read_count(flags[row].name, value, place, err);
    case FLAG_METRICS:
        return read_metrics(flags[row].name, value, place, err);
    case FLAG_WORD:
        break;
    }
    if (!read_word(flags[row].name, flags[row].words, value, strlen(value), &index, err))
        return false;
    *(int *)place = index;
    return true;
}

/* One word that starts with dashes, written "--flag value" or "--flag=value"; *i moves past its value. */
static bool read_flag(int argc, char **argv, int *i, FidOptions *options, Err *err)
{
    const char *word = argv[*i], *equals = strchr(word, '='), *value = equals ? equals + 1 : NULL;
    size_t len = equals ? (size_t)(equals - word) : strlen(word), row = 0;
    while (row < countof(flags) && !(strlen(flags[row].name) == len && strncmp(flags[row].name, word, len) == 0))
        row++;
    if (row == countof(flags))
        return err_set(err, ERR_USAGE, "unknown flag %.60s; ddq fid --help lists them", word);
    if (flags[row].type == FLAG_SWITCH)
        return value ? err_set(err, ERR_USAGE, "%s takes no value", flags[row].name)
                     : set_flag(row, NULL, options, err);
    if (!value && *i + 1 >= argc)
        return err_set(err, ERR_USAGE, "%s wants a value", word);
    return set_flag(row, value ? value : argv[++*i], options, err);
}

static bool check_together(const FidOptions *options, Err *err)
{
    const unsigned deep = METRIC_SFID | METRIC_IS;
    if (options->level != INCEPTION_2048 && options->metrics & deep)
        return err_set(err, ERR_USAGE,
                       "--dims %s has no sfid and no is: both belong to the whole network (--dims 2048)",
                       dims_words[options->level]);
    if (options->save_stats && options->metrics & ~(unsigned)(METRIC_FID | METRIC_SFID))
        return err_set(err, ERR_USAGE,
                       "--save-stats saves what fid and sfid need; the other metrics are no statistics");
    return true;
}

bool fid_options_parse(int argc, char **argv, FidOptions *ret_options, Err *err)
{
    static_assert(sizeof(InceptionLevel) == sizeof(int) && sizeof(JobPipeline) == sizeof(int), "set_flag writes ints");
    FidOptions options = {.pipeline = PIPELINE_AUTO, .metrics = METRIC_FID};
    int paths = 0;
    bool words_only = false;
    for (int i = 0; i < argc; i++) {
        if (!words_only && strcmp(argv[i], "--") == 0)
            words_only = true;
        else if (!words_only && argv[i][0] == '-') {
            if (!read_flag(argc, argv, &i, &options, err))
                return false;
        } else if (paths++ < 2)
            options.paths[paths - 1] = argv[i];
    }
    if (paths != 2)
        return err_set(err, ERR_USAGE, "%d path%s, wanted two: %s", paths, paths == 1 ? "" : "s",
                       options.save_stats ? "images and the .npz to write"
                                          : "folders of images, .npz or .npy with images, or statistics (.npz, .pth)");
    if (!check_together(&options, err))
        return false;
    *ret_options = options;
    return true;
}
