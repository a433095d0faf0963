#include "kernels/omp_env.h"

#include <stdlib.h>
#include <unistd.h>

void omp_env_set(char **argv)
{
    if (getenv("OMP_WAIT_POLICY") || getenv("GOMP_SPINCOUNT") || setenv("OMP_WAIT_POLICY", "passive", 0))
        return;
    execv("/proc/self/exe",
          argv); /* returns only where /proc is missing: then slower on a busy machine, no other effect */
}
