/* The words of completion, by what may stand at a place: each function offers those that begin with what was typed. */
#ifndef CLIENT_VERBS_COMPLETE_WORDS_H
#define CLIENT_VERBS_COMPLETE_WORDS_H

#include "client/cmd.h"

#define COMPLETE_FILES ":files" /* offered where a file may stand: the shell lists them itself */

/* What has been typed: `before` stands in front of what is offered ("--tier=", "fid,"), `start` is how that begins. */
typedef struct Typed {
    Cmd *cmd;
    const char *before, *start;
} Typed;

/* Prints the word if it begins so and no shell can take it for anything else. NULL is fine. */
void offer(const Typed *typed, const char *word);

void offer_jobs(const Typed *typed); /* "@" and the user's newest */
void offer_sweeps(const Typed *typed);
void offer_users(const Typed *typed);
void offer_models(const Typed *typed); /* that live hosts announce; so are the next two */
void offer_references(const Typed *typed);
void offer_hosts(const Typed *typed); /* and HOST:WORKER */
void offer_recipes(const Typed *typed);
void offer_states(const Typed *typed);
void offer_verbs(const Typed *typed);
void offer_devices(const Typed *typed);
void offer_colors(const Typed *typed);
void offer_files(const Typed *typed); /* COMPLETE_FILES */
void offer_runs(const Typed *typed);  /* jobs and files */

#endif
