/* `ddq-worker --selftest`: does this build compute right on this machine? A second, no models, no files. */
#ifndef WORKER_SELFTEST_H
#define WORKER_SELFTEST_H

int selftest(const char *device, int threads); /* prints a line a check; 0 when all are ok */

#endif
