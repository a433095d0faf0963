/* Settings that a process must have in its environment before it starts. First line of main() in every program that
 * opens a CPU backend:
 *
 *     omp_env_set(argv);
 *
 * OpenMP's threads spin at every barrier by default. On a machine that does other work too, the spinning thread keeps
 * the one it waits for off its core: batches took 2 to 8 times as long with two other busy processes. The library reads
 * its settings when it is loaded, before main, so the program starts itself again, once, with OMP_WAIT_POLICY=passive.
 * OMP_WAIT_POLICY or GOMP_SPINCOUNT set by the user are not changed. */
#ifndef KERNELS_OMP_ENV_H
#define KERNELS_OMP_ENV_H

void omp_env_set(char **argv);

#endif
