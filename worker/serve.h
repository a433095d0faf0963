/* `ddq-worker serve`: the worker's end of the line protocol (spec/proto.h), on fd 3. */
#ifndef WORKER_SERVE_H
#define WORKER_SERVE_H

/* Serves `fd` until a stop message or EOF. Returns the exit status. */
int serve(const char *device, int threads, const char *cache, int stall_s,
          int fd); /* cache: as model_cache_set_folder; stall_s: as channel_open */

#endif
