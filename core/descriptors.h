/* Standard input, output and error of a program that was started without them (`ddqd >&- 2>&-`, a careless cron job).
 *
 *     int main(int argc, char **argv)
 *     {
 *         descriptors_own();      before anything is opened
 *
 * A closed descriptor is free for the next file that is opened: without this call the log goes into a journal, a
 * checkpoint or a socket that happens to get number 2. */
#ifndef CORE_DESCRIPTORS_H
#define CORE_DESCRIPTORS_H

/* Occupies those of 0, 1 and 2 that are closed, in such a way that reading standard input and writing standard output
 * or error fail as they did before, so lost output is reported as an error. */
void descriptors_own(void);

/* The last call of a program that prints results: flushes standard output and returns the exit status, which is
 * EXIT_ERROR in place of EXIT_OK, with a sentence on stderr, if some output could not be written. A reader that closed
 * its end (ddq ls | head) ends the program by SIGPIPE. */
int descriptors_flush(const char *program, int exit_code);

#endif
