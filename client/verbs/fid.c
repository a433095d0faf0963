/* ddq fid: the worker's own `fid`, with the flags of pytorch-fid. Neither a daemon nor Redis is asked. */
#include <stdlib.h>
#include <string.h>

#include "client/cmd.h"
#include "client/jobs/program.h"
#include "core/mem.h"
#include "core/metric.h"

static const Flag flags[] = {
    {"batch-size", 0, "N", "images at a time; changes the speed and nothing else"},
    {"num-workers", 0, "N", "taken for the sake of old command lines, and ignored"},
    {"device", 0, "D", "cpu, cuda, cuda:N or a GPU's UUID; default the first GPU, else the CPU"},
    {"dims", 0, "N", "features of 2048 (default), 768, 192 or 64 dimensions"},
    {"save-stats", 0, NULL, "write the statistics of images A into the new file B (.npz)"},
    {"pipeline", 0, "P", "pt or tf: how images are resized; default what the statistics say, else pt (pytorch-fid)"},
    {"like", 0, "WHICH", "pytorch-fid: with its 1e-6 on the diagonals where the exact root does not need it"},
    {"metrics", 0, "LIST", "any of" METRIC_WORDS_TEXT ", with commas; default fid"},
    {"inception", 0, "FILE", "the network's weights; default those of [inception] in ddq.conf"},
    {"cache", 0, "DIR", "where measured images are remembered; default ~/.cache/ddq"},
    {"threads", 0, "N", "CPU threads; default all"},
    {NULL, 0, NULL, NULL},
};

static bool fid_run(Cmd *cmd, Err *err)
{
    enum { WORDS = 64 };
    const char *words[WORDS + 8] = {"fid"};
    int count = 1;
    for (int i = 0; i < cmd->flag_count && count < WORDS; i++) {
        const char *name = cmd->flags[i].name;
        if (strcmp(name, "redis") == 0 || strcmp(name, "color") == 0)
            continue;
        char *flag = *cmd->flags[i].value ? xasprintf("--%s=%s", name, cmd->flags[i].value) : xasprintf("--%s", name);
        words[count++] = flag;
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
    .summary = "The FID of two sets, as `python -m pytorch_fid A B` prints it; needs no daemon",
    .detail =
        "A and B are folders of images, .npz or .npy with images, statistics (.npz, .pth), or references by name.\n"
        "  ddq fid samples/ imagenet256.npz\n"
        "  ddq fid samples.npz VIRTUAL_imagenet256_labeled.npz --metrics fid,sfid,is,prdc\n"
        "  ddq fid --save-stats photos/ photos.npz\n",
    .flags = flags,
    .run = fid_run,
};
