/* Writes the weights of the golden samplers: SOURCE/{tiny,small}/weights.tsv to
 * FOLDER/{tiny,small}/{student,teacher,vq}.safetensors.
 *
 *     make_weights SOURCE FOLDER
 *
 * The build runs it, so that no weights are in the repository. README.md says what the values are. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/procedural.h"

/* One line of weights.tsv. */
typedef struct Row {
    char file[16], tensor[64], shape[32];
    double mean, reach;
} Row;

static void add(WeightFile *file, const char *set, const Row *row)
{
    int64_t shape[4], count = 1;
    int ndim = 0;
    for (const char *at = row->shape; ndim < 4; at++) {
        char *end;
        count *= shape[ndim++] = strtoll(at, &end, 10);
        at = end;
        if (*at != ',')
            break;
    }
    char *key = xasprintf("%s/%s/%s", set, row->file, row->tensor);
    uint64_t stream = stream_open(key);
    float *values = xmalloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(row->mean + row->reach * (2 * stream_at(stream, (uint64_t)i) - 1));
    weight_file_add(file, row->tensor, ndim, shape, values);
    free(values);
    free(key);
}

static void finish(WeightFile *file, const char *folder, const char *set, const char *name)
{
    char *path = xasprintf("%s/%s/%s.safetensors", folder, set, name);
    weight_file_write(file, path);
    free(path);
}

static int make_set(const char *source, const char *folder, const char *set)
{
    char *from = xasprintf("%s/%s/weights.tsv", source, set), *to = xasprintf("%s/%s", folder, set);
    FILE *in = fopen(from, "r");
    if (!in || (mkdir(to, 0777) && errno != EEXIST)) {
        fprintf(stderr, "make_weights: %s: %s\n", in ? to : from, strerror(errno));
        return 1;
    }
    WeightFile file = {{0}, {0}};
    char line[256], open[sizeof((Row *)0)->file] = "";
    while (fgets(line, sizeof line, in)) {
        Row row;
        if (sscanf(line, "%15s %63s %31s %lf %lf", row.file, row.tensor, row.shape, &row.mean, &row.reach) != 5 ||
            *row.file == '#')
            continue;
        if (*open && strcmp(open, row.file))
            finish(&file, folder, set, open);
        snprintf(open, sizeof open, "%s", row.file);
        add(&file, set, &row);
    }
    finish(&file, folder, set, open);
    fclose(in);
    free(from);
    free(to);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: make_weights SOURCE FOLDER\n");
        return 2;
    }
    return make_set(argv[1], argv[2], "tiny") || make_set(argv[1], argv[2], "small");
}
