#include "spec/report/fid_flags.h"

#include <stddef.h>

#include "spec/metric.h"

const Flag fid_flags[] = {
    {"batch-size", 0, "N", "images per batch; changes only the speed"},
    {"num-workers", 0, "N", "ignored; accepted for compatibility with pytorch-fid"},
    {"device", 0, "D", "cpu, cuda, cuda:N or the UUID of a GPU (default: the first GPU, else the CPU)"},
    {"dims", 0, "N", "features of 2048 (default), 768, 192 or 64 dimensions"},
    {"save-stats", 0, NULL, "write the statistics of images A into the new file B (.npz)"},
    {"pipeline", 0, "P", "pt or tf: how images are resized (default: as the statistics say, else pt)"},
    {"like", 0, "WHICH", "pytorch-fid: add 1e-6 to the diagonal of a singular product, as it does"},
    {"metrics", 0, "LIST", "any of" METRIC_WORDS_TEXT ", separated by commas (default fid)"},
    {"inception", 0, "FILE", "weights of the network (default: [inception] in ddq.conf)"},
    {"cache", 0, "DIR", "cache of measured images (default ~/.cache/ddq)"},
    {"threads", 0, "N", "CPU threads (default: all)"},
    {NULL, 0, NULL, NULL},
};
