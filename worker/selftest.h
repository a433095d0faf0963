/* `ddq-worker --selftest`: does this build compute correctly on this machine? Takes a second; needs no models and no
 * files. */
#ifndef WORKER_SELFTEST_H
#define WORKER_SELFTEST_H

int selftest(const char *device, int threads); /* prints a line a check; 0 when all are ok */

#endif
