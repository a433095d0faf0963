/* Ctrl-C. A verb that waits for a job detaches and prints how to follow it again; any other verb ends at once.
 * Either way the exit status is 130. */
#ifndef CLIENT_TERMINAL_INTERRUPT_H
#define CLIENT_TERMINAL_INTERRUPT_H

#include <stdbool.h>

void interrupt_init(void);   /* from main, once */
void interrupt_detach(void); /* from now on Ctrl-C only sets the flag that interrupted() reads */
bool interrupted(void);
bool interrupt_sleep(int ms); /* false: Ctrl-C came before or meanwhile */

#endif
