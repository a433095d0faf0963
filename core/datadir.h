/* Where the files that travel with the programs are: recipes/, models/.
 *
 * A program that runs inside the source tree (a build folder under it) uses the tree's. An installed one uses
 * ../share/ddq seen from its own folder, else the folder it was configured for; never the one it was built from. */
#ifndef CORE_DATADIR_H
#define CORE_DATADIR_H

/* "/usr/share/ddq" or the source tree. Static; never NULL. */
const char *datadir(void);

#endif
