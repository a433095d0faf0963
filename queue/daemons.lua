-- ---- renew, finish, giveback, fail -----------------------------------------------------------------------------------

-- What a lease's worker should do. A window that has closed and an interactive job that waits make it yield.
local function verdict(lease)
    local state, at, window = job_get(lease.job, 'state', 'at', 'window')
    if FINAL[state] then return 'cancel' end
    local yields = state == 'held' or lease.yield ~= '' or
        (window and lease.phase == 'images' and closed_ms(at, window, now()) > 0)
    return yields and 'yield' or 'ok'
end

--- ddq_renew {lease_ms, leases: [{token, upto, rate?, stage?, pid?}]} -> {leases: {TOKEN: ok | lost | cancel | yield}}
--- Extends deadlines; an expired lease that was not claimed again becomes valid. upto: the first index that is
--- not safely on disk; rate: images per second. lost: the range was reassigned; cancel: the job has ended; yield:
--- stop after this batch and return the rest, because the job is held or outside its window, or an interactive job
--- waits.
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
            verdicts[item.token] = verdict(lease)
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
        local text = 'token ' .. token .. ' is no longer a lease: it expired and its range was reassigned'
        return nil, {status = 'stale', text = text}
    end
    drop(lease, upto, used_ms == ELAPSED and now() - lease.since or used_ms)
    call('ZADD', P .. 'fin', now(), token)
    return lease
end

local function put_rest(lease)
    put_range(lease.job, lease.upto, lease.hi, lease.upto == lease.lo and lease.blame or nil)
end

--- ddq_finish {token, upto, ms, fid?, metrics{}?, images?, peak_mib?, files{}?}
---   -> {job, state}, or status already or stale
--- Ends a lease whose range is done up to `upto`; the rest of it becomes pending again. ms: time spent on it,
--- without loading models. The survey's finish reports the number of images; the report's completes the job.
--- metrics: numbers by name, stored unchanged. peak_mib: the worker's peak memory on its device.
function F.finish(a)
    local ms, images = amount_arg(a, 'ms'), number_arg(a, 'images', 1, 1e9, 0)
    local fid, metrics, files = amount_arg(a, 'fid'), figures_arg(a, 'metrics', 100), files_arg(a, 'files')
    local lease, answer = close(a, ms)
    if not lease then return answer end
    local id = lease.job
    local whole = lease.phase == 'report' and a.upto >= lease.hi
    local surveyed = lease.phase == 'survey' and a.upto >= lease.hi and images > 0
    local made = surveyed and 1 or whole and tonumber((job_get(id, 'images'))) or lease.upto - lease.lo
    if ms and made > 0 then
        learn(lease.speed, ms / made)
        if lease.phase == 'images' then job_set(id, 'rate', 1000 * made / math.max(ms, 0.001)) end
    end
    if lease.memory ~= '' and (amount_arg(a, 'peak_mib') or 0) > 0 then learn_memory(lease.memory, a.peak_mib) end
    if fid then job_set(id, 'fid', fid) end
    if metrics then job_set(id, 'metrics', metrics) end
    if files then job_set(id, 'files', files) end
    if whole and not FINAL[job_get(id, 'state')] then return {job = id, state = apply(id, 'complete')} end
    if surveyed then open_images(id, images) else put_rest(lease) end
    return {job = id, state = settle(id)}
end

--- ddq_giveback {token, upto, ms?} -> as finish
--- Ends a lease of a worker that yields or drains, or of a claim that arrived too late: the rest of the range
--- becomes pending again, and no loss is counted.
function F.giveback(a)
    local lease, answer = close(a, amount_arg(a, 'ms'))
    if not lease then return answer end
    put_rest(lease)
    return {job = lease.job, state = settle(lease.job, 'its worker gave the range back; waits for a free one')}
end

local POLICIES = {fail = true, retry = true, hold = true}

--- ddq_fail {token, upto, kind, policy, text, crash?} -> {job, state, again}, or status already or stale
--- Ends a lease with a failure. policy fail: the job cannot succeed; hold: a person must act first; retry: try
--- again. crash: the worker died, so the text is not its own. A range that is lost by three crashes without
--- progress is split; an image that crashes its worker three times alone is given up. Five errors without progress
--- fail the job. again: the range will be tried again.
function F.fail(a)
    local policy, kind = text_arg(a, 'policy', WORD), text_arg(a, 'kind', WORD, true) or 'internal'
    local text = sentence_arg(a, 'text', 2000, 'failed (' .. kind .. ') without an error text')
    if not POLICIES[policy] then refuse('usage', 'policy is ' .. shown(policy) .. ', wanted fail, retry or hold') end
    local lease, answer = close(a, ELAPSED)
    if not lease then return answer end
    local id = lease.job
    if policy == 'retry' then
        local again = lose(lease, a.crash == true and 'crash' or 'error', text)
        return {job = id, state = settle(id, text), again = again}
    end
    job_add(id, 'errors', 1)
    job_set(id, 'error', text)
    put_rest(lease)
    local state = job_get(id, 'state')
    if not FINAL[state] and TRANSITIONS[state][policy] then apply(id, policy, text) end
    return {job = id, state = settle(id), again = policy == 'hold'}
end

-- ---- reap, heartbeat, log, check -------------------------------------------------------------------------------------

-- The text of a section of INFO; empty where the server does not allow it.
local function info(section)
    local text = redis.pcall('INFO', section)
    return type(text) == 'string' and text or ''
end

local function run_id() return info('server'):match('run_id:(%w+)') or '' end

-- After an outage of Redis every lease has expired, though its worker may be alive: all get one more period.
local function spare_after_restart(time)
    local id = run_id()
    if call('HGET', P .. 'meta', 'run_id') == id then return end
    call('HSET', P .. 'meta', 'run_id', id)
    for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', time, 'LIMIT', 0, 10000)) do
        call('ZADD', P .. 'leases', time + tonumber(call('HGET', lease_key(token), 'period') or 0), token)
    end
end

-- Removes what is no longer needed: tokens after a day, hosts after a day without heartbeats, ended jobs after meta's
-- retain_days. Their folders remain, and their names are not used again.
local function forget(time)
    call('ZREMRANGEBYSCORE', P .. 'fin', '-inf', time - DAY_MS)
    for day = 2, 9 do call('DEL', made_key(time - day * DAY_MS)) end
    for _, host in ipairs(call('ZRANGEBYSCORE', P .. 'hosts', '-inf', time - DAY_MS, 'LIMIT', 0, MAX_REAP)) do
        call('DEL', P .. 'host:' .. host)
        call('ZREM', P .. 'hosts', host)
    end
    local days = tonumber(call('HGET', P .. 'meta', 'retain_days') or 90)
    for _, id in ipairs(call('ZRANGE', P .. 'jobs', 0, 9)) do -- the oldest
        local user, finished, group, state = job_get(id, 'user', 'finished', 'group', 'state')
        if not finished or tonumber(finished) > time - days * DAY_MS then break end
        if call('SCARD', job_key(id, 'leases')) == 0 then
            call('DEL', job_key(id), job_key(id, 'log'), job_key(id, 'bad'), job_key(id, 'leases'), job_key(id, 'kids'))
            if group then leave(id, user, group, state) end
            call('HDEL', P .. 'rows', id)
            call('ZREM', P .. 'jobs', id)
            call('ZREM', P .. 'jobs:' .. user, id)
            call('ZREM', P .. 'ids', id)
            call('SREM', P .. 'ended', id)
        end
    end
end

-- Workers of hosts without heartbeats do not count when a job's tail is shared out.
local function count_workers(time)
    for _, host in ipairs(call('HKEYS', P .. 'workers')) do
        local ttl, seen = call('HGET', P .. 'host:' .. host, 'ttl_ms'), call('ZSCORE', P .. 'hosts', host)
        if not ttl or not seen or time - tonumber(seen) > tonumber(ttl) then call('HDEL', P .. 'workers', host) end
    end
end

--- ddq_reap {} -> {reaped, next_ms}
--- Makes ranges of expired leases pending again; every daemon calls it regularly. What was on disk counts. At most
--- 100 per call; next_ms: when the next lease expires, -1 if there is none. After a restart of Redis, leases that
--- expired meanwhile get one more period, so that live workers can renew them.
function F.reap()
    local time, reaped = now(), 0
    spare_after_restart(time)
    for _, token in ipairs(call('ZRANGEBYSCORE', P .. 'leases', '-inf', time, 'LIMIT', 0, MAX_REAP)) do
        local lease = lease_get(token)
        if lease then
            local text = 'worker ' .. lease.worker .. ' of host ' .. lease.host .. ' stopped sending heartbeats'
            drop(lease, lease.upto)
            lose(lease, 'silence', text)
            settle(lease.job, text .. '; waits for a free worker')
            reaped = reaped + 1
        else
            local user = call('HGET', lease_key(token), 'user')
            if user then call('HINCRBY', P .. 'busy', user, -1) end
            call('ZREM', P .. 'leases', token)
            call('DEL', lease_key(token))
        end
    end
    promote(time)
    count_workers(time)
    forget(time)
    forget_turns(time)
    preempt(time)
    local first = call('ZRANGE', P .. 'leases', 0, 0, 'WITHSCORES')
    return {reaped = reaped, next_ms = first[2] and math.max(0, tonumber(first[2]) - time) or -1}
end

-- The heartbeat of a host, kept as text; queue.c sends it as text so that empty lists stay lists.
local function about_arg(a)
    local about = given(a, 'about')
    if type(about) == 'string' and about:match('^{"') then
        about = as_utf8(about)
    else
        a.about = nil
        for _, name in ipairs({'workers', 'references'}) do a[name] = list(list_arg(a, name, 1000)) end
        about = encode(a)
    end
    if #about > 1000000 or not is_object(about) then
        refuse('usage', 'the heartbeat is ' .. shown(about) .. ', wanted a JSON object of at most 1000000 characters, ' ..
            'nested at most 32 deep')
    end
    return about
end

--- ddq_beat {host, boot, pid, version, workers[], models{}, references[], offers[]?, files{}?, looks?, looked_ms?, root, drain,
---     ttl_ms, gone?}
---   -> {drains{}}, or status taken
--- A daemon's heartbeat, with what it offers; gone: true unregisters it. workers: [{name, device, uuid, state, pid,
--- job, memory_mib, free_mib, ...}]. boot identifies the daemon: another live one with the same host name is
--- refused. drains: as in ddq_hosts; the daemon drains those workers and resumes the others. offers: what its claims
--- offer; files: {OFFER: {field: hash}}, as of looked_ms ago; looks: false if an answer to ddq_look would take long.
--- A host that sends no offers is of an earlier version: nothing is known of its files.
function F.beat(a) -- the name stays: daemons of several versions share one Redis
    local host, boot = text_arg(a, 'host', NAME), text_arg(a, 'boot', LABEL)
    local ttl, pid = number_arg(a, 'ttl_ms', 100, DAY_MS, 15000), number_arg(a, 'pid', 0, 2 ^ 31, 0)
    local time, key = now(), P .. 'host:' .. host
    local workers, offers = list_arg(a, 'workers', 1000), {}
    for _, name in ipairs(labels_arg(a, 'references', 1000)) do offers[#offers + 1] = 'reference:' .. name end
    for name in pairs(type(a.models) == 'table' and a.models or {}) do offers[#offers + 1] = 'model:' .. name end
    local tells = given(a, 'offers') ~= nil
    if tells then offers = labels_arg(a, 'offers', 4000) end
    local looked, files = amount_arg(a, 'looked_ms'), given(a, 'files')
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
        'files', type(files) == 'table' and cjson.encode(files) or '{}', 'looked', looked and int(time - looked) or 0,
        'about', about_arg(a))
    if tells then call('HSET', key, 'tells', a.looks == false and 0 or 1) else call('HDEL', key, 'tells') end
    call('ZADD', P .. 'hosts', time, host)
    local drains, able = drains_of(host), 0
    for i = 1, #workers do
        local name = type(workers[i]) == 'table' and workers[i].name
        if a.drain ~= true and not drains['*'] and not drains[name] then able = able + 1 end
    end
    call('HSET', P .. 'workers', host, able)
    return {drains = drains}
end

--- ddq_log {job, lines[]} -> {}
--- Appends log lines of a job, texts or {level, text}; the last 2,000 are kept. Each is published on the job's live
--- channel as {"type":"log","job","level","text"}.
function F.log(a)
    local id, lines = job_arg(a, 'job'), list_arg(a, 'lines', 1000)
    for i = 1, #lines do
        local line = type(lines[i]) == 'table' and lines[i] or {text = lines[i]}
        local level, text = sentence_arg(line, 'level', 10, 'info'), sentence_arg(line, 'text', 4000, '')
        call('XADD', job_key(id, 'log'), 'MAXLEN', '~', LOG_LINES, '*', 'level', level, 'text', text)
        hint(job_key(id, 'live'), encode({type = 'log', job = id, level = level, text = text}))
    end
    return {}
end

-- May the caller publish and receive hints?
local function hints_allowed()
    local known, allowed = pcall(function()
        return redis.acl_check_cmd('PUBLISH', P .. 'wake', '') and redis.acl_check_cmd('SUBSCRIBE', P .. 'wake')
    end)
    return known and allowed
end

--- ddq_check {} -> {version, schema, born, time_ms, redis_version, appendonly, maxmemory_policy, hints}
--- The library's version and the server's configuration. schema: version of the data (0: no data yet); born: when
--- the data began (0: no data yet), from which a daemon detects that Redis came back empty. A function may not call
--- CONFIG, so callers ask for appendfsync separately. hints: whether the caller may publish and subscribe.
function F.check()
    return {version = SCHEMA, schema = tonumber(call('HGET', P .. 'meta', 'schema') or 0), time_ms = now(),
        born = tonumber(call('HGET', P .. 'meta', 'born') or 0),
        redis_version = redis.REDIS_VERSION, appendonly = info('persistence'):match('aof_enabled:1') ~= nil,
        maxmemory_policy = info('memory'):match('maxmemory_policy:([%w-]+)'), hints = hints_allowed()}
end

-- ---- the entry point ------------------------------------------------------------------------------------------------

-- READ changes nothing, so it may run on a replica. END frees more than it takes, so it runs in a Redis that is full too.
local READ, WRITE, END = {'no-writes'}, {}, {'allow-oom'}
-- The third column is the argument that names the caller.
local NAMES = {
    {'submit', WRITE, 'user'}, {'estimate', WRITE, 'user'}, {'cancel', END, 'user'}, {'hold', END, 'user'},
    {'release', WRITE, 'user'}, {'prio', WRITE, 'user'}, {'group', READ, 'user'}, {'group_cancel', END, 'user'},
    {'drain', WRITE, 'user'}, {'resume', END, 'user'},
    {'share', WRITE, 'by'}, {'quota', WRITE, 'by'}, {'settings', WRITE, 'by'}, {'adopt', WRITE, 'by'},
    {'why', READ}, {'groups', READ}, {'list', READ}, {'show', READ}, {'events', READ}, {'logs', READ}, {'hosts', READ}, {'look', WRITE},
    {'check', READ},
    {'claim', WRITE}, {'renew', END}, {'finish', END}, {'giveback', END}, {'fail', END}, {'reap', END},
    {'beat', WRITE}, {'log', WRITE},
}

-- A call through the gate of a daemon has two more arguments, which the client cannot write: the caller's name and
-- "admin" or "user". The name replaces whatever the arguments say; an administrator may act for a user, who is in `as`.
local function as_caller(a, field, caller, rights)
    if not caller then return end
    memo.rights = rights == 'admin' and 'admin' or 'user'
    local acts_for = text_arg(a, 'as', NAME, true)
    if acts_for and acts_for ~= caller and memo.rights ~= 'admin' then
        refuse('permission', caller .. ' may not act for ' .. acts_for .. '; only administrators may')
    end
    if field then a[field] = acts_for or caller end
end

local function schema_ready(flags)
    local schema = tonumber(call('HGET', P .. 'meta', 'schema') or nil)
    if schema and schema > SCHEMA then
        refuse('refused', 'this Redis holds the queue of a newer ddq (schema ' .. schema .. ', this one is ' .. SCHEMA ..
            '); update ddq here')
    end
    if schema and schema < SCHEMA and flags ~= READ then upgrade() end
    if not schema and flags ~= READ then
        call('HSET', P .. 'meta', 'schema', SCHEMA, 'run_id', run_id(), 'born', int(now()))
    end
end

for i = 1, #NAMES do -- pairs() is not available while a library loads
    local name, flags, caller_field = NAMES[i][1], NAMES[i][2], NAMES[i][3]
    redis.register_function({function_name = 'ddq_' .. name, flags = flags, callback = function(keys, args)
        local a = decode(args[1] and args[1] ~= '' and args[1] or '{}')
        if #keys ~= 1 or keys[1] ~= '{ddq}' or type(a) ~= 'table' then
            return encode({status = 'usage', text = 'ddq_' .. name .. ' takes the key {ddq} and one JSON object'})
        end
        urgent, memo, touched = false, {}, {}
        local ok, answer = pcall(function()
            as_caller(a, caller_field, args[2], args[3])
            a.as = nil
            schema_ready(flags)
            local answer = F[name](a)
            if flags ~= READ then tell_kids() end
            if urgent then preempt(now()) end
            keep_rows()
            return answer
        end)
        if not ok then
            if type(answer) ~= 'table' or not answer.refusal then error(answer) end -- a fault of the library or of Redis
            return encode({status = answer.status, text = answer.text})
        end
        answer.status = answer.status or 'ok'
        return encode(answer)
    end})
end
