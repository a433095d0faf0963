-- ---- submit, and what a person says to a job -------------------------------------------------------------------------

local KINDS = {sample = 1, evaluate = 0, statistics = 0} -- the fewest images; only of sampling they are known now

-- The spec's text, kept to the letter where it came as text, and its fields.
local function spec_arg(a)
    local text = given(a, 'spec')
    if type(text) == 'table' and #text == 0 then -- flat, so an empty table in it is a list
        for key, value in pairs(text) do
            if type(value) == 'table' and (#value > 0 or next(value) == nil) then text[key] = list(value) end
        end
        text = encode(text)
    end
    local good, fields = pcall(cjson.decode, text)
    if type(text) ~= 'string' or #text > 1000000 or not text:match('^%s*{') or not good then
        refuse('usage', 'spec is ' .. shown(given(a, 'spec')) .. ', wanted a JSON object of at most 1000000 characters')
    end
    return text, fields
end

-- Ids of the jobs to wait for that are not done yet.
local function parents_arg(a)
    local waits, known = {}, {}
    for i, value in ipairs(list_arg(a, 'after', MAX_PARENTS)) do
        local id = job_arg({['after ' .. i] = value}, 'after ' .. i)
        local state = job_get(id, 'state')
        if FINAL[state] and state ~= 'done' then
            refuse('refused', 'job ' .. id .. ', which this one is to wait for, is ' .. state .. ' and will never be done')
        end
        if state ~= 'done' and not known[id] then waits[#waits + 1] = id end
        known[id] = true
    end
    return waits
end

-- Each job has its own folder below the output root, for ever: a name that another job had gets the id behind it.
local function folder_of(user, name, id)
    local folder = user .. '/' .. (name or id)
    if call('HSETNX', P .. 'folders', folder, id) == 1 then return folder end
    folder = folder .. '-' .. id
    call('HSET', P .. 'folders', folder, id)
    return folder
end

--- ddq_submit {id, user, kind, spec{}, images, name?, model?, device?, priority?, needs[]?, after[]?}
---   -> {id, state, folder, duplicate}
--- A new job: queued, or waiting for the jobs of `after`. The same id again changes nothing and answers duplicate: true.
--- kind is sample (images > 0), evaluate or statistics (images = 0: their survey says how many). needs: what a host must offer, "model:NAME",
--- "reference:NAME", "inception". device: cpu, cuda, a UUID, or any (absent). priority -100..100 orders the user's own
--- jobs.
function F.submit(a)
    local id, user, kind = text_arg(a, 'id', ID), text_arg(a, 'user', NAME), text_arg(a, 'kind', WORD)
    if #id < 6 then refuse('usage', 'id is ' .. shown(id) .. ', wanted at least 6 characters; ten are usual') end
    if not KINDS[kind] then refuse('usage', 'kind is ' .. shown(kind) .. ', wanted sample, evaluate or statistics') end
    local images = number_arg(a, 'images', KINDS[kind], kind == 'sample' and 1e9 or 0, kind ~= 'sample' and 0 or nil)
    local name, model = text_arg(a, 'name', NAME, true), text_arg(a, 'model', LABEL, true) or ''
    local priority, needs = number_arg(a, 'priority', -100, 100, 0), labels_arg(a, 'needs', 16)
    local spec, fields = spec_arg(a)
    local device = text_arg(a, 'device', LABEL, true) or text_arg(fields, 'device', LABEL, true) or 'any'
    if call('EXISTS', job_key(id)) == 1 then
        local state, folder = job_get(id, 'state', 'folder')
        return {id = id, state = state, folder = folder, duplicate = true}
    end
    local waits = parents_arg(a)
    local state, reason = 'queued', 'waits for its turn'
    if #waits > 0 then state, reason = 'waiting', 'waits for job ' .. table.concat(waits, ', ') end
    local folder, seq, lane = folder_of(user, name, id), call('INCR', P .. 'seq'), lane_of(needs, device)
    local created = int(now())
    local about = encode({id = id, user = user, kind = kind, model = model, device = device, name = name or id,
        folder = folder, created = tonumber(created)}):sub(2, -2)
    call('HSET', job_key(id), 'id', id, 'user', user, 'kind', kind, 'model', model, 'device', device, 'name', name or id,
        'folder', folder, 'images', int(images), 'created', created, 'about', about, 'spec', spec,
        'needs', table.concat(needs, ' '), 'lane', lane, 'pace', pace_of(kind, model, fields), 'seq', seq,
        'parents', #waits, 'after', table.concat(waits, ' '), 'priority', int(priority), 'state', state, 'reason', reason,
        'report', 0, 'done', 0, 'bad', 0, 'errors', 0)
    for i = 1, #waits do call('SADD', job_key(waits[i], 'kids'), id) end
    for _, index in ipairs({'jobs', 'jobs:' .. user, 'active', 'active:' .. user}) do call('ZADD', P .. index, seq, id) end
    call('ZADD', P .. 'ids', 0, id)
    put_range(id, 0, math.max(images, 1))
    place(id)
    announce(id, 'submit', '', state, user, reason)
    return {id = id, state = state, folder = folder, duplicate = false}
end

local function own_job_arg(a)
    local id, user = job_arg(a, 'id'), text_arg(a, 'user', NAME)
    local owner, state = job_get(id, 'user', 'state')
    if user ~= owner and user ~= 'root' then
        refuse('permission', 'job ' .. id .. ' belongs to ' .. owner .. ', not to ' .. user)
    end
    return id, user, state
end

-- The transition that a person asked for. A job that has ended refuses; one that is held already is held.
local function ask(a, event, to, reason)
    local id, _, state = own_job_arg(a)
    if state == to and not FINAL[to] then return {id = id, state = state} end
    if not TRANSITIONS[state][event] then
        local already = FINAL[state] and ' already' or ''
        refuse('refused', 'job ' .. id .. ' is ' .. state .. already .. '; ' .. event .. ' changes nothing')
    end
    return {id = id, state = apply(id, event, reason)}
end

--- ddq_cancel {id, user} -> {id, state}
--- Ends a job at once; its live leases hear "cancel" at their next renew. What is on disk stays. Only its owner or root
--- may, as with hold, release and prio. A job that has ended refuses.
function F.cancel(a)
    return ask(a, 'cancel', 'cancelled', 'cancelled by ' .. text_arg(a, 'user', NAME))
end

--- ddq_hold {id, user, reason?} -> {id, state}
--- Nobody claims from it until release; live leases hear "yield" and give back what they have not made.
function F.hold(a)
    return ask(a, 'hold', 'held', sentence_arg(a, 'reason', 500, 'held by ' .. text_arg(a, 'user', NAME)))
end

--- ddq_release {id, user} -> {id, state}
--- A held job goes on where it was, or waits again for the jobs it waits for.
function F.release(a)
    local id, _, state = own_job_arg(a)
    if state ~= 'held' then refuse('refused', 'job ' .. id .. ' is ' .. state .. ', not held; release changes nothing') end
    if tonumber((job_get(id, 'parents'))) > 0 then return {id = id, state = apply(id, 'wait', waits_text(id))} end
    local now_is = apply(id, 'release', 'waits for its turn')
    if call('SCARD', job_key(id, 'leases')) > 0 then now_is = apply(id, 'claim') end -- they had not stopped yet
    return {id = id, state = now_is}
end

--- ddq_prio {id, user, priority} -> {id, state, priority}
--- Among the user's own jobs the higher one runs first.
function F.prio(a)
    local id, _, state = own_job_arg(a)
    local priority = number_arg(a, 'priority', -100, 100)
    call('HSET', job_key(id), 'priority', int(priority))
    if not FINAL[state] then place(id) end
    return {id = id, state = state, priority = priority}
end
