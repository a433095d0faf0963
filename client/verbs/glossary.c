/* `ddq help glossary` and docs/glossary.md: the terms of ddq. A row without a meaning is a heading. */
#include <stdio.h>
#include <stdlib.h>

#include "client/verbs/help.h"
#include "core/mem.h"

static const struct {
    const char *word, *meaning;
} terms[] = {
    {"Jobs", NULL},
    {"job", "one piece of work in the queue: make images, measure images, or compute statistics of images"},
    {"kind",
     "what a job does: `sample` makes images, `evaluate` measures existing ones, `statistics` makes a reference"},
    {"recipe", "a job, or a table of jobs, with a name: `ddq recipes`"},
    {"model", "a section [model NAME] of ddq.conf: the files of a student, a teacher or both, and of a tokenizer"},
    {"student", "the distilled few-step network; the teacher is the autoregressive network it was distilled from"},
    {"reference", "the real images, or their statistics, that the images of a job are compared with: `ddq refs`"},
    {"pipeline",
     "how images are resized for the FID network: `pt` as pytorch-fid does, `tf` as the ADM evaluator does"},
    {"sweep", "a group of jobs that differ in the values of some fields, made by `ddq submit --sweep`"},
    {"point", "one job of a sweep, or the values of the swept fields in it"},
    {"@", "the last job or sweep that was submitted from this machine by this user"},
    {"range", "consecutive images of a job, `lo` to `hi`; a worker takes one range at a time"},
    {"survey", "the first range of a job that reads images: it counts them"},
    {"report", "the last range of a job: results of all images, `report.json` and `report.html`"},
    {"missing image",
     "an image that crashed its worker three times alone; the others are made, and the job ends without a "
     "report, with exit status 104"},
    {"adopt", "restore a job from its folder after Redis has lost its data"},
    {"Hosts and workers", NULL},
    {"host", "a machine with a daemon, ddqd; all hosts of a queue share one Redis server and one output folder"},
    {"worker", "the process that uses one device, a GPU or the CPU; a daemon starts one per device"},
    {"heartbeat", "the message by which a daemon reports every few seconds that it is alive and what it offers; a host "
                  "without a recent one is not live, and its ranges are given to others"},
    {"offer",
     "what a host has: a model, a reference, or the FID network; a job runs only where all it needs is offered"},
    {"lease", "a range that a worker has taken, with a deadline that its daemon extends"},
    {"drain", "take a host or a worker out of service: it finishes its batch and takes no more work"},
    {"warm", "a model is warm on a worker that has it in memory, where its jobs start at once"},
    {"load", "what decides the memory a job takes: kind, model, precision and batch"},
    {"yield",
     "stop after the batch and return the rest of the range to the queue, because another job goes first, the job "
     "is held or its window is closed"},
    {"Who is next", NULL},
    {"tier",
     "the class of a job. `interactive` goes first, for a limited time per user and hour; `normal` is the default; "
     "`scavenger` uses what is left. The tier decides first, then the fair share, then the priority"},
    {"aging",
     "a job that has waited for the setting `aging` (30 minutes) moves up one tier, so that no job waits forever"},
    {"fair share", "within a tier, the user who has used the least, divided by weight, goes first"},
    {"weight", "a user's relative share, 1 unless an administrator sets another: `ddq share`"},
    {"floor",
     "the usage, divided by weight, of the user who is next. A user who returns starts there: time without jobs "
     "earns no credit"},
    {"AHEAD", "how much a user has used beyond the floor; it shrinks by half in the setting `half-life` (a day)"},
    {"USED", "a user's recent usage in worker time; it is halved in the same time"},
    {"slack",
     "a job whose model is warm may go before the next user's job by this much usage (setting `slack`, a minute), "
     "so that models are loaded less often"},
    {"priority", "the order among one user's own jobs, -100 to 100"},
    {"lane", "the jobs of a user that need the same things of a host; only the first jobs of a lane are looked at"},
    {"quota", "limits of a user: workers at a time, queued images, images per day: `ddq quota`"},
    {"window", "the hours of the day in which a job may run"},
    {"hold", "stop a job until `ddq release`; finished images are kept"},
    {"same job",
     "the same job from the same user within the setting `same` (a day) is not queued again, unless it failed, "
     "was cancelled or has missing images; `--new` queues it anyway"},
};

void help_glossary(const Help *help)
{
    fprintf(help->to, "# Glossary\n\nThis page is printed by `ddq help glossary --markdown`.\n");
    for (size_t i = 0; i < countof(terms); i++) {
        if (!terms[i].meaning) {
            fprintf(help->to, "\n## %s\n\n", terms[i].word);
            continue;
        }
        char *item = xasprintf("-  **%s**: %s.", terms[i].word, terms[i].meaning);
        help_text(help, item);
        free(item);
    }
}
