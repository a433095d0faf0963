/* What a job that is done made: where the images, the sheet and the report are, and its FID beside the published one.
 */
#ifndef CLIENT_RESULT_H
#define CLIENT_RESULT_H

#include <cjson/cJSON.h>

void result_print(const cJSON *job); /* on stdout; of a job in state done */

#endif
