/* ddq fid: runs the worker's `fid`, with the flags of pytorch-fid. Needs neither a daemon nor Redis. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/jobs/program.h"
#include "core/mem.h"
#include "spec/report/fid_flags.h"

static bool fid_run(Cmd *cmd, Err *err)
{
    enum { WORDS = 64 };
    const char *words[WORDS + 8] = {"fid"};
    int count = 1;
    for (int i = 0; i < cmd->line.flag_count && count < WORDS; i++) {
        const FlagValue *flag = &cmd->line.flags[i];
        if (strcmp(flag->name, "redis") != 0 && strcmp(flag->name, "color") != 0)
            words[count++] =
                flag->value ? xasprintf("--%s=%s", flag->name, flag->value) : xasprintf("--%s", flag->name);
    }
    words[count++] = "--";
    for (int i = 0; i < cmd->arg_count; i++)
        words[count++] = cmd->args[i];
    return program_become_worker(words, err);
}

const Verb verb_fid = {
    .name = "fid",
    .args = "A B",
    .least = 2,
    .most = 2,
    .summary = "Compute the FID of two sets like `python -m pytorch_fid A B`",
    .detail = "A and B are folders or zips of images, .npz or .npy with images, statistics (.npz, .pth), or references "
              "by name.\n"
              "  ddq fid samples/ imagenet256.npz\n"
              "  ddq fid samples.npz VIRTUAL_imagenet256_labeled.npz --metrics fid,sfid,is,prdc\n"
              "  ddq fid --save-stats photos/ photos.npz\n",
    .flags = fid_flags,
    .run = fid_run,
};
