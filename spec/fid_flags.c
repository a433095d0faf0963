#include "spec/fid_flags.h"

#include <stddef.h>

#include "spec/metric.h"

const Flag fid_flags[] = {
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
