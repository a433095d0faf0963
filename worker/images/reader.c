/* One lock guards the ring; `changed` is signalled when a slot fills or empties. A thread claims the next index,
 * decodes without the lock, and leaves what came out, an image or an error, in the slot of that index. */
#include "worker/images/reader.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS_MAX = 16 };

typedef struct Slot {
    bool full;
    Image image; /* rgb NULL: err says why */
    uint8_t hash[IMAGE_HASH];
    Err err;
} Slot;

struct ImageReader {
    ImageSource *source;
    int64_t lo, hi, claimed, taken; /* the next to decode, the next to hand out */
    Slot slots[IMAGE_AHEAD];
    size_t bytes; /* decoded and not handed out */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[THREADS_MAX];
    int thread_count;
    bool ending;
};

static size_t bytes_of(const Image *image)
{
    return (size_t)image->width * (size_t)image->height * 3;
}

/* The image that is waited for is decoded however full the ring is. */
static bool must_wait(const ImageReader *reader)
{
    if (reader->claimed - reader->taken >= IMAGE_AHEAD)
        return true;
    return reader->bytes >= IMAGE_AHEAD_BYTES && reader->claimed > reader->taken;
}

static void *decode_thread(void *ctx)
{
    ImageReader *reader = ctx;
    pthread_mutex_lock(&reader->lock);
    while (!reader->ending && reader->claimed < reader->hi) {
        if (must_wait(reader)) {
            pthread_cond_wait(&reader->changed, &reader->lock);
            continue;
        }
        int64_t index = reader->claimed++;
        pthread_mutex_unlock(&reader->lock);
        Slot slot = {.full = true};
        if (image_source_read(reader->source, index, &slot.image, &slot.err))
            image_hash(&slot.image, slot.hash);
        pthread_mutex_lock(&reader->lock);
        reader->slots[index % IMAGE_AHEAD] = slot;
        reader->bytes += bytes_of(&slot.image);
        pthread_cond_broadcast(&reader->changed);
    }
    pthread_mutex_unlock(&reader->lock);
    return NULL;
}

static int threads_for(const ImageSource *source, int64_t images)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int threads = cores < 4 ? 1 : cores / 2 > THREADS_MAX ? THREADS_MAX : (int)(cores / 2);
    if (threads > images)
        threads = images > 0 ? (int)images : 1;
    return image_source_in_order(source) ? 1 : threads;
}

ImageReader *image_reader_open(ImageSource *source, int64_t lo, int64_t hi, Err *err)
{
    assert(lo >= 0 && lo <= hi && hi <= image_source_count(source));
    ImageReader *reader = xcalloc(1, sizeof *reader);
    reader->source = source;
    reader->lo = reader->claimed = reader->taken = lo;
    reader->hi = hi;
    pthread_mutex_init(&reader->lock, NULL);
    pthread_cond_init(&reader->changed, NULL);
    for (int i = threads_for(source, hi - lo); i > 0; i--)
        if (pthread_create(&reader->threads[reader->thread_count], NULL, decode_thread, reader) == 0)
            reader->thread_count++;
    if (reader->thread_count)
        return reader;
    err_set(err, ERR_MEMORY, "cannot start threads for reading images; is the limit of processes reached?");
    image_reader_close(reader);
    return NULL;
}

bool image_reader_next(ImageReader *reader, Image *ret_image, uint8_t ret_hash[IMAGE_HASH], Err *err)
{
    assert(reader->taken < reader->hi);
    pthread_mutex_lock(&reader->lock);
    Slot *slot = &reader->slots[reader->taken % IMAGE_AHEAD];
    while (!slot->full)
        pthread_cond_wait(&reader->changed, &reader->lock);
    *ret_image = slot->image;
    memcpy(ret_hash, slot->hash, IMAGE_HASH);
    if (!slot->image.rgb && err)
        *err = slot->err;
    *slot = (Slot){0};
    reader->taken++;
    reader->bytes -= bytes_of(ret_image);
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
    return ret_image->rgb != NULL;
}

void image_reader_close(ImageReader *reader)
{
    if (!reader)
        return;
    pthread_mutex_lock(&reader->lock);
    reader->ending = true;
    pthread_cond_broadcast(&reader->changed);
    pthread_mutex_unlock(&reader->lock);
    for (int i = 0; i < reader->thread_count; i++)
        pthread_join(reader->threads[i], NULL);
    for (int i = 0; i < IMAGE_AHEAD; i++)
        image_free(&reader->slots[i].image);
    pthread_cond_destroy(&reader->changed);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}
