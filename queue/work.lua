-- ---- ranges ----------------------------------------------------------------------------------------------------------
-- job:ID:ranges has the ranges that no worker has, by first image; job:ID:blame their losses, by first image.

-- blame nil: nothing was ever lost here. Such neighbours are merged, so that many givebacks leave few ranges.
function put_range(id, lo, hi, blame)
    local ranges = job_key(id, 'ranges')
    if lo >= hi or FINAL[job_get(id, 'state')] then return end
    if blame then
        call('HSET', job_key(id, 'blame'), int(lo), blame)
    else
        local after = call('ZRANGEBYSCORE', ranges, int(hi), int(hi))[1]
        local before = call('ZREVRANGEBYSCORE', ranges, int(lo), '-inf', 'LIMIT', 0, 1)[1]
        if after and call('HEXISTS', job_key(id, 'blame'), int(hi)) == 0 then
            call('ZREM', ranges, after)
            local _, to = range_of(after)
            hi = to
        end
        if before then
            local from, to = range_of(before)
            if to == lo and call('HEXISTS', job_key(id, 'blame'), int(from)) == 0 then
                call('ZREM', ranges, before)
                lo = from
            end
        end
    end
    call('ZADD', ranges, lo, range_member(lo, hi))
end

-- Takes up to `most` images off the first pending range of a job, `member`. Both parts keep its blame.
function take_range(id, member, most)
    local ranges, blames = job_key(id, 'ranges'), job_key(id, 'blame')
    local lo, hi = range_of(member)
    local stop, blame = math.min(hi, lo + most), call('HGET', blames, int(lo)) or nil
    call('ZREM', ranges, member)
    if blame then call('HDEL', blames, int(lo)) end
    if stop < hi then
        call('ZADD', ranges, stop, range_member(stop, hi))
        if blame then call('HSET', blames, int(stop), blame) end
    end
    return lo, stop, blame
end

-- later: ranges that were lost more than once wait a little, each alone.
local function put_later(id, lo, hi, blame, delay_ms)
    call('ZADD', P .. 'later', now() + delay_ms, table.concat({id, int(lo), int(hi), blame}, ' '))
end

-- Changes that depend on time: lost ranges are tried again, windows open, jobs that waited long gain a tier.
function promote(time)
    for _, member in ipairs(call('ZRANGEBYSCORE', P .. 'later', '-inf', time, 'LIMIT', 0, 16)) do
        local id, lo, hi, blame = member:match('^(%w+) (%d+) (%d+) (%d+)$')
        call('ZREM', P .. 'later', member)
        if job_get(id, 'state') then
            put_range(id, tonumber(lo), tonumber(hi), tonumber(blame))
            place(id)
        end
    end
    for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'timed', '-inf', time, 'LIMIT', 0, 16)) do
        call('ZREM', P .. 'timed', id)
        if job_get(id, 'state') == 'queued' then job_set(id, 'reason', 'waits for its turn') end
        if job_get(id, 'state') then place(id) end
    end
    local patience = setting('aging_ms')
    if patience == 0 then return end
    for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'aging', '-inf', time - patience, 'LIMIT', 0, 16)) do
        local rank = tonumber((job_get(id, 'rank')))
        if rank and rank > 0 then move(id, rank - 1) else call('ZREM', P .. 'aging', id) end
    end
end

-- ---- leases ----------------------------------------------------------------------------------------------------------

local LEASE_FIELDS = {'job', 'phase', 'host', 'worker', 'device', 'stage', 'speed', 'user', 'memory', 'yield', 'kind', 'lo',
    'hi', 'upto', 'pid', 'rate', 'charged', 'blame', 'since', 'period', 'rank'}
local LEASE_TEXTS = 11 -- the first so many are texts, the others numbers

-- nil where there is none, or where the job's key was removed by hand.
function lease_get(token)
    local values = call('HMGET', lease_key(token), unpack(LEASE_FIELDS))
    if not values[1] or call('HEXISTS', job_key(values[1]), 'state') == 0 then return nil end
    local lease = {token = token}
    for i = 1, #LEASE_FIELDS do
        lease[LEASE_FIELDS[i]] = i <= LEASE_TEXTS and (values[i] or '') or tonumber(values[i] or 0)
    end
    return lease
end

-- Tokens only grow, even after Redis lost its last second or its data: they are no smaller than the time.
function new_token(time)
    local token = math.max(tonumber(call('GET', P .. 'token') or 0) + 1, time * 1000)
    call('SET', P .. 'token', int(token))
    return int(token)
end

-- Counts what is on disk, once.
function credit(lease, upto, ends)
    upto = math.min(math.max(upto, lease.upto), lease.hi)
    if upto == lease.upto or lease.phase ~= 'images' then return end -- a report or a survey is complete or absent
    job_add(lease.job, 'done', int(upto - lease.upto))
    if counted(lease.kind) and not FINAL[job_get(lease.job, 'state')] then owe(lease.user, lease.upto - upto) end
    lease.upto = upto
    if not ends then call('HSET', lease_key(lease.token), 'upto', int(upto)) end
end

-- Ends a lease and charges the user for what was used. The caller puts the rest of the range, [upto, hi), back.
function drop(lease, upto, spent)
    credit(lease, upto, true)
    call('DEL', lease_key(lease.token))
    call('ZREM', P .. 'leases', lease.token)
    call('SREM', job_key(lease.job, 'leases'), lease.token)
    local slot = lease.host .. ' ' .. lease.worker
    if call('HGET', P .. 'slots', slot) == lease.token then call('HDEL', P .. 'slots', slot) end
    call('HINCRBY', P .. 'busy', lease.user, -1)
    if lease.phase == 'images' and counted(lease.kind) and lease.upto < lease.hi and now() - lease.since < DAY_MS then
        call('HINCRBY', made_key(lease.since), lease.user, int(lease.upto - lease.hi))
    end
    local used = spent or lease.charged * (lease.upto - lease.lo) / (lease.hi - lease.lo)
    charge(lease.user, used - lease.charged)
    count_use(lease.user, used)
    if lease.rank == 0 then count_urgent(lease.user, used - lease.charged) end
end

-- The report becomes claimable when every image is accounted for. Images that were given up leave no report to make.
function open_report(id, images, bad)
    job_set(id, 'report', 1)
    if bad == 0 then return put_range(id, images, images + 1) end
    local numbers = call('ZRANGE', job_key(id, 'bad'), 0, 9)
    local text = (bad > 1 and 'images ' or 'image ') .. table.concat(numbers, ', ') ..
        (bad > #numbers and ' and ' .. bad - #numbers .. ' more' or '') .. ' could not be made: ' .. job_get(id, 'error')
    if bad >= images then return apply(id, 'fail', text) end
    apply(id, 'complete', text .. '; the other ' .. int(images - bad) .. ' exist, without a report')
end

-- A survey reported the number of images.
function open_images(id, images)
    job_set(id, 'images', int(images))
    put_range(id, 0, images)
end

-- After the end of a lease: the job may need its report, have other leases, or have something to claim.
function settle(id, reason)
    local state, images, done, bad, report = job_get(id, 'state', 'images', 'done', 'bad', 'report')
    if FINAL[state] then return state end
    local live = call('SCARD', job_key(id, 'leases'))
    local surveyed = tonumber(images) > 0
    if live == 0 and report == '0' and surveyed and tonumber(done) + tonumber(bad) >= tonumber(images) then
        open_report(id, tonumber(images), tonumber(bad))
        state = job_get(id, 'state')
        if FINAL[state] then return state end
    end
    if state == 'running' and live == 0 then return apply(id, 'idle', reason or BETWEEN) end
    place(id)
    return state
end

-- A range was lost. Progress clears its blame; without any, blame adds up. Crashes and errors have a budget each, in
-- one number: an error that a worker reports is no evidence that an image crashes workers. Errors fail the job with
-- their text. Crashes split the range until an image is alone, which is then given up, so that the others continue.
-- Returns whether it will be tried again.
function lose(lease, how, text)
    local id, lo, hi = lease.job, lease.upto, lease.hi
    job_add(id, 'errors', 1)
    job_set(id, 'error', text)
    if lo >= hi or FINAL[job_get(id, 'state')] then return false end
    local blame = (lo == lease.lo and lease.blame or 0) + BLAME[how]
    local crashes, errors = blame % BLAME.error, math.floor(blame / BLAME.error)
    if errors >= ERRORS_MAX then
        apply(id, 'fail', 'failed ' .. errors .. ' times at the same place, last error: ' .. text)
        return false
    end
    if crashes < CRASHES_MAX then
        local seconds = how == 'error' and 2 ^ (errors - 1) - 1 or math.max(0, crashes - BLAME.crash)
        if seconds == 0 then put_range(id, lo, hi, blame) else put_later(id, lo, hi, blame, seconds * 1000) end
        return true
    end
    if lease.phase ~= 'images' then
        apply(id, 'fail', 'its ' .. lease.phase .. ' failed repeatedly, last error: ' .. text)
        return false
    end
    if hi - lo > 1 then -- each half may fail once before it is split again; alone, an image has all its tries
        local middle = math.floor((lo + hi) / 2)
        put_range(id, lo, middle, middle - lo > 1 and CRASHES_MAX - BLAME.crash or 0)
        put_range(id, middle, hi, hi - middle > 1 and CRASHES_MAX - BLAME.crash or 0)
        return true
    end
    call('ZADD', job_key(id, 'bad'), lo, int(lo))
    job_add(id, 'bad', 1)
    if counted(lease.kind) then owe(lease.user, -1) end
    return false
end
