/* The flags of `ddq fid`: the client prints them and passes them on, ddq-worker reads them. Those of pytorch-fid are
 * among them. */
#ifndef SPEC_REPORT_FID_FLAGS_H
#define SPEC_REPORT_FID_FLAGS_H

#include "core/flags.h"

extern const Flag fid_flags[];

#endif
