/* Contact sheets: the first images of a run on one white page, for the eye.
 *
 *     grid_write("out/grid.png", images, count, err);        pixels at hand
 *     grid_write_files("out/grid.png", paths, count, err);   PNG files
 *
 * As square as the count allows, in reading order, gaps between the pictures; small pictures are enlarged by a whole
 * factor so that their pixels stay square. At most GRID_MAX pictures are shown, the first ones. */
#ifndef WORKER_IMAGES_GRID_H
#define WORKER_IMAGES_GRID_H

#include "worker/images/images.h"

#define GRID_MAX 64

/* Sizes may differ: each picture is centred in a cell of the largest. No picture at all is an error. */
bool grid_write(const char *path, const Image *images, int count, Err *err);
bool grid_write_files(const char *path, const char *const *files, int count, Err *err);

#endif
