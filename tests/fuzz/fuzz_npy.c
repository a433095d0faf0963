/* .npy, .npz and zips of images: whatever the bytes are, they are refused or can be read to their last byte. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "worker/arrays/npy.h"
#include "worker/images/images.h"
#include "worker/metrics/statistics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(const NpyArray *array)
{
    size_t bytes = dtype_size(array->dtype);
    for (int i = 0; i < array->ndim; i++)
        bytes *= (size_t)array->shape[i];
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum = (uint8_t)(sum + ((const uint8_t *)array->data)[i]);
}

static void read_npz(const char *path)
{
    static const char *const names[] = {"f8_big_fortran", "a/b.c", "sigma", "mu"};
    Err err = {0};
    Npz *npz = npz_open(path, &err);
    for (size_t i = 0; npz && i < sizeof names / sizeof names[0]; i++) {
        NpyArray array;
        if (npz_read(npz, names[i], 1 << 26, &array, &err)) {
            touch(&array);
            npy_free(&array);
        }
        NpzStream *stream = npz_stream_open(npz, names[i], &array, &err);
        char rows[100];
        for (int k = 0; stream && k < 1000 && npz_stream_read(stream, rows, sizeof rows, &err); k++)
            ;
        npz_stream_close(stream);
    }
    npz_close(npz);
}

/* Statistics, and a set of images: whatever reads such a file. */
static void read_as_input(const char *path)
{
    Err err = {0};
    Statistics *stats;
    if (statistics_load(path, &stats, &err))
        statistics_free(stats);
    ImageSource *source = array_file(path) == ARRAY_FILE_OTHER ? NULL : image_source_open(path, &err);
    for (int64_t i = 0; source && i < image_source_count(source) && i < 8; i++) {
        Image image;
        if (image_source_read(source, i, &image, &err))
            image_free(&image);
    }
    image_source_close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[40];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    Err err = {0};
    NpyArray array;
    if (npy_open(path, &array, &err)) {
        touch(&array);
        npy_free(&array);
    }
    read_npz(path);
    read_as_input(path);
    close(fd);
    return 0;
}
