-- ---- fair share: virtual time is ms of work / weight ------------------------------------------------------------------
-- users: zset of those with runnable jobs by virtual time; vtime keeps the others'. floor is where service has got to: a
-- user who comes back starts there, without credit for the time away.
--
-- A lane is what decides whether a worker can take a job: what it needs and the device it wishes. A user's runnable jobs
-- stand in one zset a lane (queue:USER:LANE, by own priority, then order of arrival), and queue:USER orders the lanes by
-- their first job. So a claim looks at heads alone, and jobs that nobody can run never hide those behind them.

local function weight_of(user) return tonumber(call('HGET', P .. 'weights', user) or 1) end

local function charge(user, ms)
    if ms == 0 then return end
    local step = ms / weight_of(user)
    if call('ZSCORE', P .. 'users', user) then call('ZINCRBY', P .. 'users', step, user)
    else call('HINCRBYFLOAT', P .. 'vtime', user, step) end
end

local function order_of(priority, seq) return -priority * 2 ^ 40 + seq end

function place(id)
    local user, state, priority, seq, lane = job_get(id, 'user', 'state', 'priority', 'seq', 'lane')
    local lanes = P .. 'queue:' .. user
    local queue = lanes .. ':' .. lane
    if (state == 'queued' or state == 'running') and call('EXISTS', job_key(id, 'ranges')) == 1 then
        local new = call('ZADD', queue, order_of(tonumber(priority), tonumber(seq)), id)
        if new == 1 then call('PUBLISH', P .. 'wake', id) end -- who is idle has looked at the others already
    else
        call('ZREM', queue, id)
    end
    local first = call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    if first[1] then
        call('ZADD', lanes, first[2], lane)
        if not call('ZSCORE', P .. 'users', user) then
            local floor, own = call('GET', P .. 'floor') or 0, call('HGET', P .. 'vtime', user) or 0
            call('ZADD', P .. 'users', math.max(tonumber(floor), tonumber(own)), user)
        end
        return
    end
    call('ZREM', lanes, lane)
    local own = call('EXISTS', lanes) == 0 and call('ZSCORE', P .. 'users', user)
    if own then
        call('HSET', P .. 'vtime', user, own)
        call('ZREM', P .. 'users', user)
    end
end

-- The name of a lane; its hash says what it stands for.
local function lane_of(needs, device)
    table.sort(needs)
    local text = table.concat(needs, ' ')
    local lane = redis.sha1hex(text .. '\n' .. device):sub(1, 16)
    call('HSET', P .. 'lane:' .. lane, 'needs', text, 'device', device)
    return lane
end

-- The first need that the set does not offer, or nil.
local function lacks(needs, offers)
    for need in needs:gmatch('%S+') do
        if not offers[need] then return need end
    end
end

-- Jobs of one pace take the same time an image on one device; its speed is learnt from what ran.
local PACE_FIELDS = {'t_list', 'split_t', 'teacher_start_t', 'cfg_scale', 'precision', 'pipeline'}
local function pace_of(kind, model, spec)
    local words = {kind, model}
    for i = 1, #PACE_FIELDS do
        local value = spec[PACE_FIELDS[i]]
        words[#words + 1] = value ~= nil and value ~= cjson.null and cjson.encode(value) or '-'
    end
    return table.concat(words, ' '):sub(1, 300)
end

local function learn(speed, ms)
    local old = tonumber(call('HGET', P .. 'speed', speed) or nil)
    if not old and call('HLEN', P .. 'speed') >= SPEEDS then
        call('HDEL', P .. 'speed', call('HRANDFIELD', P .. 'speed'))
    end
    call('HSET', P .. 'speed', speed, old and old * 0.7 + ms * 0.3 or ms)
end
