/* `ddq-worker fid A B`: the metrics of two sets, with no daemon and no Redis. Works like `python -m pytorch_fid A B`
 * and prints the same one line, "FID:  VALUE".
 *
 * The numbers come from the evaluation that jobs use (worker/evaluate/evaluation.h), so the same sets give the same
 * bits.
 * - Lines give values. --json gives the figures of a job's report under the same keys: intervals, terms, and the rest.
 *   A side that is a file of statistics has no single features and so no interval; sFID has an interval in jobs
 *   alone, because the spatial features of a side that is measured here are not kept.
 * - A metric that has too few images is left out with a warning when another one could be computed. When none could,
 *   that is the error and nothing is printed on stdout.
 * - What a side cannot give at all (single features or spatial statistics of a file that has none) is an error before
 *   anything is measured. */
#ifndef WORKER_COMMANDS_FID_H
#define WORKER_COMMANDS_FID_H

#include "core/flags.h"

int fid_command(const CommandLine *line); /* with fid_flags, two arguments; the exit status */

#endif
