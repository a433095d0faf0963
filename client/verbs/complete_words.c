#include "client/verbs/complete_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/queue/registry.h"
#include "core/json.h"
#include "core/mem.h"
#include "spec/lifecycle.h"
#include "spec/recipe.h"

enum { JOBS = 100, SWEEPS = 20 };

void offer(const Typed *typed, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:/@+-";
    if (word && *word && !word[strspn(word, plain)] && strncmp(word, typed->start, strlen(typed->start)) == 0)
        printf("%s%s\n", typed->before, word);
}

/* --- where words come from ---------------------------------------------------------------------------------- */

static cJSON *ask(const Typed *typed, QueueFn fn, int limit)
{
    Err unread = {0};
    const char *user;
    cJSON *args = cJSON_CreateObject(), *reply = NULL;
    cJSON_AddNumberToObject(args, "limit", limit);
    if (!cmd_user(typed->cmd, &user, &unread)) {
        cJSON_Delete(args);
        return NULL;
    }
    if (fn != QUEUE_SHARE)
        cJSON_AddStringToObject(args, "user", user);
    return cmd_call(typed->cmd, fn, args, &reply, &unread) ? reply : NULL;
}

void offer_jobs(const Typed *typed)
{
    cJSON *reply = ask(typed, QUEUE_LIST, JOBS);
    const cJSON *job;
    offer(typed, "@");
    cJSON_ArrayForEach(job, cJSON_GetObjectItemCaseSensitive(reply, "jobs")) offer(typed, json_text(job, "id", ""));
    cJSON_Delete(reply);
}

void offer_sweeps(const Typed *typed)
{
    cJSON *reply = ask(typed, QUEUE_GROUPS, SWEEPS);
    const cJSON *group;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(reply, "groups"))
    {
        char *name = xasprintf("%s/%s", json_text(group, "user", ""), json_text(group, "group", ""));
        offer(typed, name);
        free(name);
    }
    cJSON_Delete(reply);
}

void offer_users(const Typed *typed)
{
    cJSON *reply = ask(typed, QUEUE_SHARE, 1);
    const cJSON *user;
    cJSON_ArrayForEach(user, cJSON_GetObjectItemCaseSensitive(reply, "users"))
        offer(typed, json_text(user, "user", ""));
    cJSON_Delete(reply);
}

/* What the hosts say they have: an object's keys, or a list's texts; each once. */
static void offer_known(const Typed *typed, const char *field)
{
    Err unread = {0};
    cJSON *hosts, *seen = cJSON_CreateObject();
    const cJSON *host, *item;
    if (registry_hosts(typed->cmd, &hosts, &unread)) {
        cJSON_ArrayForEach(host, hosts) cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(host, field))
        {
            const char *name = item->string ? item->string : cJSON_GetStringValue(item);
            if (name && !cJSON_HasObjectItem(seen, name)) {
                cJSON_AddTrueToObject(seen, name);
                offer(typed, name);
            }
        }
        cJSON_Delete(hosts);
    }
    cJSON_Delete(seen);
}

void offer_models(const Typed *typed)
{
    offer_known(typed, "models");
}

void offer_references(const Typed *typed)
{
    offer_known(typed, "references");
}

void offer_hosts(const Typed *typed)
{
    Err unread = {0};
    cJSON *hosts;
    const cJSON *host, *worker;
    if (!registry_hosts(typed->cmd, &hosts, &unread))
        return;
    cJSON_ArrayForEach(host, hosts)
    {
        const char *name = json_text(host, "host", "");
        offer(typed, name);
        cJSON_ArrayForEach(worker, cJSON_GetObjectItemCaseSensitive(host, "workers"))
        {
            char *both = xasprintf("%s:%s", name, json_text(worker, "name", ""));
            offer(typed, both);
            free(both);
        }
    }
    cJSON_Delete(hosts);
}

void offer_recipes(const Typed *typed)
{
    Err unread = {0};
    const Conf *conf;
    RecipeList list;
    if (!cmd_conf(typed->cmd, &conf, &unread) || !recipes_load(conf->recipes, &list, &unread))
        return;
    for (int i = 0; i < list.count; i++)
        offer(typed, list.items[i].name);
    recipes_free(&list);
}

void offer_states(const Typed *typed)
{
    for (int i = 0; i < JOB_STATES; i++)
        offer(typed, job_state_name((JobState)i));
}

void offer_verbs(const Typed *typed)
{
    const Verb *verb;
    for (int i = 0; (verb = verb_at(i)); i++)
        offer(typed, verb->name);
}

void offer_devices(const Typed *typed)
{
    offer(typed, "cpu");
    offer(typed, "cuda");
}

void offer_colors(const Typed *typed)
{
    static const char *const words[] = {"auto", "always", "never"};
    for (size_t i = 0; i < countof(words); i++)
        offer(typed, words[i]);
}

void offer_files(const Typed *typed)
{
    (void)typed;
    puts(COMPLETE_FILES);
}

void offer_runs(const Typed *typed)
{
    offer_jobs(typed);
    offer_files(typed);
}
