-- ---- may this worker take this job? ----------------------------------------------------------------------------------
-- One walk for claims and for ddq_why: `consider` returns nil, or a reason {code, numbers...}. A worker is {host, name,
-- device, uuid, offers{}, warm{}, free (MiB, may be nil), time, quotas} and values that are cached during the walk.

function worker_ready(worker, time, quotas)
    worker.time, worker.quotas, worker.lanes, worker.loads, worker.warm_lanes, worker.users = time, quotas, {}, {}, {}, {}
    return worker
end

local function lane_refuses(lane, worker)
    local known = worker.lanes[lane]
    if known == nil then
        local needs, wish, model, load = unpack(call('HMGET', P .. 'lane:' .. lane, 'needs', 'device', 'model', 'load'))
        local lack = lacks(needs or '', worker.offers)
        known = false
        worker.loads[lane], worker.warm_lanes[lane] = (load or '') .. ' on ' .. worker.device, worker.warm[model] or false
        local need = worker.free and tonumber(call('HGET', P .. 'memory', worker.loads[lane]) or nil)
        if lack then
            known = {code = 'offer', lack = lack}
        elseif wish ~= 'any' and wish ~= worker.device and wish ~= worker.uuid then
            known = {code = 'device', wish = wish}
        elseif need and need > worker.free then
            known = {code = 'memory', need = need, free = worker.free}
        end
        worker.lanes[lane] = known
    end
    return known or nil
end

local function user_refuses(user, worker)
    local known = worker.users[user]
    if known == nil then
        local most = quota(worker.quotas, user, 'workers')
        local busy = most and tonumber(call('HGET', P .. 'busy', user) or 0)
        known = most and busy >= most and {code = 'workers', busy = busy, most = most} or false
        worker.users[user] = known
    end
    return known or nil
end

local function job_refuses(id, user, worker)
    local at, window, most, report, kind = job_get(id, 'at', 'window', 'max_gpus', 'report', 'kind')
    if at or window then
        local wait = closed_ms(at, window, worker.time)
        if wait > 0 then return {code = 'closed', wait = wait, window = window} end
    end
    if most then
        local busy = call('SCARD', job_key(id, 'leases'))
        if busy >= tonumber(most) then return {code = 'max_gpus', busy = busy, most = tonumber(most)} end
    end
    most = counted(kind) and report == '0' and quota(worker.quotas, user, 'day')
    if most then
        local made = tonumber(call('HGET', made_key(worker.time), user) or 0)
        if made >= most then return {code = 'day', made = made, most = most} end
    end
end

function refuses_anywhere(job, worker)
    return user_refuses(job.user, worker) or job_refuses(job.id, job.user, worker)
end
function consider(job, worker)
    if worker.drained then return {code = 'drained', why = worker.drained} end
    return lane_refuses(job.lane, worker) or refuses_anywhere(job, worker)
end

-- ---- claim: who is next ----------------------------------------------------------------------------------------------

-- The first job of a lane that may run. Jobs whose window has closed are removed from the queue, a bounded number per
-- claim.
local function head_of(user, rank, lane, worker)
    for _ = 1, MAX_REAP do
        local id = call('ZRANGE', queue_key(rank, user, lane), 0, 0)[1]
        local why = id and job_refuses(id, user, worker)
        if not why then return id end
        if why.code == 'day' then return nil end
        place(id)
    end
end

-- A user's first job that this worker can do, or one of the same priority whose model is warm; that one may go first by
-- as much work as the slack. Returns the job, whether it is warm, and whether it goes before another. Where only a warm
-- one is wanted, the others are skipped.
local function pick_of(turn, worker, warm_only)
    local user, first, first_order = turn.user, nil, nil
    if user_refuses(user, worker) then return nil end
    local lanes = call('ZRANGE', queue_key(turn.queue, user), 0, MAX_LANES - 1, 'WITHSCORES')
    for i = 1, #lanes, 2 do
        local lane, order = lanes[i], tonumber(lanes[i + 1])
        if first_order and priority_of(order) < priority_of(first_order) then break end
        local warm = not lane_refuses(lane, worker) and worker.warm_lanes[lane]
        if warm or (not first_order and worker.lanes[lane] == false) then
            local id = (warm or not warm_only) and head_of(user, turn.queue, lane, worker)
            if id and warm then
                local passed = first_order and tonumber(call('HGET', P .. 'passed', user) or 0)
                if passed and passed >= worker.slack then return first, false, false end
                return id, true, passed ~= nil
            end
            if id ~= nil and not first_order then first, first_order = id, order end
        end
    end
    return first or nil, false, false
end

-- Some of those with jobs of a rank, fairest first: {user, vtime, queue, rank}. A user with more interactive work than
-- the hour allows is among the normal ones.
local function turns_of(rank, from, to, capped, time)
    local turns, users = {}, call('ZRANGE', P .. 'users:' .. rank, from, to, 'WITHSCORES')
    local an_hour = rank == 0 and #users > 0 and setting('interactive_ms')
    for i = 1, #users, 2 do
        local turn = {user = users[i], vtime = tonumber(users[i + 1]), queue = rank, rank = rank}
        if an_hour and urgent_ms(turn.user, time, an_hour) >= an_hour then
            turn.rank = 1
            capped[#capped + 1] = turn
        else
            turns[#turns + 1] = turn
        end
    end
    if rank == 1 and #capped > 0 then
        for i = 1, #capped do turns[#turns + 1] = capped[i] end
        table.sort(turns, function(x, y) return x.vtime < y.vtime or (x.vtime == y.vtime and x.queue < y.queue) end)
    end
    return turns, #users / 2
end

-- Whether there is a job of this rank that the worker could do, and one whose model it has in memory. Most searches end
-- here, and without the second only the fairest user matters.
local function look_at_lanes(rank, worker)
    local fits, warm = false, false
    for queue = rank == 1 and 0 or rank, rank do -- rank 1 includes users of 0 whose hour is used up
        local lanes = call('HKEYS', P .. 'lanes:' .. queue)
        if #lanes > MAX_USERS then return true, not worker.cold end
        for i = 1, #lanes do
            if not lane_refuses(lanes[i], worker) then
                fits = true
                warm = warm or worker.warm_lanes[lanes[i]]
            end
        end
    end
    return fits, warm
end

-- The fairest user's first job, or within the slack one whose model is warm: {id, turn, fair, warm, passes}, where fair
-- is the fairest user's virtual time. The first few users usually decide, so they are read a few at a time.
local function choose_among(rank, capped, worker)
    local first, from, page = nil, 0, rank == 1 and #capped > 0 and MAX_USERS or FEW_USERS
    local fits, any_warm = look_at_lanes(rank, worker)
    while fits and from < MAX_USERS do
        local turns, found = turns_of(rank, from, from + page - 1, capped, worker.time)
        for i = 1, #turns do
            local turn = turns[i]
            if first and turn.vtime > first.fair + worker.slack then return first end
            local id, warm, passes = pick_of(turn, worker, first ~= nil)
            if warm then
                return {id = id, turn = turn, fair = first and first.fair or turn.vtime, warm = true, passes = passes}
            end
            if id and not first then
                first = {id = id, turn = turn, fair = turn.vtime}
                if not any_warm then return first end
            end
        end
        if found < page then return first end
        from, page = from + page, MAX_USERS
    end
    return first
end

local function choose(worker)
    local capped = {}
    for rank = 0, 2 do
        local choice = choose_among(rank, capped, worker)
        if choice then return choice end
    end
end

-- The number of images in a new range: chunk_ms of work at the measured speed, fewer near the end of the job so that all
-- workers end together, and no more than the user may make today.
local function range_size(user, left, ms, most, worker)
    local want, workers = ms and math.max(1, math.floor(worker.chunk_ms / math.max(ms, 0.001))) or FIRST_RANGE, 0
    local a_day = quota(worker.quotas, user, 'day')
    if a_day then want = math.max(1, math.min(want, a_day - tonumber(call('HGET', made_key(worker.time), user) or 0))) end
    for _, count in ipairs(call('HVALS', P .. 'workers')) do workers = workers + tonumber(count) end
    workers = math.min(workers, tonumber(most or workers))
    if workers < 2 then return want end
    return math.min(want, math.max(math.ceil(left / (2 * workers)), math.ceil(want / 8)))
end

-- A job whose keys were removed by hand must not block the others: it is removed from its queue.
local function remove_broken(id)
    for rank = 0, 2 do
        for _, user in ipairs(call('ZRANGE', P .. 'users:' .. rank, 0, MAX_USERS - 1)) do
            for _, lane in ipairs(call('ZRANGE', queue_key(rank, user), 0, MAX_LANES - 1)) do
                queue_take_out(id, user, rank, lane)
            end
        end
    end
    call('ZREM', P .. 'aging', id)
    return {status = 'empty', text = 'job ' .. id .. ' is queued but has no work; keys were removed by hand'}
end

-- Texts of a job inside an answer. A daemon that asks for it gets the spec as a text of its own, so that one that cannot
-- be read is the end of its own job alone. `asked` is made by this library; an older one took more.
local function texts_for(worker, spec, asked)
    return worker.spec_as_text and spec or raw(spec), raw(asked and decode(asked) and asked or '{}')
end

-- The lease this worker already has: a claim is repeated when its answer was lost. One of a job that has ended is over.
local function lease_of_slot(worker)
    local token = call('HGET', P .. 'slots', worker.slot)
    local lease = token and lease_get(token)
    if not lease then return nil end
    local state, images, spec, folder, asked = job_get(lease.job, 'state', 'images', 'spec', 'folder', 'asked')
    if FINAL[state] then
        drop(lease, lease.upto)
        call('ZADD', P .. 'fin', now(), token)
        return nil
    end
    call('ZADD', P .. 'leases', worker.deadline, token)
    spec, asked = texts_for(worker, spec, asked)
    return {token = token, job = lease.job, user = lease.user, kind = lease.kind, phase = lease.phase, lo = lease.upto,
        hi = lease.hi, n = tonumber(images), spec = spec, folder = folder, asked = asked, again = true}
end

-- Charges the user now: who claims much at once waits longer for the next turn.
local function pay(choice, worker, cost, start)
    local user = choice.turn.user
    turn_set(user, start + cost / weight_of(user))
    if choice.turn.rank == 0 then count_urgent(user, cost) end
    if choice.passes then
        call('HINCRBYFLOAT', P .. 'passed', user, cost)
    elseif not worker.cold and not choice.warm then
        call('HDEL', P .. 'passed', user)
    end
end

local TAKE_FIELDS = {'kind', 'images', 'done', 'pace', 'tier', 'rank', 'lane', 'max_gpus', 'state', 'root', 'spec',
    'folder', 'asked', 'started', 'needs', 'inputs'}

-- What the claiming host saw of the files of a job that begins; its workers tell more exactly what they read.
local function keep_files(id, host, needs, inputs)
    local files = decode(call('HGET', P .. 'host:' .. host, 'files') or '')
    local seen = type(files) == 'table' and files_seen(files, needs, inputs)
    if seen then job_set(id, 'files', encode(seen)) end
end

-- Writes the lease on a part of the chosen job and returns the worker's task; nil where the job has no work.
function take(choice, worker, start)
    local id, user = choice.id, choice.turn.user
    local kind, images, done, pace, tier, rank, lane, most, state, root, spec, folder, asked, started,
        needs, inputs = job_get(id, unpack(TAKE_FIELDS))
    local member = state and call('ZRANGE', job_key(id, 'ranges'), 0, 0)[1]
    if not member then return nil end
    images = tonumber(images)
    local last = member == range_member(images, images + 1)
    local phase = images == 0 and 'survey' or last and 'report' or 'images'
    local device = worker.uuid or worker.host .. ' ' .. worker.device
    local speed = (phase == 'images' and '' or phase .. ' ') .. pace .. ' on ' .. device
    local ms = tonumber(call('HGET', P .. 'speed', speed) or nil)
    local size = phase == 'images' and range_size(user, images - done, ms, most, worker) or 1
    local lo, hi, blame = take_range(id, member, size)
    local cost = ms and ms * (phase == 'report' and images or hi - lo) or worker.chunk_ms
    local token = new_token(worker.time)
    call('HSET', lease_key(token), 'job', id, 'phase', phase, 'kind', kind, 'lo', int(lo), 'hi', int(hi), 'upto', int(lo),
        'host', worker.host, 'worker', worker.name, 'device', worker.uuid or worker.device, 'pid', int(worker.pid),
        'speed', speed, 'memory', worker.loads[lane] or '', 'charged', cost, 'blame', blame or '', 'user', user,
        'rank', choice.turn.rank, 'since', int(worker.time), 'period', int(worker.deadline - worker.time))
    call('ZADD', P .. 'leases', worker.deadline, token)
    call('SADD', job_key(id, 'leases'), token)
    call('HSET', P .. 'slots', worker.slot, token)
    call('HINCRBY', P .. 'busy', user, 1)
    if phase == 'images' and counted(kind) then call('HINCRBY', made_key(worker.time), user, int(hi - lo)) end
    if worker.root and not root then job_set(id, 'root', worker.root) end
    if not started and call('HEXISTS', job_key(id), 'files') == 0 then keep_files(id, worker.host, needs, inputs) end
    pay(choice, worker, cost, start)
    if state == 'queued' then apply(id, 'claim') else place(id) end
    if rank ~= tier then move(id, tier) end -- the rank gained by waiting is used up
    spec, asked = texts_for(worker, spec, asked)
    return {token = token, job = id, user = user, kind = kind, phase = phase, lo = lo, hi = hi, n = images,
        spec = spec, folder = folder, asked = asked, again = false}
end

--- ddq_claim {host, worker, pid, device, uuid?, root, lease_ms, chunk_ms, offers[], warm[], free_mib?, spec_as_text?}
---   -> {token, job, user, kind, phase, lo, hi, n, spec, asked{}, folder, again}, or status empty
--- Takes a range for an idle worker, about chunk_ms of work. offers: what this host has ("model:digits",
--- "reference:digits", "inception"); warm: names of the models in memory; device: cpu or cuda, with the GPU's uuid;
--- free_mib: memory that the worker could use, including what it holds now; jobs that took more on such a device
--- are skipped. phase survey: count the images; images: make or measure images lo..hi-1; report: everything else.
--- spec: the JSON object that was submitted, as text with spec_as_text: true. asked: the submitted fields besides the
--- spec, for job.json. A worker has at most one lease: if it already has
--- one, the earlier answer was lost, and it gets the rest of that lease again (again: true), unless the job has ended.
function F.claim(a)
    local time = now()
    local worker = worker_ready({host = text_arg(a, 'host', NAME), name = text_arg(a, 'worker', LABEL),
        pid = number_arg(a, 'pid', 0, 2 ^ 31, 0), device = text_arg(a, 'device', LABEL),
        uuid = text_arg(a, 'uuid', LABEL, true), root = text_arg(a, 'root', PATH, true),
        chunk_ms = number_arg(a, 'chunk_ms', 1, DAY_MS, 30000), free = amount_arg(a, 'free_mib'),
        deadline = time + number_arg(a, 'lease_ms', 100, DAY_MS, 15000),
        offers = set_of(labels_arg(a, 'offers', 1000)), warm = set_of(labels_arg(a, 'warm', 1000))}, time, quotas_get())
    worker.slot, worker.cold, worker.slack = worker.host .. ' ' .. worker.name, not next(worker.warm), setting('slack_ms')
    worker.spec_as_text = a.spec_as_text == true
    promote(time)
    local held = lease_of_slot(worker)
    if held then return held end
    local drained = drain_of(worker.host, worker.name)
    if drained then return {status = 'empty', text = drained} end
    local choice = choose(worker)
    if not choice then return {status = 'empty'} end
    local floor = floor_get()
    local answer = take(choice, worker, math.max(choice.turn.vtime, floor - CREDIT_MS))
    if answer and choice.fair > floor then call('SET', P .. 'floor', choice.fair) end
    return answer or remove_broken(choice.id)
end

-- ---- interactive jobs do not wait for the others' ranges to end ------------------------------------------------------

-- The workers of the live hosts, as in their last heartbeats, ready for `consider`; token: the lease each has.
function live_workers(time)
    local workers, quotas = {}, quotas_get()
    for _, host in ipairs(live_hosts(time)) do
        local heartbeat = decode(host.about)
        local rows = heartbeat and heartbeat.drain ~= true and heartbeat.workers
        for _, row in ipairs(type(rows) == 'table' and rows or {}) do
            local uuid = type(row) == 'table' and row.uuid
            if type(row) == 'table' and type(row.name) == 'string' and #workers < MAX_WORKERS then
                workers[#workers + 1] = worker_ready({host = host.name, name = row.name, offers = host.offers, warm = {},
                    device = type(row.device) == 'string' and row.device or 'cpu', state = row.state,
                    uuid = type(uuid) == 'string' and uuid ~= '' and uuid or nil, free = amount_arg(row, 'free_mib'),
                    total = amount_arg(row, 'memory_mib'), drained = drain_of(host.name, row.name),
                    token = call('HGET', P .. 'slots', host.name .. ' ' .. row.name) or nil}, time, quotas)
            end
        end
    end
    return workers
end

-- The lease to yield for a job: of the lowest rank, then the latest. None if a worker that could take the job is free.
local function lease_to_yield(job, workers, patient)
    local best
    for i = 1, #workers do
        local worker = workers[i]
        if not consider(job, worker) then
            local lease = worker.token and lease_get(worker.token)
            if not lease and patient and worker.state == 'idle' then return nil end
            if lease and lease.phase == 'images' and lease.rank > 0 and lease.yield == '' and (not best or
                lease.rank > best.rank or (lease.rank == best.rank and tonumber(lease.token) > tonumber(best.token))) then
                best = lease
            end
        end
    end
    return best
end

-- An interactive job that waits while all workers that could take it do lower work makes one of them yield at its next
-- batch. The yield is stored in the lease, so that every renew repeats it.
function preempt(time)
    local workers, an_hour = nil, setting('interactive_ms')
    for _, user in ipairs(call('ZRANGE', P .. 'users:0', 0, MAX_LANES - 1)) do
        local capped = urgent_ms(user, time, an_hour) >= an_hour
        for _, lane in ipairs(capped and {} or call('ZRANGE', queue_key(0, user), 0, MAX_HEADS - 1)) do
            for _, id in ipairs(call('ZRANGE', queue_key(0, user, lane), 0, MAX_HEADS - 1)) do
                local state, tier, victim, since, created = job_get(id, 'state', 'tier', 'victim', 'changed', 'created')
                if state == 'queued' and tier == '0' and not (victim and call('EXISTS', lease_key(victim)) == 1) then
                    workers = workers or live_workers(time)
                    local patient = time - tonumber(since or created) < IDLE_MS
                    local lease = lease_to_yield({id = id, user = user, lane = lane}, workers, patient)
                    if lease then
                        call('HSET', lease_key(lease.token), 'yield', id)
                        job_set(id, 'victim', lease.token)
                        hint(P .. 'ctl', encode({op = 'yield', job = lease.job}))
                    end
                end
            end
        end
    end
end
