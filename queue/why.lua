-- ---- why a job waits --------------------------------------------------------------------------------------------------
-- One sentence with numbers, from the walk of a claim: `consider` decides for every live worker whether it could take
-- the job, and the work before it is added up with the measured speeds.

local MOST_SUMMED = 300 -- jobs whose work is added up for an estimate; more are extrapolated

local function span(ms)
    local s = math.floor(ms / 1000 + 0.5)
    if s < 90 then return s .. ' s' end
    if s < 5400 then return math.floor(s / 60 + 0.5) .. ' min' end
    if s < 172800 then return math.floor(s / 3600) .. ' h ' .. math.floor(s % 3600 / 60) .. ' min' end
    return math.floor(s / 86400 + 0.5) .. ' days'
end
local function gigabytes(mib) return ('%.1f GB'):format(mib * 1048576 / 1e9) end
local function many(count, what) return count .. ' ' .. what .. (count == 1 and '' or 's') end
local function name_of(worker) return worker.host .. ':' .. worker.name end

-- How long a lease still takes.
local function lease_left(lease, time)
    if lease.phase == 'images' and lease.rate > 0 then return (lease.hi - lease.upto) / lease.rate * 1000 end
    return math.max(0, lease.charged - (time - lease.since))
end

-- The mean of the measured ms an image on the devices of some workers; nil if none was measured.
local function speed_on(pace, look)
    if look.speeds[pace] == nil then
        local sum, found = 0, 0
        for device in pairs(look.devices) do
            local ms = tonumber(call('HGET', P .. 'speed', pace .. ' on ' .. device) or nil)
            if ms then sum, found = sum + ms, found + 1 end
        end
        look.speeds[pace] = found > 0 and sum / found or false
    end
    return look.speeds[pace] or nil
end

-- The work that a job still has, in ms on one worker; nil if unknown.
local function work_ms(id, look)
    local pace, images, done, bad = job_get(id, 'pace', 'images', 'done', 'bad')
    local ms = pace and images ~= '0' and speed_on(pace, look)
    return ms and (images - done - bad) * ms or nil
end

-- How many jobs a user has in the queue of a rank (those before an order), and their work, as far as it is known.
local function work_of(user, rank, before, look)
    local count, summed, ms = 0, 0, 0
    for _, lane in ipairs(call('ZRANGE', queue_key(rank, user), 0, MAX_LANES - 1)) do
        local queue = queue_key(rank, user, lane)
        count = count + call('ZCOUNT', queue, '-inf', before)
        local room = math.max(0, math.min(50, MOST_SUMMED - look.summed))
        for _, id in ipairs(room > 0 and call('ZRANGEBYSCORE', queue, '-inf', before, 'LIMIT', 0, room) or {}) do
            local work = work_ms(id, look)
            look.summed = look.summed + 1
            if work then summed, ms = summed + 1, ms + work end
        end
    end
    return count, summed > 0 and ms / summed * count or 0
end

-- The users of a rank, with the virtual time of each and the rank of the queue they come from: a user whose interactive
-- hour is used up is among the normal ones.
local function rivals_of(rank, time)
    local rivals, an_hour = {}, setting('interactive_ms')
    for queue = rank == 1 and 0 or rank, rank do
        local turns = call('ZRANGE', P .. 'users:' .. queue, 0, MAX_USERS - 1, 'WITHSCORES')
        for i = 1, #turns, 2 do
            local counts_as = queue == 0 and urgent_ms(turns[i], time, an_hour) >= an_hour and 1 or queue
            if counts_as == rank then
                rivals[#rivals + 1] = {user = turns[i], vtime = tonumber(turns[i + 1]), queue = queue}
            end
        end
    end
    table.sort(rivals, function(x, y) return x.vtime < y.vtime end)
    return rivals
end

-- What goes before a queued job: its user's jobs, those of lower ranks, and users whose turn is earlier. unknown: the
-- time of some of it was never measured.
local function ahead_of(job, look)
    local rank, mine = job.capped and 1 or job.rank, turn_get(job.user) or floor_get()
    local ahead = {others_ms = 0, weights = weight_of(job.user), users = 0}
    ahead.before, ahead.own_ms = work_of(job.user, job.rank, '(' .. int(order_of(job.priority, job.seq)), look)
    ahead.unknown = ahead.before > 0 and ahead.own_ms == 0
    for lower = 0, rank - 1 do
        for _, rival in ipairs(rivals_of(lower, look.time)) do
            local count, ms = work_of(rival.user, rival.queue, '+inf', look)
            ahead.before, ahead.others_ms = ahead.before + count, ahead.others_ms + ms
            ahead.unknown = ahead.unknown or (count > 0 and ms == 0)
        end
    end
    for _, rival in ipairs(rivals_of(rank, look.time)) do
        local lag, weight = mine - rival.vtime, weight_of(rival.user)
        if rival.user ~= job.user then
            ahead.weights = ahead.weights + weight
            if lag > 0 then
                local _, ms = work_of(rival.user, rival.queue, '+inf', look)
                ahead.users = ahead.users + 1
                ahead.others_ms = ahead.others_ms + (ms > 0 and math.min(ms, lag * weight) or lag * weight)
                if not ahead.next then ahead.next, ahead.lag = rival.user, lag * weight_of(job.user) end
            end
        end
    end
    return ahead
end

-- Which workers could take the job, when the first of them is free, and why the others cannot.
local function look_at_workers(job, time)
    local look = {workers = live_workers(time), fit = {}, refusals = {}, devices = {}, speeds = {}, summed = 0, time = time}
    local anywhere = refuses_anywhere(job, worker_ready({}, time, quotas_get()))
    if anywhere then look.refusals[anywhere.code] = anywhere end
    for _, worker in ipairs(look.workers) do
        local why = consider(job, worker)
        if why then
            look.refusals[why.code] = look.refusals[why.code] or why
            if why.code == 'memory' and why.free >= look.refusals.memory.free then
                look.refusals.memory = {code = 'memory', need = why.need, free = why.free, on = name_of(worker)}
            end
        else
            look.fit[#look.fit + 1] = worker
            look.devices[worker.uuid or worker.host .. ' ' .. worker.device] = true
            local lease = worker.token and lease_get(worker.token)
            local left = lease and lease_left(lease, time) or 0
            look.free_ms = math.min(look.free_ms or math.huge, left)
            look.has_gpu = look.has_gpu or worker.device ~= 'cpu'
            if lease and lease.yield == job.id then look.yields = name_of(worker) end
        end
    end
    return look
end

-- Why no worker could take a job, by the code of the refusal; the first row that applies is used.
local REFUSALS = {
    {'closed', function(why, job, time)
        return 'may run from ' .. clock_text(time + why.wait) .. ', in ' .. span(why.wait) ..
            (why.window and '; its window is ' .. why.window or '')
    end},
    {'workers', function(why)
        return 'your quota allows ' .. many(why.most, 'worker') .. ' at a time, and you use ' .. why.busy
    end},
    {'day', function(why, job, time)
        return 'your quota allows ' .. int(why.most) .. ' images per day, and ' .. int(why.made) ..
            ' are made; the job continues at ' .. clock_text(time - time % DAY_MS + DAY_MS) .. ', in ' ..
            span(DAY_MS - time % DAY_MS)
    end},
    {'max_gpus', function(why) return 'it already runs on ' .. why.busy .. ' workers; max_gpus is ' .. why.most end},
    {'memory', function(why)
        return 'needs ' .. gigabytes(why.need) .. ', most free: ' .. gigabytes(why.free) .. ' on ' .. why.on
    end},
    {'device', function(why)
        return 'needs device ' .. why.wish .. ', but no suitable live worker has it'
    end},
    {'offer', function(why)
        if why.lack == 'inception' then
            return 'no live daemon has the Inception network; set weights in [inception] of the ddq.conf of one'
        end
        local section = why.lack:gsub(':', ' ')
        return 'no live daemon has ' .. section .. '; add [' .. section .. '] to the ddq.conf of one'
    end},
    {'drained', function(why)
        return 'all suitable workers are drained (' .. why.why .. '); ddq resume ends a drain'
    end},
}

local function none_fits(job, look, time)
    for i = 1, #REFUSALS do
        local why = look.refusals[REFUSALS[i][1]]
        if why then return REFUSALS[i][2](why, job, time), why end
    end
    if #call('ZRANGEBYSCORE', P .. 'hosts', time - 60000, '+inf', 'LIMIT', 0, 1) > 0 then
        return 'no worker is available: the live daemons have none or are draining'
    end
    return 'no daemon is alive; start ddqd on any host that can reach this Redis'
end

-- The numbers of what is ahead of a job that some workers could take.
local function count_ahead(job, look, answer)
    local ahead = ahead_of(job, look)
    local share = weight_of(job.user) / ahead.weights
    answer.before, answer.users_before, answer.next_free_ms = ahead.before, ahead.users, math.floor(look.free_ms)
    answer.ahead_ms, answer.next_user = ahead.lag and math.floor(ahead.lag) or 0, ahead.next
    if look.refusals.memory then answer.need_mib = look.refusals.memory.need end
    if ahead.unknown then return end
    answer.eta_ms = math.floor(look.free_ms + (ahead.others_ms + ahead.own_ms / share) / #look.fit)
    local work = work_ms(job.id, look)
    if work then answer.left_ms = math.floor(answer.eta_ms + work / share / #look.fit) end
end

-- The same in words.
local function ahead_text(job, look, answer)
    local words, machine = {}, look.has_gpu and 'GPU' or 'worker'
    local function add(text) words[#words + 1] = text end
    if answer.before > 0 then add(many(answer.before, 'job') .. ' before yours') end
    if answer.ahead_ms >= 1000 then
        local lead = answer.ahead_ms / 1000
        add('you are ' .. (lead < 90 and math.floor(lead + 0.5) .. ' GPU-seconds' or math.floor(lead / 60 + 0.5) ..
            ' GPU-minutes') .. ' ahead of the next user')
    end
    if #words == 0 then add('next in turn') end
    if look.yields then add(look.yields .. ' yields when its batch ends') end
    add(look.free_ms > 0 and 'next free ' .. machine .. ' in about ' .. span(look.free_ms) or 'a ' .. machine .. ' is free')
    if answer.need_mib then
        add('needs ' .. gigabytes(answer.need_mib) .. ', which ' .. #look.fit .. ' of ' .. #look.workers ..
            ' workers have free')
    end
    if job.rank < job.tier then add('moved up to ' .. TIER_NAMES[job.rank] .. ' after a long wait') end
    if job.capped then add('you used ' .. span(job.capped) .. ' of interactive time this hour, so it counts as normal') end
    if answer.eta_ms and answer.eta_ms > look.free_ms + 1000 then add('starts in about ' .. span(answer.eta_ms)) end
    return table.concat(words, '; ')
end

local function why_queued(job, time)
    local look = look_at_workers(job, time)
    local answer = {workers_fit = #look.fit, workers_all = #look.workers}
    if call('EXISTS', job_key(job.id, 'ranges')) == 0 then
        answer.text = job.reason .. '; lost ranges are retried within seconds'
    elseif #look.fit > 0 then
        count_ahead(job, look, answer)
        answer.text = ahead_text(job, look, answer)
    else
        local why
        answer.text, why = none_fits(job, look, time)
        why = why or {}
        answer.code, answer.eta_ms = why.code, why.wait
        if why.code == 'memory' then
            answer.need_mib, answer.best_free_mib, answer.best_free_on = why.need, why.free, why.on
        end
    end
    return answer
end

-- Present images per second, number of workers, and the remaining time at that rate.
local function running_now(id, images, done, time)
    local rate, workers, left = 0, 0, nil
    for _, token in ipairs(call('SMEMBERS', job_key(id, 'leases'))) do
        local lease = lease_get(token)
        if lease then
            rate, workers = rate + (lease.phase == 'images' and lease.rate or 0), workers + 1
            left = math.max(left or 0, lease_left(lease, time))
        end
    end
    if rate > 0 and images > done then left = math.max(left, (images - done) / rate * 1000) end
    return workers, left
end

local function why_running(job, time)
    local workers, left = running_now(job.id, job.images, job.done, time)
    local look = look_at_workers(job, time)
    local here = 0
    for _, worker in ipairs(look.fit) do
        if worker.token and call('SISMEMBER', job_key(job.id, 'leases'), worker.token) == 1 then here = here + 1 end
    end
    local all = math.max(workers, #look.fit + workers - here)
    local text = 'runs on ' .. workers .. ' of ' .. many(all, 'worker')
    if job.images > 0 then text = text .. ', ' .. int(job.done) .. ' of ' .. int(job.images) .. ' images done' end
    if left and left > 0 then text = text .. ', about ' .. span(left) .. ' left' end
    if look.refusals.max_gpus then text = text .. '; max_gpus is ' .. look.refusals.max_gpus.most end
    return {text = text, workers = workers, workers_fit = all, workers_all = #look.workers,
        left_ms = left and math.floor(left)}
end

-- The jobs that a job waits for, with their progress.
local function why_waiting(job, time)
    local words, most = {}, 0
    for parent in job.after:gmatch('%w+') do
        local state, images, done = job_get(parent, 'state', 'images', 'done')
        if state and not FINAL[state] then
            local text = 'job ' .. parent .. ', which is ' .. state
            if state == 'running' then
                local _, left = running_now(parent, tonumber(images), tonumber(done), time)
                if images ~= '0' then text = text .. ', ' .. math.floor(100 * done / images) .. '% done' end
                if left and left > 0 then text = text .. ', about ' .. span(left) .. ' left' end
                most = math.max(most, left or 0)
            end
            words[#words + 1] = text
        end
    end
    return {text = 'waits for ' .. table.concat(words, '; and for '), eta_ms = most > 0 and math.floor(most) or nil}
end

local REASONS = {
    queued = why_queued,
    running = why_running,
    waiting = why_waiting,
    held = function(job) return {text = 'held: ' .. job.reason .. '; ddq release ' .. job.id .. ' continues it'} end,
}

function why_of(id)
    local job, time = {id = id}, now()
    job.user, job.state, job.reason, job.lane, job.after, job.priority, job.seq, job.rank, job.tier, job.images, job.done,
        job.finished = job_get(id, 'user', 'state', 'reason', 'lane', 'after', 'priority', 'seq', 'rank', 'tier', 'images',
        'done', 'finished')
    for _, field in ipairs({'priority', 'seq', 'rank', 'tier', 'images', 'done'}) do
        job[field] = tonumber(job[field] or 0)
    end
    local an_hour, had = setting('interactive_ms'), urgent_ms(job.user, time, setting('interactive_ms'))
    if job.rank == 0 and had >= an_hour then job.capped = had end
    local answer = REASONS[job.state] and REASONS[job.state](job, time) or {text = job.state .. ' ' ..
        span(time - tonumber(job.finished or time)) .. ' ago' .. (job.reason ~= '' and ': ' .. job.reason or '')}
    answer.id, answer.state = id, job.state
    return answer
end

--- ddq_why {id} -> {id, state, text, code?, before?, users_before?, ahead_ms?, next_user?, next_free_ms?, need_mib?,
---     best_free_mib?, best_free_on?, workers?, workers_fit?, workers_all?, eta_ms?, left_ms?}
--- Why a job is in its state: one sentence, text, and the numbers in it: jobs before it; users whose turn is
--- earlier, the first of them, and how much work this user is ahead; when a suitable worker is free; the memory it
--- needs and the most that is available; on how many workers it runs, how many could take it, and how many exist;
--- the time until its start and until its end, from measured speeds. code: why no worker can take it: offer,
--- device, memory, workers, day (quotas), closed, max_gpus, drained.
function F.why(a) return why_of(job_arg(a, 'id')) end

--- ddq_estimate {as ddq_submit} -> {as ddq_why, ms_image?, work_ms?, memory{}, best_free_mib?}
--- What a submit would do; it queues nothing. ms_image: mean of the measured times per image on the present
--- devices; work_ms: time for all images on one of them; memory: MiB that such jobs took, by kind of device (cpu,
--- cuda); best_free_mib: the most that a worker has available. Refused if the submit would be refused.
function F.estimate(a)
    local job = wanted_job(a)
    local id, waits, bad = job.id, parents_arg(a, job.after_failed)
    if call('EXISTS', job_key(id)) == 1 then refuse('usage', 'job ' .. id .. ' already exists; ask ddq_why about it') end
    check_quota(job.user, counted(job.kind) and job.images or 0)
    local load, pace = job.load, job.pace
    local state = (bad or a.hold == true) and 'held' or #waits > 0 and 'waiting' or 'queued'
    -- The walk needs a job, so for this call there is one: its hash alone, in no index.
    call('HSET', job_key(id), 'user', job.user, 'kind', job.kind, 'state', state, 'reason', bad or 'to be held',
        'lane', lane_of(job.needs, job.device, job.model, load), 'pace', pace, 'after', table.concat(waits, ' '),
        'priority', int(job.priority), 'seq', (call('GET', P .. 'seq') or 0) + 1, 'tier', TIERS[job.tier],
        'rank', TIERS[job.tier], 'images', int(job.images), 'done', 0, 'bad', 0, 'report', 0)
    for field, value in pairs(job.limits) do call('HSET', job_key(id), field, value) end
    put_range(id, 0, math.max(job.images, 1))
    local good, answer = pcall(why_of, id)
    call('DEL', job_key(id), job_key(id, 'ranges'))
    if not good then error(answer) end
    local look = {devices = {}, speeds = {}}
    for _, worker in ipairs(live_workers(now())) do
        look.devices[worker.uuid or worker.host .. ' ' .. worker.device] = true
        answer.best_free_mib = math.max(answer.best_free_mib or 0, worker.free or 0)
    end
    answer.ms_image, answer.memory = speed_on(pace, look), {}
    if answer.ms_image then answer.work_ms = math.floor(answer.ms_image * job.images) end
    for _, kind in ipairs({'cpu', 'cuda'}) do
        answer.memory[kind] = tonumber(call('HGET', P .. 'memory', load .. ' on ' .. kind) or nil)
    end
    return answer
end

