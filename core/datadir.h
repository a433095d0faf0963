/* Where the files that travel with the programs are: recipes/, models/.
 *
 * A program that runs inside the source tree (a build folder under it) uses the tree's; an installed one uses the
 * folder that was installed with it, and never the folder it was once built from. */
#ifndef CORE_DATADIR_H
#define CORE_DATADIR_H

/* "/usr/share/ddq" or the source tree. Static; never NULL. */
const char *datadir(void);

#endif
