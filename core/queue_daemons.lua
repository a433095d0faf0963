-- ---- claim -----------------------------------------------------------------------------------------------------------

local function fits(lane, claim)
    if claim.fits[lane] == nil then
        local needs, wish = unpack(call('HMGET', P .. 'lane:' .. lane, 'needs', 'device'))
        claim.fits[lane] = not lacks(needs, claim.offers) and (wish == 'any' or wish == claim.device or wish == claim.uuid)
    end
    return claim.fits[lane]
end

-- A user's first job that this worker can do.
local function head_of(user, claim)
    local lanes = P .. 'queue:' .. user
    for _, lane in ipairs(call('ZRANGE', lanes, 0, MAX_LANES - 1)) do
        if fits(lane, claim) then return call('ZRANGE', lanes .. ':' .. lane, 0, 0)[1] end
    end
end

-- The fairest user's first job, or within the slack one whose model is warm. Answers it with its user's virtual time and
-- the fairest one's.
local function choose(claim)
    local users = call('ZRANGE', P .. 'users', 0, MAX_USERS - 1, 'WITHSCORES')
    local first, first_vtime
    for i = 1, #users, 2 do
        local vtime = tonumber(users[i + 1])
        if first and vtime > first_vtime + SLACK_MS then break end
        local id = head_of(users[i], claim)
        if id then
            if not next(claim.warm) or claim.warm[job_get(id, 'model')] then return id, vtime, first_vtime or vtime end
            if not first then first, first_vtime = id, vtime end
        end
    end
    return first, first_vtime, first_vtime
end

-- How many images make a chunk: chunk_ms at the measured speed, less near the job's end so that all workers end together.
local function chunk(id, ms, chunk_ms)
    local want, workers = ms and math.max(1, math.floor(chunk_ms / math.max(ms, 0.001))) or FIRST_CHUNK, 0
    for _, count in ipairs(call('HVALS', P .. 'workers')) do workers = workers + tonumber(count) end
    if workers < 2 then return want end
    local images, done = job_get(id, 'images', 'done')
    local share = math.ceil((tonumber(images) - tonumber(done)) / (2 * workers))
    return math.min(want, math.max(share, math.ceil(want / 8)))
end

local function claim_answer(lease, again)
    local user, kind, images, spec, folder = job_get(lease.job, 'user', 'kind', 'images', 'spec', 'folder')
    return {token = lease.token, job = lease.job, user = user, kind = kind, phase = lease.phase, lo = lease.upto,
        hi = lease.hi, n = tonumber(images), spec = raw(spec), folder = folder, again = again}
end

-- A job whose keys somebody removed by hand must not stop the others: it leaves the queue it stands in.
local function mend(id)
    for _, user in ipairs(call('ZRANGE', P .. 'users', 0, MAX_USERS - 1)) do
        for _, lane in ipairs(call('ZRANGE', P .. 'queue:' .. user, 0, MAX_LANES - 1)) do
            local queue = P .. 'queue:' .. user .. ':' .. lane
            call('ZREM', queue, id)
            if call('EXISTS', queue) == 0 then call('ZREM', P .. 'queue:' .. user, lane) end
        end
        if call('EXISTS', P .. 'queue:' .. user) == 0 then call('ZREM', P .. 'users', user) end
    end
    return {status = 'empty', text = 'job ' .. id .. ' stood in the queue and has no work; somebody removed keys by hand'}
end

-- The lease this worker already has: a claim is repeated when its answer was lost.
local function lease_of_slot(slot, deadline)
    local token = call('HGET', P .. 'slots', slot)
    local lease = token and lease_get(token)
    if not lease then return nil end
    call('ZADD', P .. 'leases', deadline, token)
    return lease
end

-- Writes the lease on a part of the job, and charges its user now: who claims much at once waits longer for the next.
local function take(id, claim, start)
    local user, model, images, pace = job_get(id, 'user', 'model', 'images', 'pace')
    images = tonumber(images)
    local report = call('ZSCORE', job_key(id, 'ranges'), range_member(images, images + 1)) and true
    local speed = (report and 'report ' or '') .. pace .. ' on ' .. (claim.uuid or claim.host .. ' ' .. claim.device)
    local ms = tonumber(call('HGET', P .. 'speed', speed) or nil)
    local lo, hi, blame = take_range(id, report and 1 or chunk(id, ms, claim.chunk_ms))
    local cost = ms and ms * (report and math.max(1, images) or hi - lo) or claim.chunk_ms
    local token = new_token(claim.time)
    call('HSET', lease_key(token), 'job', id, 'phase', report and 'report' or 'images', 'lo', int(lo), 'hi', int(hi),
        'upto', int(lo), 'host', claim.host, 'worker', claim.worker, 'device', claim.uuid or claim.device,
        'pid', int(claim.pid), 'speed', speed, 'charged', cost, 'blame', blame or '',
        'since', int(claim.time), 'period', int(claim.deadline - claim.time))
    call('ZADD', P .. 'leases', claim.deadline, token)
    call('SADD', job_key(id, 'leases'), token)
    call('HSET', P .. 'slots', claim.slot, token)
    if claim.root then call('HSETNX', job_key(id), 'root', claim.root) end
    call('ZADD', P .. 'users', start, user)
    charge(user, cost)
    apply(id, 'claim')
    place(id)
    return lease_get(token)
end

--- ddq_claim {host, worker, pid, device, uuid?, root, lease_ms, chunk_ms, offers[], warm[]}
---   -> {token, job, user, kind, phase, lo, hi, n, spec{}, folder, again}, or status empty
--- Takes a range for an idle worker. offers: what this host can do ("model:digits", "reference:digits", "inception");
--- warm: names of models in memory; device cpu or cuda, with the GPU's uuid. phase images: make images lo..hi-1; report:
--- all else. A worker has one lease: if it has one already, its answer was lost, and it gets what is left of that again
--- (again: true).
function F.claim(a)
    local time = now()
    local claim = {time = time, fits = {},
        host = text_arg(a, 'host', NAME), worker = text_arg(a, 'worker', LABEL), pid = number_arg(a, 'pid', 0, 2 ^ 31, 0),
        device = text_arg(a, 'device', LABEL), uuid = text_arg(a, 'uuid', LABEL, true),
        root = text_arg(a, 'root', PATH, true), chunk_ms = number_arg(a, 'chunk_ms', 1, DAY_MS, 30000),
        deadline = time + number_arg(a, 'lease_ms', 100, DAY_MS, 15000),
        offers = set_of(labels_arg(a, 'offers', 1000)), warm = set_of(labels_arg(a, 'warm', 1000))}
    claim.slot = claim.host .. ' ' .. claim.worker
    promote(time)
    local held = lease_of_slot(claim.slot, claim.deadline)
    if held then return claim_answer(held, true) end
    local id, vtime, fair = choose(claim)
    if not id then return {status = 'empty'} end
    if not job_get(id, 'state') or call('EXISTS', job_key(id, 'ranges')) == 0 then return mend(id) end
    local floor = tonumber(call('GET', P .. 'floor') or 0)
    if fair > floor then call('SET', P .. 'floor', fair) end
    return claim_answer(take(id, claim, math.max(vtime, floor - CREDIT_MS)), false)
end

-- ---- renew, finish, giveback, fail -----------------------------------------------------------------------------------

--- ddq_renew {lease_ms, leases: [{token, upto, rate?, stage?, pid?}]} -> {leases: {TOKEN: ok | lost | cancel | yield}}
--- Moves deadlines; a lease that ran out but that nobody took lives on. upto: the first index not safely on disk; rate:
--- images a second. lost: the range is somebody else's; cancel: the job is over; yield: stop at the next batch and give
--- back.
function F.renew(a)
    local deadline, verdicts, items = now() + number_arg(a, 'lease_ms', 100, DAY_MS, 15000), {}, list_arg(a, 'leases', 1000)
    for i = 1, #items do
        if type(items[i]) ~= 'table' then
            refuse('usage', 'leases ' .. i .. ' is ' .. shown(items[i]) .. ', wanted an object')
        end
        text_arg(items[i], 'token', TOKEN)
        number_arg(items[i], 'upto', 0, 2 ^ 40, 0)
    end
    for i = 1, #items do
        local item = items[i]
        local lease = lease_get(item.token)
        if not lease then
            verdicts[item.token] = 'lost'
        else
            local pid = amount_arg(item, 'pid')
            call('HSET', lease_key(item.token), 'rate', amount_arg(item, 'rate') or lease.rate,
                'stage', sentence_arg(item, 'stage', 60, ''), 'pid', int(pid or lease.pid))
            credit(lease, given(item, 'upto') or 0)
            call('ZADD', P .. 'leases', deadline, item.token)
            local state = job_get(lease.job, 'state')
            verdicts[item.token] = FINAL[state] and 'cancel' or state == 'held' and 'yield' or 'ok'
        end
    end
    return {leases = verdicts}
end

-- Ends the lease of a token. A token that was ended before answers "already", one that was taken away "stale".
local ELAPSED = 'elapsed'
local function close(a, used_ms)
    local token, upto = text_arg(a, 'token', TOKEN), number_arg(a, 'upto', 0, 2 ^ 40)
    local lease = lease_get(token)
    if not lease then
        if call('ZSCORE', P .. 'fin', token) then
            return nil, {status = 'already', text = 'token ' .. token .. ' was finished before'}
        end
        local text = 'token ' .. token .. ' is no lease any more: it ran out and its range went elsewhere'
        return nil, {status = 'stale', text = text}
    end
    drop(lease, upto, used_ms == ELAPSED and now() - lease.since or used_ms)
    call('ZADD', P .. 'fin', now(), token)
    return lease
end

local function put_rest(lease)
    put_range(lease.job, lease.upto, lease.hi, lease.upto == lease.lo and lease.blame or nil)
end

--- ddq_finish {token, upto, ms, fid?} -> {job, state}, or status already or stale
--- The range is done up to `upto`; what is left of it goes back. ms: time spent on it, without loading models. The
--- report's finish completes the job.
function F.finish(a)
    local ms = amount_arg(a, 'ms')
    local lease, answer = close(a, ms)
    if not lease then return answer end
    local id, fid = lease.job, amount_arg(a, 'fid')
    local whole = lease.phase == 'report' and a.upto >= lease.hi
    local made = whole and math.max(1, tonumber((job_get(id, 'images')))) or lease.upto - lease.lo
    if ms and made > 0 then
        learn(lease.speed, ms / made)
        if lease.phase == 'images' then call('HSET', job_key(id), 'rate', 1000 * made / math.max(ms, 0.001)) end
    end
    if fid then call('HSET', job_key(id), 'fid', fid) end
    if whole and not FINAL[job_get(id, 'state')] then return {job = id, state = apply(id, 'complete')} end
    put_rest(lease)
    return {job = id, state = settle(id)}
end

--- ddq_giveback {token, upto, ms?} -> as finish
--- A worker that yields or drains, or a claim that came too late: the rest of the range goes back, nobody is blamed.
function F.giveback(a)
    local lease, answer = close(a, amount_arg(a, 'ms'))
    if not lease then return answer end
    put_rest(lease)
    return {job = lease.job, state = settle(lease.job, 'its worker gave the range back; waits for a free one')}
end

local POLICIES = {fail = true, retry = true, hold = true}

--- ddq_fail {token, upto, kind, policy, text} -> {job, state, again}, or status already or stale
--- policy fail: the job cannot succeed. hold: a person must act first. retry: once more; a range that fails three times
--- without progress is split, and an image that fails three times alone is given up. again: the range will be tried
--- again.
function F.fail(a)
    local policy, kind = text_arg(a, 'policy', WORD), text_arg(a, 'kind', WORD, true) or 'internal'
    local text = sentence_arg(a, 'text', 2000, 'failed (' .. kind .. ') and did not say why')
    if not POLICIES[policy] then refuse('usage', 'policy is ' .. shown(policy) .. ', wanted fail, retry or hold') end
    local lease, answer = close(a, ELAPSED)
    if not lease then return answer end
    local id = lease.job
    if policy == 'retry' then
        local again = lose(lease, BLAME.fail, text)
        return {job = id, state = settle(id, text), again = again}
    end
    call('HINCRBY', job_key(id), 'errors', 1)
    call('HSET', job_key(id), 'error', text)
    put_rest(lease)
    local state = job_get(id, 'state')
    if not FINAL[state] and TRANSITIONS[state][policy] then apply(id, policy, text) end
    return {job = id, state = settle(id), again = policy == 'hold'}
end

-- ---- reap, beat, log, check ------------------------------------------------------------------------------------------

local function run_id() return call('INFO', 'server'):match('run_id:(%w+)') end

-- After Redis was away every lease has run out, though its worker may well live: they all get one more period.
local function spare_after_restart(time)
    local id = run_id()
    if call('HGET', P .. 'meta', 'run_id') == id then return end
    call('HSET', P .. 'meta', 'run_id', id)
    for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', time, 'LIMIT', 0, 10000)) do
        call('ZADD', P .. 'leases', time + tonumber(call('HGET', lease_key(token), 'period') or 0), token)
    end
end

-- What nobody asks for any more: tokens after a day, hosts after a day's silence, ended jobs after meta's retain_days.
-- Their folders stay, and stay theirs.
local function forget(time)
    call('ZREMRANGEBYSCORE', P .. 'fin', '-inf', time - DAY_MS)
    for _, host in ipairs(call('ZRANGEBYSCORE', P .. 'hosts', '-inf', time - DAY_MS, 'LIMIT', 0, MAX_REAP)) do
        call('DEL', P .. 'host:' .. host)
        call('ZREM', P .. 'hosts', host)
    end
    local days = tonumber(call('HGET', P .. 'meta', 'retain_days') or 90)
    for _, id in ipairs(call('ZRANGE', P .. 'jobs', 0, 9)) do -- the oldest
        local user, finished = job_get(id, 'user', 'finished')
        if not finished or tonumber(finished) > time - days * DAY_MS then break end
        if call('SCARD', job_key(id, 'leases')) == 0 then
            call('DEL', job_key(id), job_key(id, 'log'), job_key(id, 'bad'), job_key(id, 'leases'), job_key(id, 'kids'))
            call('ZREM', P .. 'jobs', id)
            call('ZREM', P .. 'jobs:' .. user, id)
            call('ZREM', P .. 'ids', id)
            call('SREM', P .. 'ended', id)
        end
    end
end

-- Workers of hosts that fell silent do not count when a job's tail is shared out.
local function count_workers(time)
    for _, host in ipairs(call('HKEYS', P .. 'workers')) do
        local ttl, seen = call('HGET', P .. 'host:' .. host, 'ttl_ms'), call('ZSCORE', P .. 'hosts', host)
        if not ttl or not seen or time - tonumber(seen) > tonumber(ttl) then call('HDEL', P .. 'workers', host) end
    end
end

--- ddq_reap {} -> {reaped, next_ms}
--- Ranges whose leases ran out go back; every daemon calls it now and then. What was on disk counts. At most 100 a call;
--- next_ms says when the next lease runs out, -1 if there is none. After a restart of Redis the leases that ran out
--- meanwhile get one period more, so that those who live can renew them.
function F.reap()
    local time, reaped = now(), 0
    spare_after_restart(time)
    for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', time, 'LIMIT', 0, MAX_REAP)) do
        local lease = lease_get(token)
        if lease then
            local text = 'worker ' .. lease.worker .. ' of host ' .. lease.host .. ' fell silent'
            drop(lease, lease.upto)
            lose(lease, BLAME.silence, text)
            settle(lease.job, text .. '; waits for a free worker')
            reaped = reaped + 1
        else
            call('ZREM', P .. 'leases', token)
            call('DEL', lease_key(token))
        end
    end
    promote(time)
    count_workers(time)
    forget(time)
    local first = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
    return {reaped = reaped, next_ms = first[2] and math.max(0, tonumber(first[2]) - time) or -1}
end

-- What a host says of itself, kept as text; queue.c sends it as text so that empty lists stay lists.
local function about_arg(a)
    local about = given(a, 'about')
    local good, fields = pcall(cjson.decode, about)
    if good and type(fields) == 'table' and type(about) == 'string' and #about < 1000000 and about:match('^{"') then
        return about
    end
    a.about = nil
    for _, name in ipairs({'workers', 'references'}) do a[name] = list(a[name]) end
    return encode(a)
end

--- ddq_beat {host, boot, pid, version, workers[], models{}, references[], root, drain, ttl_ms, gone?}
---   -> {}, or status taken
--- A daemon says that it lives, and what it has; gone: true says good-bye. workers: [{name, device, uuid, state, pid, job,
--- ...}]. boot tells daemons apart: another one that is alive under the same host name is refused.
function F.beat(a)
    local host, boot = text_arg(a, 'host', NAME), text_arg(a, 'boot', LABEL)
    local ttl, pid = number_arg(a, 'ttl_ms', 100, DAY_MS, 15000), number_arg(a, 'pid', 0, 2 ^ 31, 0)
    local time, key = now(), P .. 'host:' .. host
    local workers, offers = list_arg(a, 'workers', 1000), {}
    for _, name in ipairs(labels_arg(a, 'references', 1000)) do offers[#offers + 1] = 'reference:' .. name end
    for name in pairs(type(a.models) == 'table' and a.models or {}) do offers[#offers + 1] = 'model:' .. name end
    local old_boot, old_pid, old_ttl = unpack(call('HMGET', key, 'boot', 'pid', 'ttl_ms'))
    local age = time - tonumber(call('ZSCORE', P .. 'hosts', host) or 0)
    if old_boot and old_boot ~= boot and age <= tonumber(old_ttl) then
        return {status = 'taken', text = 'host ' .. host .. ' is served by another ddqd, pid ' .. old_pid .. ', seen '
            .. math.floor(age / 1000) .. ' s ago; stop that one, or give this one another name (--host)'}
    end
    if a.gone == true then
        call('DEL', key)
        call('ZREM', P .. 'hosts', host)
        call('HDEL', P .. 'workers', host)
        return {}
    end
    call('HSET', key, 'boot', boot, 'pid', int(pid), 'ttl_ms', int(ttl), 'offers', table.concat(offers, ' '),
        'about', about_arg(a))
    call('ZADD', P .. 'hosts', time, host)
    call('HSET', P .. 'workers', host, a.drain == true and 0 or #workers)
    return {}
end

--- ddq_log {job, lines[]} -> {}
--- Log lines of a job, texts or {level, text}; the last 2,000 are kept. Each goes to the job's live channel as
--- {"type":"log","job","level","text"}.
function F.log(a)
    local id, lines = job_arg(a, 'job'), list_arg(a, 'lines', 1000)
    for i = 1, #lines do
        local line = type(lines[i]) == 'table' and lines[i] or {text = lines[i]}
        local level, text = sentence_arg(line, 'level', 10, 'info'), sentence_arg(line, 'text', 4000, '')
        call('XADD', job_key(id, 'log'), 'MAXLEN', '~', LOG_LINES, '*', 'level', level, 'text', text)
        call('PUBLISH', job_key(id, 'live'), encode({type = 'log', job = id, level = level, text = text}))
    end
    return {}
end

--- ddq_check {} -> {version, schema, time_ms, redis_version, appendonly, maxmemory_policy}
--- Which library this is and how its server is set; schema is the data's (0: no data yet). A function may not call
--- CONFIG, so whoever wants to know appendfsync asks for it beside this.
function F.check()
    return {version = SCHEMA, schema = tonumber(call('HGET', P .. 'meta', 'schema') or 0), time_ms = now(),
        redis_version = redis.REDIS_VERSION, appendonly = call('INFO', 'persistence'):match('aof_enabled:1') ~= nil,
        maxmemory_policy = call('INFO', 'memory'):match('maxmemory_policy:([%w-]+)')}
end

-- ---- the door --------------------------------------------------------------------------------------------------------

-- READ changes nothing, so it may run on a replica. END frees more than it takes, so it runs in a Redis that is full too.
local READ, WRITE, END = {'no-writes'}, {}, {'allow-oom'}
local NAMES = {
    {'submit', WRITE}, {'cancel', END}, {'hold', END}, {'release', WRITE}, {'prio', WRITE}, {'share', WRITE},
    {'list', READ}, {'show', READ}, {'events', READ}, {'logs', READ}, {'hosts', READ}, {'check', READ},
    {'claim', WRITE}, {'renew', END}, {'finish', END}, {'giveback', END}, {'fail', END}, {'reap', END},
    {'beat', WRITE}, {'log', WRITE},
}

local function schema_ready(flags)
    local schema = tonumber(call('HGET', P .. 'meta', 'schema') or nil)
    if schema and schema > SCHEMA then
        refuse('refused', 'this Redis holds the queue of a newer ddq (schema ' .. schema .. ', this one is ' .. SCHEMA ..
            '); update ddq here')
    end
    if not schema and flags ~= READ then call('HSET', P .. 'meta', 'schema', SCHEMA, 'run_id', run_id()) end
end

for i = 1, #NAMES do -- pairs() is not there yet while a library loads
    local name, flags = NAMES[i][1], NAMES[i][2]
    redis.register_function({function_name = 'ddq_' .. name, flags = flags, callback = function(keys, args)
        local good, a = pcall(cjson.decode, args[1] and args[1] ~= '' and args[1] or '{}')
        if #keys ~= 1 or keys[1] ~= '{ddq}' or not good or type(a) ~= 'table' then
            return encode({status = 'usage', text = 'ddq_' .. name .. ' takes the key {ddq} and one JSON object'})
        end
        local ok, answer = pcall(function()
            schema_ready(flags)
            local answer = F[name](a)
            if flags ~= READ then tell_kids() end
            return answer
        end)
        if not ok then
            if type(answer) ~= 'table' or not answer.refusal then error(answer) end -- a fault of ours or of Redis
            return encode({status = answer.status, text = answer.text})
        end
        answer.status = answer.status or 'ok'
        return encode(answer)
    end})
end
