-- ---- submit, and what a user does to a job ---------------------------------------------------------------------------

-- The spec's text, kept to the letter where it came as text, and its fields.
local function spec_arg(a)
    local text = given(a, 'spec')
    if type(text) == 'table' and #text == 0 then -- flat, so an empty table in it is a list
        for key, value in pairs(text) do
            if type(value) == 'table' and (#value > 0 or next(value) == nil) then text[key] = list(value) end
        end
        text = encode(text)
    end
    if type(text) ~= 'string' or #text > 1000000 or not is_object(text) then
        refuse('usage', 'spec is ' .. shown(given(a, 'spec')) .. ', wanted a JSON object in UTF-8 of at most 1000000 ' ..
            'characters, nested at most 32 deep')
    end
    return text, decode(text)
end

-- Ids of the jobs to wait for that have not ended, and of one that failed where the job is then to be held.
function parents_arg(a, after_failed)
    local waits, known, all, bad = {}, {}, {}, nil
    for i, value in ipairs(list_arg(a, 'after', MAX_PARENTS)) do
        local id = job_arg({['after ' .. i] = value}, 'after ' .. i)
        local state = job_get(id, 'state')
        if FINAL[state] and spoilt(id) then
            if after_failed == 'fail' then
                refuse('refused', 'this job is to wait for job ' .. id .. ', which is ' .. spoilt(id) ..
                    ' and will never be complete')
            end
            bad = bad or 'it waited for job ' .. id .. ', which is ' .. spoilt(id)
        end
        if not FINAL[state] and not known[id] then waits[#waits + 1] = id end
        if not known[id] then all[#all + 1] = id end
        known[id] = true
    end
    return waits, after_failed == 'hold' and bad or nil, table.concat(all, ' ')
end

local function word_arg(a, name, words, default)
    local value = text_arg(a, name, WORD, true) or default
    if words[value] == nil then
        local all = {}
        for word in pairs(words) do all[#all + 1] = word end
        table.sort(all)
        refuse('usage', name .. ' is ' .. shown(value) .. ', wanted ' .. table.concat(all, ', '))
    end
    return value
end

-- When a job may run, and on how many workers; empty texts are not kept.
local function limits_arg(a)
    local window = text_arg(a, 'window', {'^[0-9:+Z -]+$', 20, 'a window like 22:00-07:00 or 22:00-07:00+02:00'}, true)
    if window and not window_of(window) then
        refuse('usage', 'window is ' .. shown(window) .. ', wanted two different times like 22:00-07:00 (UTC) or ' ..
            '22:00-07:00+02:00')
    end
    local at, most = given(a, 'at') and number_arg(a, 'at', 0, 2 ^ 43), given(a, 'max_gpus')
    return {window = window, at = at and int(at), max_gpus = most and int(number_arg(a, 'max_gpus', 1, 100000))}
end

-- The varied fields of a sweep's job, as JSON text.
local function point_arg(a)
    local point = given(a, 'point')
    if point == nil or point == '' then return nil end
    local text = type(point) == 'string' and point or type(point) == 'table' and #point == 0 and encode(point) or ''
    if #text > 2000 then refuse('usage', 'point has ' .. #text .. ' characters, wanted at most 2000') end
    if not is_object(text) then
        refuse('usage', 'point is ' .. shown(point) .. ', wanted a JSON object of the fields that vary')
    end
    return text
end

-- Refuses if the user's quota has no room for these images.
function check_quota(user, images)
    local most = quota(quotas_get(), user, 'queued')
    local owed = tonumber(call('HGET', P .. 'owed', user) or 0)
    if most and owed + images > most then
        refuse('refused', 'this job has ' .. int(images) .. ' images, ' .. user .. ' has ' .. int(owed) ..
            ' queued, and the quota is ' .. int(most) .. '; wait, or ask an administrator for a larger quota (ddq quota)')
    end
end

-- The submitted fields except the spec, which is kept beside them, and what follows from the spec: the folder's
-- job.json gets both, and ddq_adopt submits the job again from there. Other fields are not kept: nothing checks them.
local ASKED = {'id', 'user', 'kind', 'images', 'name', 'model', 'device', 'priority', 'needs', 'after', 'after_failed', 'tier',
    'max_gpus', 'at', 'window', 'group'}
local function asked_text(a, job)
    local asked = {point = job.point and raw(job.point), inputs = job.inputs and raw(job.inputs)}
    for i = 1, #ASKED do
        local value = given(a, ASKED[i])
        asked[ASKED[i]] = type(value) == 'table' and list(value) or value
    end
    local text = encode(asked)
    if #text > 20000 then
        refuse('usage', 'the submission has ' .. #text .. ' characters beside its spec, wanted at most 20000')
    end
    return text
end

-- Each job has its own folder below the output root, for ever: a name that another job had gets the id behind it.
local function folder_of(user, name, id)
    local folder = user .. '/' .. (name or id)
    if call('HSETNX', P .. 'folders', folder, id) == 1 then return folder end
    folder = folder .. '-' .. id
    call('HSET', P .. 'folders', folder, id)
    return folder
end

local function duplicate_of(id)
    local state, folder, finished, started, created = job_get(id, 'state', 'folder', 'finished', 'started', 'created')
    return {id = id, state = state, folder = folder, duplicate = true,
        since_ms = now() - tonumber(finished or started or created)}
end

-- The one kind of key with a TTL: it may run out while Redis is down, and then a job is made once more.
local function same_key(words)
    for i = 1, #words do words[i] = type(words[i]) == 'number' and int(words[i]) or words[i] end
    return P .. 'same:' .. redis.sha1hex(table.concat(words, '\n'))
end

-- The fields of a submit, each checked.
function wanted_job(a)
    local id, user, kind = text_arg(a, 'id', ID), text_arg(a, 'user', NAME), word_arg(a, 'kind', KINDS)
    if #id < 6 then refuse('usage', 'id is ' .. shown(id) .. ', wanted at least 6 characters; ten are usual') end
    local survey = KINDS[kind].reads_source
    local images = number_arg(a, 'images', survey and 0 or 1, survey and 0 or 1e9, survey and 0 or nil)
    local job = {id = id, user = user, kind = kind, images = images, name = text_arg(a, 'name', NAME, true),
        label = text_arg(a, 'label', NAME, true), model = text_arg(a, 'model', LABEL, true) or '',
        priority = number_arg(a, 'priority', -100, 100, 0), needs = labels_arg(a, 'needs', 16),
        tier = word_arg(a, 'tier', TIERS, 'normal'),
        after_failed = word_arg(a, 'after_failed', AFTER_FAILED, 'fail'), limits = limits_arg(a),
        group = group_arg(a, user), point = point_arg(a), inputs = inputs_arg(a)}
    job.spec, job.fields = spec_arg(a)
    local recipe = job.fields.recipe
    job.recipe = type(recipe) == 'string' and #recipe <= 64 and recipe or nil
    job.pace, job.load = key_arg(a, 'pace', kind, job.model), key_arg(a, 'load', kind, job.model)
    job.device = text_arg(a, 'device', LABEL, true) or text_arg(job.fields, 'device', LABEL, true) or 'any'
    return job
end

local function write_job(job, asked)
    local id, user, limits, waits = job.id, job.user, job.limits, job.waits
    local lane, called = lane_of(job.needs, job.device, job.model, job.load), job.name or job.label or id
    local about = encode({id = id, user = user, kind = job.kind, model = job.model, device = job.device,
        name = called, recipe = job.recipe, folder = job.folder, created = now(), tier = job.tier, group = job.group,
        point = job.point and raw(job.point), max_gpus = tonumber(limits.max_gpus), at = tonumber(limits.at),
        window = limits.window, after = #job.after > 0 and job.after or nil}):sub(2, -2)
    job_set(id, 'id', id, 'user', user, 'kind', job.kind, 'model', job.model, 'device', job.device,
        'name', called, 'recipe', job.recipe or '', 'folder', job.folder, 'images', int(job.images),
        'created', int(now()), 'about', about, 'spec', job.spec, 'asked', asked, 'inputs', job.inputs or '{}',
        'needs', table.concat(job.needs, ' '), 'lane', lane,
        'pace', job.pace, 'seq', job.seq, 'parents', #waits,
        'after', table.concat(waits, ' '), 'after_failed', job.after_failed, 'priority', int(job.priority),
        'tier', TIERS[job.tier], 'rank', TIERS[job.tier], 'state', job.state, 'reason', job.reason, 'report', 0,
        'done', 0, 'bad', 0, 'errors', 0)
    for field, value in pairs(limits) do job_set(id, field, value) end
    if job.group then join(id, user, job.group, job.point, job.seq, job.state) end
    for i = 1, #waits do call('SADD', job_key(waits[i], 'kids'), id) end
    for _, index in ipairs({'jobs', 'jobs:' .. user, 'active', 'active:' .. user}) do
        call('ZADD', P .. index, job.seq, id)
    end
    call('ZADD', P .. 'ids', 0, id)
end

--- ddq_submit {id, user, kind, spec{}, images, name?, label?, model?, device?, priority?, needs[]?, after[]?, after_failed?,
---     tier?, max_gpus?, at?, window?, group?, point{}?, new?, hold?, pace?, load?, inputs{}?, looks?, since?}
---   -> {id, state, folder, duplicate, since_ms?, changed[]?, earlier?}, or status look
--- Adds a job: queued, or waiting for the jobs of `after`. Repeating an id changes nothing and answers duplicate:
--- true. The same spec, name and parents from the same user under another id within a day is also a duplicate, and
--- the answer names the existing job and how long it has been in its state, unless that job failed, was cancelled or
--- has missing images, or new is true, or the files behind its names are others than those that the job was made
--- from: then earlier names that job, and changed the fields whose files have changed (none: not known). inputs: the
--- job's own paths by field. looks: ask answers status look, where the hosts must look at their files first
--- (ddq_look); with since, what a host saw before then is not known.
--- name: the job's folder and what lists call it; without one the folder is called after the id, and lists use label.
--- kind is sample (images > 0), evaluate or statistics (images = 0: the survey counts them). needs: what a host
--- must offer, "model:NAME", "reference:NAME", "inception". device: cpu, cuda, a UUID, or absent for any. priority
--- -100..100 orders the user's own jobs. tier: interactive, normal (default) or scavenger. max_gpus: the most
--- workers at a time. at: earliest start, ms since 1970. window: the hours of the day in which it may run,
--- "22:00-07:00" in UTC or "22:00-07:00+02:00". after_failed: what to do if a job of `after` does not end done:
--- fail (default), run anyway, or hold. group: the name of this user's sweep that the job is part of; point: the
--- fields that vary in the sweep. hold: true submits the job on hold. pace,
--- load: jobs with the same text take the same time per image, the same memory (default: "KIND MODEL"). A submit
--- that exceeds the user's quota of queued images is refused.
function F.submit(a, adopted_folder)
    local job = wanted_job(a)
    local id, user, images = job.id, job.user, job.images
    if call('EXISTS', job_key(id)) == 1 then return duplicate_of(id) end
    local waits, bad, parents = parents_arg(a, job.after_failed)
    local same = same_key({user, job.kind, images, job.model, job.device, job.name or '', job.group or '', parents,
        job.spec})
    local earlier = a.new ~= true and not adopted_folder and call('GET', same)
    local was = earlier and job_get(earlier, 'state')
    local earlier_is_good, same_files, changed = was and not (FINAL[was] and spoilt(earlier)), true, nil
    if earlier_is_good and a.looks == 'ask' and not same_job(earlier, now()) then return {status = 'look', id = earlier} end
    if earlier_is_good then same_files, changed = same_job(earlier, given(a, 'since')) end
    if earlier_is_good and same_files then return duplicate_of(earlier) end
    local queued = counted(job.kind) and images or 0
    if not adopted_folder then check_quota(user, queued) end
    local asked = asked_text(a, job)
    job.waits, job.state, job.reason = waits, 'queued', 'waits for its turn'
    if #waits > 0 then job.state, job.reason = 'waiting', 'waits for job ' .. table.concat(waits, ', ') end
    if bad or a.hold == true then job.state, job.reason = 'held', bad or 'held by ' .. user end
    job.after = list()
    for parent in parents:gmatch('%S+') do job.after[#job.after + 1] = parent end
    job.folder, job.seq = adopted_folder or folder_of(user, job.name, id), call('INCR', P .. 'seq')
    if adopted_folder then call('HSET', P .. 'folders', adopted_folder, id) end
    write_job(job, asked)
    call('SET', same, id, 'PX', setting('same_ms'))
    owe(user, queued)
    put_range(id, 0, math.max(images, 1))
    place(id)
    announce(id, 'submit', '', job.state, user, job.reason, job.group)
    return {id = id, state = job.state, folder = job.folder, duplicate = false, changed = changed,
        earlier = changed and earlier or nil}
end

local function own_job_arg(a)
    local id, user = job_arg(a, 'id'), text_arg(a, 'user', NAME)
    local owner, state = job_get(id, 'user', 'state')
    if user ~= owner and not is_admin(user) then
        refuse('permission', 'job ' .. id .. ' belongs to ' .. owner .. ', not to ' .. user)
    end
    return id, user, state
end

-- A transition that a person requested. Refused if the job has ended; holding a held job changes nothing.
function ask(a, event, to, reason)
    local id, _, state = own_job_arg(a)
    if state == to and not FINAL[to] then return {id = id, state = state} end
    if not TRANSITIONS[state][event] then
        local already = FINAL[state] and ' already' or ''
        refuse('refused', 'job ' .. id .. ' is ' .. state .. already .. '; ' .. event .. ' changes nothing')
    end
    return {id = id, state = apply(id, event, reason)}
end

--- ddq_cancel {id, user} -> {id, state}
--- Ends a job at once; its live leases get "cancel" at their next renew. Files on disk stay. Only the owner or root
--- may cancel, hold, release or prio a job. Refused if the job has ended.
function F.cancel(a)
    return ask(a, 'cancel', 'cancelled', 'cancelled by ' .. text_arg(a, 'user', NAME))
end

--- ddq_hold {id, user, reason?} -> {id, state}
--- Stops claims of the job until it is released; live leases get "yield" and return what they have not made.
function F.hold(a)
    return ask(a, 'hold', 'held', sentence_arg(a, 'reason', 500, 'held by ' .. text_arg(a, 'user', NAME)))
end

--- ddq_release {id, user} -> {id, state}
--- Continues a held job where it was, or lets it wait again for the jobs of `after`.
function F.release(a)
    local id, _, state = own_job_arg(a)
    if state ~= 'held' then refuse('refused', 'job ' .. id .. ' is ' .. state .. ', not held; release changes nothing') end
    if tonumber((job_get(id, 'parents'))) > 0 then return {id = id, state = apply(id, 'wait', waits_text(id))} end
    local now_is = apply(id, 'release', 'waits for its turn')
    if call('SCARD', job_key(id, 'leases')) > 0 then now_is = apply(id, 'claim') end -- they had not stopped yet
    return {id = id, state = now_is}
end

--- ddq_prio {id, user, priority} -> {id, state, priority}
--- Sets the priority among the user's own jobs; higher runs first.
function F.prio(a)
    local id, _, state = own_job_arg(a)
    local priority = number_arg(a, 'priority', -100, 100)
    job_set(id, 'priority', int(priority))
    if not FINAL[state] then place(id) end
    return {id = id, state = state, priority = priority}
end
