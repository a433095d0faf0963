#include "client/terminal/interrupt.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"

static volatile sig_atomic_t detaching, came;

static void on_interrupt(int number)
{
    (void)number;
    came = 1;
    if (!detaching)
        _exit(EXIT_INTERRUPTED);
}

void interrupt_init(void)
{
    struct sigaction action = {.sa_handler = on_interrupt}; /* no SA_RESTART: a sleep must end */
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed pipe or socket is an error of the write that meets it */
}

void interrupt_detach(void)
{
    detaching = 1;
}

bool interrupted(void)
{
    return came;
}

bool interrupt_sleep(int ms)
{
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000L};
    while (!came && nanosleep(&rest, &rest) != 0)
        ;
    return !came;
}
