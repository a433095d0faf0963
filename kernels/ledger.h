/* What this process holds of its devices' memory: be_alloc enters it here, be_free takes it out. The worker tells the
 * daemon, so that the queue knows what jobs of a kind take. All functions may be called by any thread. */
#ifndef KERNELS_LEDGER_H
#define KERNELS_LEDGER_H

#include <stddef.h>
#include <stdint.h>

void ledger_add(const void *memory, size_t bytes);
void ledger_remove(const void *memory);

int64_t ledger_held(void); /* bytes now */
int64_t ledger_peak(void); /* the most bytes at once since the start, or since ledger_restart */
void ledger_restart(void);

#endif
