-- ---- what callers see of a job ---------------------------------------------------------------------------------------

local F = {} -- the functions by name

local function lease_view(lease)
    return {token = lease.token, phase = lease.phase, lo = lease.lo, hi = lease.hi, upto = lease.upto, host = lease.host,
        worker = lease.worker, device = lease.device, pid = lease.pid, rate = lease.rate, stage = lease.stage,
        since = lease.since}
end

-- A list of a thousand jobs is asked for often, so a job's JSON is put together from texts in Redis: what never changes is
-- kept as it will be told (about), the rest goes in by one format, and then what not every job has.
local CHANGES = {'about', 'state', 'done', 'bad', 'errors', 'priority', 'folder', 'root', 'reason', 'error', 'started',
    'finished', 'fid', 'rate'}
local FORMAT = '{%s,"state":"%s","done":%s,"bad":%s,"errors":%s,"priority":%s,"workers":%d,"output":%s,"reason":%s'

-- The JSON of a job, without its last brace, its leases and its state; nil if there is none. Times are ms since 1970, rate
-- is images a second: of all its workers now, or of the last range while none works.
local function job_view(id, why)
    local about, state, done, bad, errors, priority, folder, root, reason, err, started, finished, fid, rate =
        unpack(call('HMGET', job_key(id), unpack(CHANGES)))
    if not state then return nil end
    local leases, live_rate = list(), 0
    if state == 'running' or state == 'held' then
        for _, token in ipairs(call('SMEMBERS', job_key(id, 'leases'))) do
            local lease = lease_get(token)
            if lease and lease.phase == 'images' then live_rate = live_rate + lease.rate end
            leases[#leases + 1] = lease and lease_view(lease)
        end
    end
    if why and state == 'queued' then reason = why(id) end
    local text = FORMAT:format(about, state, done, bad, errors, priority, #leases,
        root and cjson.encode(root .. '/' .. folder) or '""', reason == '' and '""' or cjson.encode(reason))
    if started then text = text .. ',"started":' .. started end
    if finished then text = text .. ',"finished":' .. finished end
    if fid then text = text .. ',"fid":' .. fid end
    if live_rate > 0 or rate then text = text .. ',"rate":' .. encode(live_rate > 0 and live_rate or tonumber(rate)) end
    if err then text = text .. ',"error":' .. cjson.encode(err) end
    return text, leases, state
end

-- What the hosts that are alive can do, and how many there are.
local function live_offers(time)
    local offers, alive, seen = {inception = true}, 0, call('ZREVRANGE', P .. 'hosts', 0, 255, 'WITHSCORES')
    for i = 1, #seen, 2 do
        local ttl, names = unpack(call('HMGET', P .. 'host:' .. seen[i], 'ttl_ms', 'offers'))
        if ttl and time - tonumber(seen[i + 1]) <= tonumber(ttl) then
            alive = alive + 1
            for name in (names or ''):gmatch('%S+') do offers[name] = true end
        end
    end
    return offers, alive
end

-- Why a queued job does not run, as far as numbers say: the walk that a claim makes, seen from the job.
local function why_queued(id)
    local user, priority, seq, needs, reason = job_get(id, 'user', 'priority', 'seq', 'needs', 'reason')
    local offers, alive = live_offers(now())
    if alive == 0 then return 'no daemon is alive; ddqd on any host that reaches this Redis will take it' end
    local lack = lacks(needs, offers)
    if lack then
        local section = lack:gsub(':', ' ')
        return 'no daemon that is alive has ' .. section .. '; one gets it by [' .. section .. '] in its ddq.conf'
    end
    if call('EXISTS', job_key(id, 'ranges')) == 0 then return reason end -- a lost range waits a little
    local before, others, lanes = 0, call('ZRANK', P .. 'users', user) or 0, P .. 'queue:' .. user
    local own = '(' .. int(order_of(tonumber(priority), tonumber(seq)))
    for _, lane in ipairs(call('ZRANGE', lanes, 0, MAX_LANES - 1)) do
        before = before + call('ZCOUNT', lanes .. ':' .. lane, '-inf', own)
    end
    if before == 0 and others == 0 then return 'next in turn; waits for a free worker' end
    return 'waits for its turn: ' .. before .. ' of your jobs and ' .. others .. ' other users come first'
end

-- ---- functions for clients -------------------------------------------------------------------------------------------

local KINDS = {sample = 1, evaluate = 0, statistics = 0} -- the fewest images; only sampling has any

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
--- kind is sample (images > 0), evaluate or statistics (images = 0). needs: what a host must offer, "model:NAME",
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
        folder = folder, images = images, n = images, created = tonumber(created)}):sub(2, -2)
    call('HSET', job_key(id), 'id', id, 'user', user, 'kind', kind, 'model', model, 'device', device, 'name', name or id,
        'folder', folder, 'images', int(images), 'created', created, 'about', about, 'spec', spec,
        'needs', table.concat(needs, ' '), 'lane', lane, 'pace', pace_of(kind, model, fields), 'seq', seq,
        'parents', #waits, 'after', table.concat(waits, ' '), 'priority', int(priority), 'state', state, 'reason', reason,
        'report', images == 0 and 1 or 0, 'done', 0, 'bad', 0, 'errors', 0)
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

--- ddq_share {user?, weight?} -> {users[]}
--- Who has had how much: {user, weight, ahead_ms, runnable}, who is next first; or that of one user. With user and weight
--- (0.01..1000; everybody has 1) it sets how much of the machines this user gets.
function F.share(a)
    local user, weight = text_arg(a, 'user', NAME, true), given(a, 'weight')
    if weight ~= nil then
        if type(weight) ~= 'number' or weight < 0.01 or weight > 1000 then
            refuse('usage', 'weight is ' .. shown(weight) .. ', wanted a number from 0.01 to 1000')
        end
        call('HSET', P .. 'weights', text_arg(a, 'user', NAME), weight)
    end
    local users, floor, known = list(), tonumber(call('GET', P .. 'floor') or 0), {}
    local function add(name, vtime, runnable)
        if known[name] or (user and name ~= user) then return end
        known[name] = true
        users[#users + 1] = {user = name, weight = weight_of(name), ahead_ms = math.floor(vtime - floor),
            runnable = runnable}
    end
    local queued = call('ZRANGE', P .. 'users', 0, 999, 'WITHSCORES')
    for i = 1, #queued, 2 do add(queued[i], tonumber(queued[i + 1]), true) end
    for _, key in ipairs({'weights', 'vtime'}) do
        for _, name in ipairs(call('HKEYS', P .. key)) do
            add(name, math.max(floor, tonumber(call('HGET', P .. 'vtime', name) or 0)), false)
        end
    end
    return {users = users}
end

--- ddq_list {user?, state?, active?, limit?} -> {jobs[], more}
--- Newest first; active: only those that have not ended. A job is {id, user, kind, model, name, state, reason, error?,
--- device, folder, output, images, n, done, bad, errors, priority, created, started?, finished?, rate?, workers, fid?}.
--- more: not every job was looked at.
function F.list(a)
    local user, state = text_arg(a, 'user', NAME, true), text_arg(a, 'state', WORD, true)
    if state and not TRANSITIONS[state] then refuse('usage', 'state is ' .. shown(state) .. ', which no job has') end
    local limit = number_arg(a, 'limit', 1, 100000, 100)
    local active = a.active == true or (state and not FINAL[state])
    local key = P .. (active and 'active' or 'jobs') .. (user and ':' .. user or '')
    local jobs, looked, all = list(), 0, math.min(call('ZCARD', key), math.max(limit, 20000))
    while #jobs < limit and looked < all do
        local ids = call('ZREVRANGE', key, looked, looked + math.min(limit, 500) - 1)
        for i = 1, #ids do
            if #jobs == limit then break end
            local view, _, is = job_view(ids[i])
            if view and (not state or is == state) then jobs[#jobs + 1] = raw(view .. '}') end
            looked = looked + 1
        end
    end
    return {jobs = jobs, more = call('ZCARD', key) > looked}
end

--- ddq_show {id} -> {job{}, leases[]}
--- The id may be a unique prefix. job is as in list, with spec, needs, missing[] (images that were given up, at most 100)
--- and, while it is queued, a reason with numbers. A lease is {token, phase, lo, hi, upto, host, worker, device, pid,
--- rate, stage, since}.
function F.show(a)
    local id = job_arg(a, 'id')
    local view, leases = job_view(id, why_queued)
    local spec, needs = job_get(id, 'spec', 'needs')
    local missing = table.concat(call('ZRANGE', job_key(id, 'bad'), 0, 99), ',')
    view = view .. ',"needs":' .. cjson.encode(needs) .. ',"missing":[' .. missing .. '],"spec":' .. spec .. '}'
    return {job = raw(view), leases = leases}
end

local function stream_rows(rows)
    local items = list()
    for _, row in ipairs(rows) do
        local item = {id = row[1]}
        for i = 1, #row[2], 2 do item[row[2][i]] = row[2][i + 1] end
        items[#items + 1] = item
    end
    return items, #items > 0 and items[#items].id or nil
end

--- ddq_events {after?, count?} -> {events[], last}
--- Transitions {id, job, user, event, from, to, reason}, oldest first. after: the last one seen. Without it, the newest
--- `count`. An event's id begins with its time in ms.
function F.events(a)
    local after, count = text_arg(a, 'after', STREAM_ID, true), number_arg(a, 'count', 1, 10000, 100)
    local rows
    if after then
        rows = call('XRANGE', P .. 'events', '(' .. after, '+', 'COUNT', count)
    else
        local newest = call('XREVRANGE', P .. 'events', '+', '-', 'COUNT', count)
        rows = {}
        for i = #newest, 1, -1 do rows[#rows + 1] = newest[i] end
    end
    local events, last = stream_rows(rows)
    return {events = events, last = last or after or '0-0'}
end

--- ddq_logs {id, after?, count?} -> {lines[], last}
--- What the workers of a job said, {id, level, text}, oldest first; after: the last one seen.
function F.logs(a)
    local id, after = job_arg(a, 'id'), text_arg(a, 'after', STREAM_ID, true)
    local count, from = number_arg(a, 'count', 1, 10000, 1000), after and '(' .. after or '-'
    local lines, last = stream_rows(call('XRANGE', job_key(id, 'log'), from, '+', 'COUNT', count))
    return {lines = lines, last = last or after or '0-0'}
end

--- ddq_hosts {} -> {hosts[]}
--- What each daemon said of itself last (see ddq_beat), with age_ms and alive; the latest first.
function F.hosts()
    local hosts, time = list(), now()
    local seen = call('ZREVRANGE', P .. 'hosts', 0, 999, 'WITHSCORES')
    for i = 1, #seen, 2 do
        local about, ttl = unpack(call('HMGET', P .. 'host:' .. seen[i], 'about', 'ttl_ms'))
        local age = time - tonumber(seen[i + 1])
        if about then
            local alive = tostring(age <= tonumber(ttl))
            hosts[#hosts + 1] = raw('{"age_ms":' .. int(age) .. ',"alive":' .. alive .. ',' .. about:sub(2))
        end
    end
    return {hosts = hosts}
end

