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
    local last = call('ZSCORE', job_key(id, 'ranges'), range_member(images, images + 1))
    local phase = images == 0 and 'survey' or last and 'report' or 'images'
    local device = claim.uuid or claim.host .. ' ' .. claim.device
    local speed = (phase == 'images' and '' or phase .. ' ') .. pace .. ' on ' .. device
    local ms = tonumber(call('HGET', P .. 'speed', speed) or nil)
    local lo, hi, blame = take_range(id, phase == 'images' and chunk(id, ms, claim.chunk_ms) or 1)
    local cost = ms and ms * (phase == 'report' and images or hi - lo) or claim.chunk_ms
    local token = new_token(claim.time)
    call('HSET', lease_key(token), 'job', id, 'phase', phase, 'lo', int(lo), 'hi', int(hi),
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
--- warm: names of models in memory; device cpu or cuda, with the GPU's uuid. phase survey: say how many images there are;
--- images: make or measure images lo..hi-1; report: all else. A worker has one lease: if it has one already, its answer was
--- lost, and it gets what is left of that again (again: true).
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
