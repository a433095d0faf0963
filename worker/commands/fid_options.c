#include "worker/commands/fid_options.h"

static const char *const dims_words[] = {"2048", "768", "192", "64", NULL}; /* in the order of InceptionLevel */
static const char *const pipeline_words[] = {"pt", "tf", NULL};             /* in the order of JobPipeline */
static const char *const like_words[] = {"exact", "pytorch-fid", NULL};     /* in the order of JobLike */

enum { COUNT_MAX = 4096 };

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

bool fid_options_read(const CommandLine *line, FidOptions *ret_options, Err *err)
{
    int level = INCEPTION_2048, pipeline = PIPELINE_AUTO, like = LIKE_EXACT;
    FidOptions options = {.paths = {line->args[0], line->args[1]},
                          .device = flags_value(line, "device"),
                          .inception = flags_value(line, "inception"),
                          .conf = flags_value(line, "conf"),
                          .cache = flags_value(line, "cache"),
                          .metrics = METRIC_FID,
                          .save_stats = flags_has(line, "save-stats"),
                          .json = flags_has(line, "json"),
                          .quiet = flags_has(line, "quiet"),
                          .num_workers = flags_has(line, "num-workers")};
    if (!flags_whole(line, "batch-size", 0, COUNT_MAX, &options.batch, err) ||
        !flags_whole(line, "threads", 0, COUNT_MAX, &options.threads, err) ||
        !flags_choice(line, "dims", dims_words, &level, err) ||
        !flags_choice(line, "pipeline", pipeline_words, &pipeline, err) ||
        !flags_choice(line, "like", like_words, &like, err) ||
        !flags_choices(line, "metrics", metric_words, &options.metrics, err))
        return false;
    options.level = (InceptionLevel)level;
    options.pipeline = (JobPipeline)pipeline;
    options.like = (JobLike)like;
    if (!check_together(&options, err))
        return false;
    *ret_options = options;
    return true;
}
