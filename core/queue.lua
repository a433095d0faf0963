#!lua name=ddq
-- The queue, as one Redis function library (Redis >= 7.0). It is the only thing that writes queue state: clients and
-- daemons call it, so this text is the specification. docs/queue.md is printed from the comments that begin with "--- ".
--
-- A call takes the hash tag {ddq} as its one key and one JSON object, and answers one JSON object whose "status" is "ok" or
-- says why not, with a sentence in "text". Everything is checked before anything is written.
--
-- A job's work is its images, 0..n-1, and then one report: the range [n, n+1), claimable only when every image is done
-- and no lease lives. Evaluation and statistics have no images to make, only the report.
--
-- Rules: leases are zset deadlines in Redis time, never keys with a TTL. A token is a fencing token: what comes late is
-- answered "stale". What a renew or a finish says up to `upto` is on disk and never made again. Every loop is bounded.
-- A state changes in `apply` alone, by the table below, which core/lifecycle.c repeats and a test compares.

local SCHEMA = 1
local P = '{ddq}:'
local DAY_MS = 24 * 3600 * 1000
local MAX_USERS, MAX_JOBS, MAX_REAP = 64, 16, 100 -- how far claim and reap look
local FIRST_CHUNK = 8    -- images of a model whose speed nobody has measured
local LOSSES = 3         -- losses of one range without progress before it is split or given up
local SLACK_MS = 60000   -- a warm model may go before the fairest user by this much virtual time
local EVENTS, LOG_LINES = 10000, 2000

local TRANSITIONS = {
    queued = {claim = 'running', fail = 'failed', hold = 'held', cancel = 'cancelled'},
    waiting = {fail = 'failed', hold = 'held', cancel = 'cancelled', parent_done = 'queued'},
    running = {claim = 'running', idle = 'queued', complete = 'done', fail = 'failed', hold = 'held', cancel = 'cancelled'},
    held = {complete = 'done', fail = 'failed', release = 'queued', cancel = 'cancelled'},
    done = {}, failed = {}, cancelled = {},
}
local FINAL = {done = true, failed = true, cancelled = true}

-- ---- JSON: cjson writes an empty table as {}, so lists are marked -----------------------------------------------

local List, Raw = {}, {}
local function list(items) return setmetatable(items or {}, List) end
local function raw(text) return setmetatable({text}, Raw) end
local function encode(value)
    if type(value) ~= 'table' then return cjson.encode(value) end
    local parts = {}
    if getmetatable(value) == Raw then return value[1] end
    if getmetatable(value) == List then
        for i, item in ipairs(value) do parts[i] = encode(item) end
        return '[' .. table.concat(parts, ',') .. ']'
    end
    for key, item in pairs(value) do parts[#parts + 1] = cjson.encode(tostring(key)) .. ':' .. encode(item) end
    return '{' .. table.concat(parts, ',') .. '}'
end

local function refuse(status, text) error({refusal = true, status = status, text = text}) end

-- ---- arguments: each is checked by type, length and alphabet before it becomes part of a key -----------------------

local function text_arg(a, name, pattern, longest, optional)
    local value = a[name]
    if (value == nil or value == cjson.null) and optional then return nil end
    if type(value) ~= 'string' or #value > longest or (pattern and not value:match(pattern)) then
        refuse('usage', name .. ' is ' .. tostring(value):sub(1, 80) .. ', wanted text of at most ' .. longest .. ' characters'
            .. (pattern and ' like ' .. pattern or ''))
    end
    return value
end
local NAME, ID, TOKEN = '^[A-Za-z0-9_][A-Za-z0-9._-]*$', '^[0-9a-hjkmnp-tv-z]+$', '^%d+$'
local function name_arg(a, name, optional) return text_arg(a, name, NAME, 100, optional) end
local function number_arg(a, name, lowest, highest, default)
    local value = a[name]
    if (value == nil or value == cjson.null) and default ~= nil then return default end
    if type(value) ~= 'number' or value < lowest or value > highest or value ~= math.floor(value) then
        refuse('usage', name .. ' is ' .. tostring(value) .. ', wanted a whole number from ' .. lowest .. ' to ' .. highest)
    end
    return value
end
local function list_arg(a, name)
    local value = a[name]
    if value == nil or value == cjson.null then return {} end
    if type(value) ~= 'table' or #value > 1000 then refuse('usage', name .. ' is not a list of at most 1000') end
    return value
end
local function set_of(items)
    local set = {}
    for _, item in ipairs(items) do if type(item) == 'string' then set[item] = true end end
    return set
end

-- ---- keys and small readers --------------------------------------------------------------------------------------

local function call(...) return redis.call(...) end
local function now() local t = call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000) end
local function int(value) return string.format('%.0f', value) end
local function job_key(id) return P .. 'job:' .. id end
local function lease_key(token) return P .. 'lease:' .. token end
local function user_queue(user) return P .. 'queue:' .. user end
local function range_member(lo, hi) return int(lo) .. '-' .. int(hi) end
local function range_of(member)
    local lo, hi = member:match('^(%d+)-(%d+)$')
    return tonumber(lo), tonumber(hi)
end
local function job_get(id, ...)
    local values = call('HMGET', job_key(id), ...)
    for i = 1, #values do values[i] = values[i] or nil end
    return unpack(values, 1, select('#', ...))
end
local function job_number(id, field) return tonumber(job_get(id, field) or '0') or 0 end

-- The whole id for a unique prefix.
local function resolve(a)
    local prefix = text_arg(a, 'id', ID, 26)
    if call('EXISTS', job_key(prefix)) == 1 then return prefix end
    local found = call('ZRANGEBYLEX', P .. 'ids', '[' .. prefix, '[' .. prefix .. '\255', 'LIMIT', 0, 6)
    if #found == 1 then return found[1] end
    if #found == 0 then refuse('not_found', 'job ' .. prefix .. ' not found; ddq ls --all lists what is there') end
    refuse('not_found', 'job ' .. prefix .. ' is not unique: ' .. table.concat(found, ', ', 1, math.min(#found, 5)) .. '; give more characters')
end

-- ---- fair share --------------------------------------------------------------------------------------------------
-- users: zset of users with runnable jobs by virtual time (ms of work / weight). vtime keeps the others'.

local function weight_of(user) return math.max(0.001, tonumber(call('HGET', P .. 'weights', user) or '1') or 1) end

local function charge(user, ms)
    if ms == 0 then return end
    local step = ms / weight_of(user)
    if call('ZSCORE', P .. 'users', user) then call('ZINCRBY', P .. 'users', step, user)
    else call('HINCRBYFLOAT', P .. 'vtime', user, step) end
end

-- Puts a job into its user's queue, or takes it out, as its state and its ranges say. A user who comes back starts at the
-- floor: no credit for time away.
local function place(id)
    local user, state, priority, seq = job_get(id, 'user', 'state', 'priority', 'seq')
    local runnable = (state == 'queued' or state == 'running') and call('EXISTS', job_key(id) .. ':ranges') == 1
    if runnable then
        call('ZADD', user_queue(user), -tonumber(priority) * 2 ^ 40 + tonumber(seq), id)
        if not call('ZSCORE', P .. 'users', user) then
            local first = call('ZRANGE', P .. 'users', 0, 0, 'WITHSCORES')
            local floor = tonumber(first[2] or call('GET', P .. 'floor') or '0')
            call('ZADD', P .. 'users', math.max(floor, tonumber(call('HGET', P .. 'vtime', user) or '0')), user)
        end
        return
    end
    call('ZREM', user_queue(user), id)
    if call('EXISTS', user_queue(user)) == 0 then
        local own = call('ZSCORE', P .. 'users', user)
        if own then
            call('HSET', P .. 'vtime', user, own)
            call('ZREM', P .. 'users', user)
        end
    end
end

-- ---- life --------------------------------------------------------------------------------------------------------

local parents_changed -- below: what a job's end means to the jobs that wait for it

-- The one door to a job's state. `reason` is kept while the job is not running.
local function apply(id, event, reason)
    local from, user = job_get(id, 'state', 'user')
    local to = TRANSITIONS[from][event]
    if not to then refuse('refused', 'job ' .. id .. ' is ' .. from .. ': ' .. event .. ' is not possible') end
    if from == to then return to end
    call('HSET', job_key(id), 'state', to, 'reason', reason or '', 'changed', int(now()))
    if to == 'running' then call('HSETNX', job_key(id), 'started', int(now())) end
    if FINAL[to] then
        call('HSET', job_key(id), 'finished', int(now()))
        call('ZREM', P .. 'active', id)
        call('DEL', job_key(id) .. ':ranges', job_key(id) .. ':losses')
    end
    call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS, '*', 'job', id, 'user', user, 'event', event, 'from', from, 'to', to, 'reason', reason or '')
    call('PUBLISH', job_key(id) .. ':live', encode({job = id, state = to, reason = reason or ''}))
    place(id)
    if to == 'queued' then call('PUBLISH', P .. 'wake', id) end
    if from == 'running' and to ~= 'queued' then call('PUBLISH', P .. 'ctl', encode({op = to == 'held' and 'yield' or 'cancel', job = id})) end
    if FINAL[to] then parents_changed(id, to) end
    return to
end

function parents_changed(id, state)
    for _, kid in ipairs(call('SMEMBERS', job_key(id) .. ':kids')) do
        if job_get(kid, 'state') == 'waiting' then
            if state ~= 'done' then apply(kid, 'fail', 'it waited for job ' .. id .. ', which is ' .. state)
            elseif call('HINCRBY', job_key(kid), 'parents', -1) <= 0 then apply(kid, 'parent_done', 'its turn has not come') end
        end
    end
    call('DEL', job_key(id) .. ':kids')
end

-- After a lease went: the report becomes claimable when all images are there; a job that nobody works on is queued.
local function settle(id, reason)
    local state, images, done, lost, report = job_get(id, 'state', 'images', 'done', 'lost', 'report')
    images = tonumber(images)
    if FINAL[state] then return state end
    local leases = call('SCARD', job_key(id) .. ':leases')
    if leases == 0 and report == '0' and tonumber(done) + tonumber(lost) >= images then
        call('HSET', job_key(id), 'report', '1')
        call('ZADD', job_key(id) .. ':ranges', images, range_member(images, images + 1))
    end
    if state == 'running' and leases == 0 then return apply(id, 'idle', reason or 'its next range waits for a free worker') end
    place(id)
    if call('EXISTS', job_key(id) .. ':ranges') == 1 then call('PUBLISH', P .. 'wake', id) end
    return state
end

local function put_back(id, lo, hi)
    if lo < hi and not FINAL[job_get(id, 'state')] then call('ZADD', job_key(id) .. ':ranges', lo, range_member(lo, hi)) end
end

-- ---- leases ------------------------------------------------------------------------------------------------------

local LEASE_FIELDS = {'job', 'lo', 'hi', 'upto', 'charge', 'phase', 'speed', 'host', 'worker', 'pid', 'device', 'rate', 'stage'}
local function lease_get(token)
    local values = call('HMGET', lease_key(token), unpack(LEASE_FIELDS))
    if not values[1] then return nil end
    local lease = {token = token}
    for i, field in ipairs(LEASE_FIELDS) do lease[field] = values[i] or '' end
    lease.lo, lease.hi, lease.upto = tonumber(lease.lo), tonumber(lease.hi), tonumber(lease.upto)
    return lease
end

-- Ends a lease: what is on disk counts, the user pays for what was really used, the rest of the range is the caller's.
local function lease_end(lease, upto, ms)
    local id = lease.job
    lease.upto = math.min(math.max(upto, lease.upto), lease.hi)
    call('DEL', lease_key(lease.token))
    call('ZREM', P .. 'leases', lease.token)
    call('SREM', job_key(id) .. ':leases', lease.token)
    local made = lease.upto - lease.lo
    if lease.phase == 'images' and made > 0 then call('HINCRBY', job_key(id), 'done', made) end
    local owed, used = tonumber(lease.charge), ms
    if not used then used = owed * made / (lease.hi - lease.lo) end
    charge(job_get(id, 'user'), used - owed)
    if ms and made > 0 and lease.phase == 'images' then
        local old, new = tonumber(call('HGET', P .. 'speed', lease.speed) or ''), ms / made
        call('HSET', P .. 'speed', lease.speed, old and old * 0.5 + new * 0.5 or new)
        call('HSET', job_key(id), 'rate', 1000 / math.max(new, 0.001))
    end
end

-- A range came back without its end. Without progress this counts against it: first it waits a little, then it is split,
-- and an image that fails alone is put aside so that the others can go on.
local function lose(lease, text)
    local id, lo, hi = lease.job, lease.upto, lease.hi
    local key = job_key(id) .. ':losses'
    call('HINCRBY', job_key(id), 'errors', 1)
    if lo >= hi then return end
    local losses = lo > lease.lo and tonumber(call('HSET', key, int(lo), 1)) and 1 or call('HINCRBY', key, int(lo), 1)
    if losses < LOSSES then
        if losses > 1 then call('HSET', job_key(id), 'not_before', int(now() + 1000 * 2 ^ losses)) end
        return put_back(id, lo, hi)
    end
    if lease.phase == 'report' then
        apply(id, 'fail', 'its report failed ' .. losses .. ' times; the last time: ' .. text)
    elseif hi - lo > 1 then
        local middle = math.floor((lo + hi) / 2)
        call('HSET', key, int(lo), LOSSES - 1, int(middle), LOSSES - 1)
        put_back(id, lo, middle)
        put_back(id, middle, hi)
    else
        call('ZADD', job_key(id) .. ':bad', lo, int(lo))
        call('HINCRBY', job_key(id), 'lost', 1)
        call('HSET', job_key(id), 'trouble', 'image ' .. int(lo) .. ': ' .. text)
    end
end

-- "already" for a token that was finished before, "stale" for one that was taken away.
local function gone(token)
    local known = call('ZSCORE', P .. 'fin', token)
    return {status = known and 'already' or 'stale',
            text = known and 'token ' .. token .. ' was finished before' or 'token ' .. token .. ' is no longer a lease: its range went elsewhere'}
end

-- ---- what callers see of a job -----------------------------------------------------------------------------------

local NUMBERS = {'images', 'done', 'priority', 'created', 'started', 'finished', 'errors', 'lost', 'rate', 'fid', 'seq'}
local TEXTS = {'id', 'user', 'kind', 'model', 'name', 'state', 'reason', 'device', 'folder', 'trouble', 'root'}
local VIEW = {}
for i = 1, #NUMBERS do VIEW[i] = NUMBERS[i] end
for i = 1, #TEXTS do VIEW[#NUMBERS + i] = TEXTS[i] end

local function job_view(id)
    local values, view = call('HMGET', job_key(id), unpack(VIEW)), {}
    for i = 1, #NUMBERS do view[VIEW[i]] = tonumber(values[i] or nil) end
    for i = #NUMBERS + 1, #VIEW do view[VIEW[i]] = values[i] or nil end
    view.output = view.root and view.root ~= '' and view.root .. '/' .. view.folder or ''
    view.root = nil
    local leases, live_rate = list(), 0
    for _, token in ipairs(call('SMEMBERS', job_key(id) .. ':leases')) do
        local lease = lease_get(token)
        if lease then
            if lease.phase == 'images' then
                view.done = view.done + lease.upto - lease.lo
                live_rate = live_rate + (tonumber(lease.rate) or 0)
            end
            leases[#leases + 1] = {token = token, phase = lease.phase, lo = lease.lo, hi = lease.hi, upto = lease.upto, host = lease.host,
                worker = lease.worker, pid = tonumber(lease.pid), device = lease.device, rate = tonumber(lease.rate) or 0, stage = lease.stage}
        end
    end
    if live_rate > 0 then view.rate = live_rate end -- all its workers together, now; else what its last range had
    return view, leases
end

-- ---- functions for clients ---------------------------------------------------------------------------------------
local F = {}

--- ddq_submit {id, user, kind, spec{}, images, name?, model?, device?, priority?, needs[]?, after[]?} -> {id, state, folder, duplicate}
--- A new job: queued, or waiting for the jobs of `after`. The same id again changes nothing and answers duplicate: true.
function F.submit(a)
    local id, user = text_arg(a, 'id', ID, 26), name_arg(a, 'user')
    local kind, name = name_arg(a, 'kind'), name_arg(a, 'name', true)
    local model, device = text_arg(a, 'model', nil, 200, true) or '', text_arg(a, 'device', nil, 100, true) or ''
    local images, priority = number_arg(a, 'images', 0, 1e9, 0), number_arg(a, 'priority', -100, 100, 0)
    local spec = a.spec -- as text it is kept to the letter; an object is written anew
    if type(spec) == 'table' then spec = cjson.encode(spec) end
    if type(spec) ~= 'string' or #spec > 1000000 or not pcall(cjson.decode, spec) or not spec:match('^{') then refuse('usage', 'spec is not an object') end
    local needs = list_arg(a, 'needs')
    for i, need in ipairs(needs) do
        if type(need) ~= 'string' or need:find('%s') or #need > 200 then refuse('usage', 'needs ' .. i .. ' is not a word') end
    end
    if #id < 6 then refuse('usage', 'id is ' .. id .. ', wanted at least 6 characters') end
    if call('EXISTS', job_key(id)) == 1 then
        local state, folder = job_get(id, 'state', 'folder')
        return {id = id, state = state, folder = folder, duplicate = true}
    end
    local waits_for = {}
    for _, parent in ipairs(list_arg(a, 'after')) do
        parent = resolve({id = parent})
        local state = job_get(parent, 'state')
        if state == 'failed' or state == 'cancelled' then refuse('refused', 'job ' .. parent .. ', which it should wait for, is ' .. state) end
        if state ~= 'done' then waits_for[#waits_for + 1] = parent end
    end
    local folder = user .. '/' .. (name or id)
    if call('HSETNX', P .. 'folders', folder, id) == 0 then
        folder = folder .. '-' .. id
        call('HSET', P .. 'folders', folder, id)
    end
    local seq = call('INCR', P .. 'seq')
    local state = #waits_for > 0 and 'waiting' or 'queued'
    local reason = #waits_for > 0 and 'it waits for job ' .. table.concat(waits_for, ', ') or 'its turn has not come'
    call('HSET', job_key(id), 'id', id, 'user', user, 'kind', kind, 'model', model, 'device', device, 'name', name or id, 'folder', folder,
        'images', int(images), 'done', 0, 'lost', 0, 'errors', 0, 'report', 0, 'priority', int(priority), 'seq', seq, 'state', state, 'reason', reason,
        'spec', spec, 'needs', table.concat(needs, ' '),
        'parents', #waits_for, 'created', int(now()))
    for _, parent in ipairs(waits_for) do call('SADD', job_key(parent) .. ':kids', id) end
    call('ZADD', P .. 'ids', 0, id)
    call('ZADD', P .. 'jobs', seq, id)
    call('ZADD', P .. 'jobs:' .. user, seq, id)
    call('ZADD', P .. 'active', seq, id)
    if images > 0 then call('ZADD', job_key(id) .. ':ranges', 0, range_member(0, images))
    else
        call('HSET', job_key(id), 'report', 1)
        call('ZADD', job_key(id) .. ':ranges', 0, range_member(0, 1))
    end
    call('XADD', P .. 'events', 'MAXLEN', '~', EVENTS, '*', 'job', id, 'user', user, 'event', 'submit', 'from', '', 'to', state, 'reason', reason)
    place(id)
    if state == 'queued' then call('PUBLISH', P .. 'wake', id) end
    return {id = id, state = state, folder = folder, duplicate = false}
end

local function own(a)
    local id, user = resolve(a), name_arg(a, 'user')
    local owner = job_get(id, 'user')
    if user ~= owner and user ~= 'root' then refuse('permission', 'job ' .. id .. ' belongs to ' .. owner .. ', not to ' .. user) end
    return id, user
end

--- ddq_cancel {id, user} -> {id, state}
--- Ends a job at once; its live leases hear "cancel" at their next renew. What is on disk stays.
function F.cancel(a)
    local id, user = own(a)
    return {id = id, state = apply(id, 'cancel', 'cancelled by ' .. user)}
end

--- ddq_hold {id, user, reason?} -> {id, state}
--- Nobody claims from it until release; live leases hear "yield".
function F.hold(a)
    local id, user = own(a)
    return {id = id, state = apply(id, 'hold', text_arg(a, 'reason', nil, 500, true) or 'held by ' .. user)}
end

--- ddq_release {id, user} -> {id, state}
function F.release(a)
    local id = own(a)
    call('HDEL', job_key(id), 'not_before')
    apply(id, 'release', 'its turn has not come')
    return {id = id, state = settle(id)}
end

--- ddq_list {user?, state?, active?, limit?} -> {jobs[]}, newest first
function F.list(a)
    local user, state = name_arg(a, 'user', true), text_arg(a, 'state', '^[a-z]+$', 20, true)
    local limit = number_arg(a, 'limit', 1, 100000, 100)
    local key = a.active == true and P .. 'active' or user and P .. 'jobs:' .. user or P .. 'jobs'
    local jobs, from = list(), 0
    while #jobs < limit do
        local ids = call('ZREVRANGE', key, from, from + 499)
        for _, id in ipairs(ids) do
            if #jobs < limit then
                local owner, is = job_get(id, 'user', 'state')
                if owner and (not user or owner == user) and (not state or is == state) then jobs[#jobs + 1] = raw(cjson.encode((job_view(id)))) end
            end
        end
        from = from + 500
        if #ids < 500 then break end
    end
    return {jobs = jobs}
end

--- ddq_show {id} -> {job{}, leases[]}; the id may be a unique prefix
function F.show(a)
    local id = resolve(a)
    local view, leases = job_view(id)
    local spec, needs = job_get(id, 'spec', 'needs')
    view.spec, view.needs = raw(spec), needs
    local bad = list()
    for _, image in ipairs(call('ZRANGE', job_key(id) .. ':bad', 0, 99)) do bad[#bad + 1] = tonumber(image) end
    view.missing = bad
    return {job = view, leases = leases}
end

local function stream_rows(key, after, count, column)
    local rows = list()
    for _, row in ipairs(call('XRANGE', key, after == '' and '-' or '(' .. after, '+', 'COUNT', count)) do
        local item = {id = row[1]}
        for i = 1, #row[2], 2 do item[row[2][i]] = row[2][i + 1] end
        rows[#rows + 1] = item
    end
    return rows, #rows > 0 and rows[#rows].id or after
end
local function after_arg(a) return text_arg(a, 'after', '^[%d-]*$', 40, true) or '' end

--- ddq_events {after?, count?} -> {events[], last}: transitions, oldest first; `after` is the last one seen
function F.events(a)
    local events, last = stream_rows(P .. 'events', after_arg(a), number_arg(a, 'count', 1, 10000, 100))
    return {events = events, last = last}
end

--- ddq_logs {id, after?, count?} -> {lines[], last}: what the workers said about a job
function F.logs(a)
    local lines, last = stream_rows(job_key(resolve(a)) .. ':log', after_arg(a), number_arg(a, 'count', 1, 10000, 1000))
    return {lines = lines, last = last}
end

--- ddq_hosts {} -> {hosts[]}: what each daemon said of itself last, with age_ms and alive
function F.hosts()
    local hosts, time = list(), now()
    local seen = call('ZREVRANGE', P .. 'hosts', 0, 999, 'WITHSCORES')
    for i = 1, #seen, 2 do
        local about, ttl = unpack(call('HMGET', P .. 'host:' .. seen[i], 'about', 'ttl_ms'))
        local age = time - tonumber(seen[i + 1])
        if about then hosts[#hosts + 1] = raw('{"age_ms":' .. int(age) .. ',"alive":' .. tostring(age <= tonumber(ttl)) .. ',' .. about:sub(2)) end
    end
    return {hosts = hosts}
end

-- ---- functions for daemons ---------------------------------------------------------------------------------------

local function fits(id, claim, time)
    local needs, device, not_before = job_get(id, 'needs', 'device', 'not_before')
    if not_before and tonumber(not_before) > time then return false end
    if device and device ~= '' and device ~= 'any' and device ~= claim.device and device ~= claim.uuid then return false end
    for need in needs:gmatch('%S+') do if not claim.offers[need] then return false end end
    return true
end

-- The fairest user's first job that this worker can do, or within the slack one whose model is warm.
local function choose(claim, time)
    local users = call('ZRANGE', P .. 'users', 0, MAX_USERS - 1, 'WITHSCORES')
    local pick, pick_vtime, pick_warm
    for i = 1, #users, 2 do
        local vtime = tonumber(users[i + 1])
        if pick and (pick_warm or vtime > pick_vtime + SLACK_MS) then break end
        for _, id in ipairs(call('ZRANGE', user_queue(users[i]), 0, MAX_JOBS - 1)) do
            if fits(id, claim, time) then
                local warm = claim.warm[job_get(id, 'model') or ''] or false
                if not pick then pick, pick_vtime, pick_warm = id, vtime, warm
                elseif warm and not pick_warm then pick, pick_warm = id, true end
                break -- the user's own order counts
            end
        end
    end
    return pick, pick_vtime
end

-- How many images of [lo, hi) make a chunk: chunk_ms at the measured speed, less near the job's end so that all workers
-- end together.
local function chunk(id, lo, hi, ms, chunk_ms)
    local want = ms and math.max(1, math.floor(chunk_ms / math.max(ms, 0.001))) or FIRST_CHUNK
    local workers = 0
    for _, count in ipairs(call('HVALS', P .. 'workers')) do workers = workers + tonumber(count) end
    if workers > 1 then
        local images, done = job_get(id, 'images', 'done')
        want = math.min(want, math.max(1, math.ceil((tonumber(images) - tonumber(done)) / (2 * workers))))
    end
    return math.min(hi, lo + want)
end

--- ddq_claim {host, worker, pid, device, uuid?, root, lease_ms, chunk_ms, offers[], warm[]} -> {token, job, user, kind, phase, lo, hi, n, spec{}, folder} or status empty
--- Takes a range for an idle worker. offers: what this host can do ("model:digits", "reference:digits", "inception"); warm: models in memory.
function F.claim(a)
    local claim = {host = name_arg(a, 'host'), worker = text_arg(a, 'worker', nil, 100), pid = number_arg(a, 'pid', 0, 2 ^ 31, 0),
        device = text_arg(a, 'device', nil, 100), uuid = text_arg(a, 'uuid', nil, 100, true) or '', root = text_arg(a, 'root', nil, 4000, true) or '',
        offers = set_of(list_arg(a, 'offers')), warm = set_of(list_arg(a, 'warm'))}
    local lease_ms, chunk_ms = number_arg(a, 'lease_ms', 100, DAY_MS), number_arg(a, 'chunk_ms', 1, DAY_MS)
    local time = now()
    local id, vtime = choose(claim, time)
    if not id then return {status = 'empty'} end
    local member = call('ZRANGE', job_key(id) .. ':ranges', 0, 0)[1]
    local lo, hi = range_of(member)
    local user, kind, model, images, spec, folder, known_root = job_get(id, 'user', 'kind', 'model', 'images', 'spec', 'folder', 'root')
    local phase = lo >= tonumber(images) and 'report' or 'images'
    local speed = model .. '|' .. (claim.uuid ~= '' and claim.uuid or claim.device)
    local ms = tonumber(call('HGET', P .. 'speed', speed) or '')
    local stop = phase == 'report' and hi or chunk(id, lo, hi, ms, chunk_ms)
    call('ZREM', job_key(id) .. ':ranges', member)
    if stop < hi then call('ZADD', job_key(id) .. ':ranges', stop, range_member(stop, hi)) end
    local token = int(call('INCR', P .. 'token'))
    local cost = phase == 'report' and 0 or (stop - lo) * (ms or 100)
    call('HSET', lease_key(token), 'job', id, 'lo', int(lo), 'hi', int(stop), 'upto', int(lo), 'charge', cost, 'phase', phase, 'speed', speed,
        'host', claim.host, 'worker', claim.worker, 'pid', int(claim.pid), 'device', claim.uuid ~= '' and claim.uuid or claim.device)
    call('ZADD', P .. 'leases', time + lease_ms, token)
    call('SADD', job_key(id) .. ':leases', token)
    call('SET', P .. 'floor', vtime)
    if not known_root or known_root == '' then call('HSET', job_key(id), 'root', claim.root) end
    charge(user, cost)
    apply(id, 'claim')
    place(id)
    return {token = token, job = id, user = user, kind = kind, phase = phase, lo = lo, hi = stop, n = tonumber(images), folder = folder, spec = raw(spec)}
end

--- ddq_renew {lease_ms, leases: [{token, upto, rate?, stage?, pid?}]} -> {leases: {TOKEN: ok | lost | cancel | yield}}
--- Moves deadlines; a lease that ran out but that nobody took lives on. upto is what is safely on disk.
function F.renew(a)
    local deadline, verdicts = now() + number_arg(a, 'lease_ms', 100, DAY_MS), {}
    for _, item in ipairs(list_arg(a, 'leases')) do
        local token = text_arg(item, 'token', TOKEN, 20)
        local lease = lease_get(token)
        if not lease then verdicts[token] = 'lost'
        else
            local upto = math.min(math.max(number_arg(item, 'upto', 0, 2 ^ 40, lease.lo), lease.upto), lease.hi)
            local rate, stage = tonumber(item.rate) or 0, text_arg(item, 'stage', nil, 60, true) or ''
            call('HSET', lease_key(token), 'upto', int(upto), 'rate', rate, 'stage', stage)
            if item.pid then call('HSET', lease_key(token), 'pid', int(number_arg(item, 'pid', 0, 2 ^ 31))) end
            call('ZADD', P .. 'leases', deadline, token)
            local state = job_get(lease.job, 'state')
            verdicts[token] = FINAL[state] and 'cancel' or state == 'held' and 'yield' or 'ok'
        end
    end
    return {leases = verdicts}
end

local function close(a, blame)
    local token, upto = text_arg(a, 'token', TOKEN, 20), number_arg(a, 'upto', 0, 2 ^ 40)
    local lease = lease_get(token)
    if not lease then return nil, gone(token) end
    local ms = tonumber(a.ms)
    lease_end(lease, upto, ms and ms >= 0 and ms or nil)
    call('ZADD', P .. 'fin', now(), token)
    call('ZREMRANGEBYSCORE', P .. 'fin', '-inf', now() - DAY_MS)
    if blame then lose(lease, blame) else put_back(lease.job, lease.upto, lease.hi) end
    return lease
end

--- ddq_finish {token, upto, ms, fid?} -> {job, state}, or status already or stale
--- The range is done up to `upto`; what is left of it goes back. The report's finish completes the job.
function F.finish(a)
    local lease, answer = close(a)
    if not lease then return answer end
    local id = lease.job
    if tonumber(a.fid) then call('HSET', job_key(id), 'fid', tonumber(a.fid)) end
    if lease.phase == 'report' and lease.upto >= lease.hi and not FINAL[job_get(id, 'state')] then
        local missing = call('ZRANGE', job_key(id) .. ':bad', 0, 9)
        return {job = id, state = apply(id, 'complete', #missing > 0 and 'done but for image ' .. table.concat(missing, ', ') .. '; ' .. (job_get(id, 'trouble') or '') or '')}
    end
    return {job = id, state = settle(id)}
end

--- ddq_giveback {token, upto, ms?} -> as finish: a worker that yields or drains; no blame
function F.giveback(a)
    local lease, answer = close(a)
    if not lease then return answer end
    return {job = lease.job, state = settle(lease.job, 'its worker gave the range back')}
end

--- ddq_fail {token, upto, kind, policy: fail | retry | hold, text} -> {job, state}
--- fail: the job cannot succeed. hold: a person must act. retry: another try; three losses of a range without progress split it.
function F.fail(a)
    local text, policy = text_arg(a, 'text', nil, 2000), text_arg(a, 'policy', '^%a+$', 10)
    if policy ~= 'fail' and policy ~= 'retry' and policy ~= 'hold' then refuse('usage', 'policy is ' .. policy .. ', wanted fail, retry or hold') end
    local lease, answer = close(a, policy == 'retry' and text or nil)
    if not lease then return answer end
    local id = lease.job
    local state = job_get(id, 'state')
    if not FINAL[state] and state ~= 'held' and policy ~= 'retry' then return {job = id, state = apply(id, policy, text)} end
    return {job = id, state = settle(id, text)}
end

--- ddq_reap {} -> {reaped, next_ms}: ranges whose leases ran out go back; called by every daemon
function F.reap()
    local time, reaped = now(), 0
    for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', time, 'LIMIT', 0, MAX_REAP)) do
        local lease = lease_get(token)
        if not lease then call('ZREM', P .. 'leases', token)
        else
            local text = 'host ' .. lease.host .. ' stopped renewing its lease'
            lease_end(lease, lease.upto)
            lose(lease, text)
            settle(lease.job, text)
            reaped = reaped + 1
        end
    end
    local first = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
    return {reaped = reaped, next_ms = first[2] and math.max(0, tonumber(first[2]) - time) or -1}
end

--- ddq_beat {host, boot, pid, version, workers[], models{}, references[], root, drain, ttl_ms} -> {} or status taken
--- A daemon says that it lives. Another one alive under the same host name is refused.
function F.beat(a)
    local host, boot = name_arg(a, 'host'), text_arg(a, 'boot', nil, 100)
    local ttl, time, key = number_arg(a, 'ttl_ms', 1000, DAY_MS, 15000), now(), P .. 'host:' .. host
    local pid = number_arg(a, 'pid', 0, 2 ^ 31, 0)
    local old_boot, old_pid, old_ttl = unpack(call('HMGET', key, 'boot', 'pid', 'ttl_ms'))
    local seen = tonumber(call('ZSCORE', P .. 'hosts', host) or '')
    if old_boot and old_boot ~= boot and seen and time - seen <= tonumber(old_ttl) then
        return {status = 'taken', text = 'host ' .. host .. ' is already served by ddqd pid ' .. old_pid .. ', seen ' .. math.floor((time - seen) / 1000)
            .. ' s ago; stop that one or give this one another name (--host)'}
    end
    if a.gone == true then
        call('DEL', key)
        call('ZREM', P .. 'hosts', host)
        call('HDEL', P .. 'workers', host)
        return {}
    end
    call('HSET', key, 'boot', boot, 'pid', int(pid), 'ttl_ms', int(ttl), 'about', text_arg(a, 'about', '^{', 1000000, true) or cjson.encode(a))
    call('ZADD', P .. 'hosts', time, host)
    call('HSET', P .. 'workers', host, a.drain == true and 0 or #list_arg(a, 'workers'))
    for _, old in ipairs(call('ZRANGEBYSCORE', P .. 'hosts', '-inf', time - DAY_MS, 'LIMIT', 0, 100)) do
        call('DEL', P .. 'host:' .. old)
        call('ZREM', P .. 'hosts', old)
        call('HDEL', P .. 'workers', old)
    end
    return {}
end

--- ddq_log {job, lines: [{level, text}]} -> {}: log lines of a job, kept (the last 2,000) and sent to its live channel
function F.log(a)
    local id = text_arg(a, 'job', ID, 26)
    if call('EXISTS', job_key(id)) == 0 then refuse('not_found', 'job ' .. id .. ' not found') end
    for _, line in ipairs(list_arg(a, 'lines')) do
        local level, text = text_arg(line, 'level', '^%a+$', 10), text_arg(line, 'text', nil, 5000)
        call('XADD', job_key(id) .. ':log', 'MAXLEN', '~', LOG_LINES, '*', 'level', level, 'text', text)
        call('PUBLISH', job_key(id) .. ':live', encode({job = id, level = level, text = text}))
    end
    return {}
end

--- ddq_check {} -> {version, time_ms}: which library this is. Server settings are read by INFO and CONFIG, which functions may not call.
function F.check() return {version = SCHEMA, time_ms = now()} end

-- While a library loads, Redis shows it no functions but redis.register_function: hence the plain loop.
local NAMES = {'submit', 'cancel', 'hold', 'release', 'list', 'show', 'events', 'logs', 'hosts',
    'claim', 'renew', 'finish', 'giveback', 'fail', 'reap', 'beat', 'log', 'check'}
for i = 1, #NAMES do
    local name, body = NAMES[i], F[NAMES[i]]
    redis.register_function('ddq_' .. name, function(keys, args)
        local good, a = pcall(cjson.decode, args[1] or '{}')
        if #keys ~= 1 or keys[1] ~= '{ddq}' or not good or type(a) ~= 'table' then
            return encode({status = 'usage', text = 'ddq_' .. name .. ' takes the key {ddq} and one JSON object'})
        end
        local ok, answer = pcall(body, a)
        if not ok then
            if type(answer) == 'table' and answer.refusal then return encode({status = answer.status, text = answer.text}) end
            error(answer)
        end
        answer.status = answer.status or 'ok'
        return encode(answer)
    end)
end
