/* Where the data files of the programs are: recipes/, models/.
 *
 * Found from where the program is, so that a tree, an installation or a bundle can be moved: the source tree above it
 * (a build folder lies under that), else ../share/ddq seen from its folder, else the folder it was configured for. The
 * folder may be missing; who reads from it reports that.
 */
#ifndef CORE_DATADIR_H
#define CORE_DATADIR_H

/* "/usr/share/ddq" or the source tree. Static; never NULL. Not for several threads at once. */
const char *datadir(void);

#endif
