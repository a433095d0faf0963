#include "daemon/specs/offers.h"

#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "spec/model.h"

static const cJSON *fact(const Offers *offers, const char *part, const char *name)
{
    return offers->facts ? facts_of(offers->facts, part, name) : NULL;
}

static const char *hash_of_network(const Offers *offers, const char *path)
{
    const char *hash = path ? cJSON_GetStringValue(fact(offers, "networks", path)) : NULL;
    return hash ? hash : "";
}

/* Adds the members of `from` that `to` lacks. */
static void add_missing(cJSON *to, const cJSON *from, const char *except)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, from) if (strcmp(item->string, except) != 0 && !cJSON_HasObjectItem(to, item->string))
        cJSON_AddItemToObject(to, item->string, cJSON_Duplicate(item, true));
}

/* --- what is looked at ------------------------------------------------------------------------------ */

static cJSON *model_request(const ConfModel *model)
{
    cJSON *one = cJSON_CreateObject(), *files = cJSON_AddObjectToObject(one, "files"),
          *parts = cJSON_AddObjectToObject(one, "parts");
    json_add_text(one, "family", model->family);
    cJSON_AddNumberToObject(one, "heads", model->heads);
    cJSON_AddNumberToObject(one, "grid", model->grid);
    for (ModelRole role = 0; role < MODEL_ROLES; role++) {
        json_add_text(files, model_role_name(role), model->files[role]);
        json_add_text(parts, model_role_name(role), model->parts[role]);
    }
    return one;
}

cJSON *offers_request(const Offers *offers)
{
    const Conf *conf = offers->conf;
    cJSON *look = cJSON_CreateObject(), *models = cJSON_AddObjectToObject(look, "models"),
          *references = cJSON_AddObjectToObject(look, "references"),
          *networks = cJSON_AddArrayToObject(look, "networks");
    const cJSON *entry;
    for (int i = 0; i < conf->model_count; i++)
        cJSON_AddItemToObject(models, conf->models[i].name, model_request(&conf->models[i]));
    for (int i = 0; i < conf->reference_count; i++) {
        const ConfReference *reference = &conf->references[i];
        cJSON_AddStringToObject(references, reference->name, conf_reference_path(reference));
        if (reference->inception)
            cJSON_AddItemToArray(networks, cJSON_CreateString(reference->inception));
    }
    cJSON_ArrayForEach(entry, offers->registry) if (!conf_reference(conf, entry->string))
        cJSON_AddStringToObject(references, entry->string, json_text(entry, "path", ""));
    if (conf->inception)
        cJSON_AddItemToArray(networks, cJSON_CreateString(conf->inception));
    cJSON_AddStringToObject(look, "output_root", conf->output_root);
    cJSON_AddStringToObject(look, "input_roots", conf->input_roots ? conf->input_roots : "");
    return look;
}

/* --- networks --------------------------------------------------------------------------------------- */

static const char *network_of_hash(const Offers *offers, const char *hash)
{
    const Conf *conf = offers->conf;
    if (strcmp(hash_of_network(offers, conf->inception), hash) == 0)
        return conf->inception;
    for (int i = 0; i < conf->reference_count; i++)
        if (strcmp(hash_of_network(offers, conf->references[i].inception), hash) == 0)
            return conf->references[i].inception;
    return NULL;
}

static const char *network_of_entry(const Offers *offers, const cJSON *entry, Err *err)
{
    const Conf *conf = offers->conf;
    const char *stated = json_text(entry, "inception", ""), *found = *stated ? network_of_hash(offers, stated) : NULL;
    if (found || (conf->inception && (!*stated || !*hash_of_network(offers, conf->inception))))
        return found ? found : conf->inception; /* before the first look the worker compares the hashes */
    if (*stated)
        err_set(
            err, ERR_NOT_FOUND,
            "reference %s was made with the network of sha256 %.12s, and no 'weights' or 'inception' in ddq.conf of "
            "host %s has that hash",
            entry->string, stated, conf->host);
    else
        err_set(err, ERR_NOT_FOUND,
                "reference %s does not state the network that it was made with, and ddq.conf of host %s has no "
                "'weights' in [inception]; register it again: ddq refs add %s PATH --inception FILE --replace",
                entry->string, conf->host, entry->string);
    return NULL;
}

const char *offers_network(const Offers *offers, const char *reference, Err *err)
{
    const Conf *conf = offers->conf;
    const ConfReference *named = conf_reference(conf, reference);
    const cJSON *entry = named ? NULL : cJSON_GetObjectItemCaseSensitive(offers->registry, reference);
    if (entry)
        return network_of_entry(offers, entry, err);
    const char *path = named && named->inception ? named->inception : conf->inception;
    if (!path)
        err_set(err, ERR_NOT_FOUND,
                "features need the Inception network, and ddq.conf of host %s has no 'weights' in [inception]",
                conf->host);
    return path;
}

/* --- names ------------------------------------------------------------------------------------------ */

static void add_name(cJSON *list, const char *what, const char *name)
{
    char *text = xasprintf("%s:%s", what, name);
    cJSON_AddItemToArray(list, cJSON_CreateString(text));
    free(text);
}

cJSON *offers_names(const Offers *offers)
{
    const Conf *conf = offers->conf;
    cJSON *list = cJSON_CreateArray();
    const cJSON *entry;
    for (int i = 0; i < conf->model_count; i++)
        add_name(list, "model", conf->models[i].name);
    for (int i = 0; i < conf->reference_count; i++)
        if (offers_network(offers, conf->references[i].name, NULL))
            add_name(list, "reference", conf->references[i].name);
    cJSON_ArrayForEach(entry, offers->registry) if (!conf_reference(conf, entry->string) &&
                                                    offers_network(offers, entry->string, NULL))
        add_name(list, "reference", entry->string);
    if (conf->inception)
        cJSON_AddItemToArray(list, cJSON_CreateString("inception"));
    return list;
}

/* --- models and references -------------------------------------------------------------------------- */

cJSON *offers_models(const Offers *offers)
{
    const Conf *conf = offers->conf;
    cJSON *models = cJSON_CreateObject();
    for (int i = 0; i < conf->model_count; i++) {
        const ConfModel *model = &conf->models[i];
        const ModelFamily *family = model_family(model->family);
        cJSON *one = cJSON_AddObjectToObject(models, model->name);
        cJSON_AddStringToObject(one, "family", family->name);
        for (ModelRole role = 0; role < MODEL_ROLES; role++)
            if (family->files[role] != FILE_UNUSED)
                cJSON_AddBoolToObject(one, model_role_name(role), model->files[role] != NULL);
        add_missing(one, fact(offers, "models", model->name), "files");
    }
    return models;
}

static void add_reference(const Offers *offers, cJSON *one, const char *name)
{
    Err err = {0};
    add_missing(one, fact(offers, "references", name), "");
    if (!offers_network(offers, name, &err) && !cJSON_HasObjectItem(one, "fault"))
        cJSON_AddStringToObject(one, "fault", err.text);
}

cJSON *offers_library(const Offers *offers)
{
    const Conf *conf = offers->conf;
    cJSON *all = cJSON_CreateObject();
    const cJSON *entry;
    for (int i = 0; i < conf->reference_count; i++) {
        const ConfReference *reference = &conf->references[i];
        cJSON *one = cJSON_AddObjectToObject(all, reference->name);
        cJSON_AddStringToObject(one, "kind", reference->statistics ? "statistics" : "images");
        cJSON_AddStringToObject(one, "path", conf_reference_path(reference));
        json_add_text(one, "pipeline", reference->pipeline);
        cJSON_AddStringToObject(one, "from", "ddq.conf");
        add_reference(offers, one, reference->name);
    }
    cJSON_ArrayForEach(entry, offers->registry)
    {
        if (conf_reference(conf, entry->string))
            continue;
        cJSON *one = cJSON_Duplicate(entry, true);
        cJSON_AddItemToObject(all, entry->string, one);
        add_reference(offers, one, entry->string);
    }
    return all;
}

/* --- files ------------------------------------------------------------------------------------------ */

static void add_files(cJSON *all, const char *what, const char *name, cJSON *files)
{
    char *key = xasprintf("%s%s%s", what, name ? ":" : "", name ? name : "");
    cJSON_AddItemToObject(all, key, files);
    free(key);
}

static void add_model_files(const Offers *offers, cJSON *all, const ConfModel *model)
{
    const cJSON *files = cJSON_GetObjectItemCaseSensitive(fact(offers, "models", model->name), "files");
    for (ModelRole role = 0; role < MODEL_ROLES; role++)
        if (model->files[role] && !cJSON_HasObjectItem(files, model_role_name(role)))
            return;
    add_files(all, "model", model->name, cJSON_Duplicate(files, true));
}

static void add_reference_files(const Offers *offers, cJSON *all, const char *name)
{
    const char *hash = json_text(fact(offers, "references", name), "sha256", "");
    const char *network = hash_of_network(offers, offers_network(offers, name, NULL));
    if (!*hash || !*network)
        return;
    cJSON *files = cJSON_CreateObject();
    cJSON_AddStringToObject(files, "reference", hash);
    cJSON_AddStringToObject(files, "inception", network);
    add_files(all, "reference", name, files);
}

static void add_one(cJSON *all, const char *what, const char *name, const char *field, const char *hash)
{
    if (!*hash)
        return;
    cJSON *files = cJSON_CreateObject();
    cJSON_AddStringToObject(files, field, hash);
    add_files(all, what, name, files);
}

cJSON *offers_files(const Offers *offers)
{
    const Conf *conf = offers->conf;
    cJSON *all = cJSON_CreateObject();
    const cJSON *item;
    for (int i = 0; i < conf->model_count; i++)
        add_model_files(offers, all, &conf->models[i]);
    for (int i = 0; i < conf->reference_count; i++)
        add_reference_files(offers, all, conf->references[i].name);
    cJSON_ArrayForEach(item, offers->registry) if (!conf_reference(conf, item->string))
        add_reference_files(offers, all, item->string);
    add_one(all, "inception", NULL, "inception", hash_of_network(offers, conf->inception));
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(offers->facts ? offers->facts->seen : NULL, "paths"))
        add_one(all, "path", item->string, "path", json_text(item, "sha256", ""));
    return all;
}
